"""How stored examples reach the step: resident on the device, or gathered on the host a chunk ahead."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae.types import Data, Key, PyTree

RESIDENT_BYTES = 4 * 2**30


class Feed(NamedTuple):
    """Stored examples and how the model is to see them.

    arrays:   pytree of arrays with a leading axis of examples, as stored (uint8 pixels, indices, labels).
    prepare:  (key, stored batch) -> x, context; runs on the device inside the step (binarisation, rendering).
    spec:     what a model has to know of one prepared example.
    resident: whether the arrays live on the device; otherwise each chunk's rows are gathered on the host.
    """

    arrays: PyTree
    prepare: Callable[[Key, PyTree], tuple[PyTree, PyTree]]
    spec: Data
    resident: bool

    @property
    def size(self) -> int:
        """The number of examples."""
        return jax.tree.leaves(self.arrays)[0].shape[0]


def as_is(key: Key, stored: PyTree) -> tuple[PyTree, PyTree]:
    """The stored example is x, and there is no context."""
    return stored, ()


def feed(arrays: PyTree, prepare: Callable = as_is, *, spec: Data | None = None, resident: bool | None = None) -> Feed:
    """A feed over arrays with a common leading axis; on the device where they fit in `RESIDENT_BYTES`.

    spec: what the model is built for; by default the shape that `prepare` gives, as real numbers.

    Raises ValueError where the leaves are none, empty, of different lengths, or hold NaN or infinity.
    """
    leaves = jax.tree.leaves(arrays)
    sizes = {np.shape(leaf)[0] if np.ndim(leaf) else None for leaf in leaves}
    if len(sizes) != 1 or None in sizes:
        listed = ", ".join(str(np.shape(leaf)) for leaf in leaves) or "no arrays"
        raise ValueError(f"the data are arrays of shapes {listed}; wanted arrays with one leading axis of examples in common.")
    if 0 in sizes:
        raise ValueError("the data hold no examples; wanted at least one: check the split or the path.")
    for leaf in leaves:
        if np.issubdtype(leaf.dtype, np.floating) and not np.all(np.isfinite(leaf)):
            raise ValueError("the data hold NaN or infinite values; remove those examples, or mask them in the likelihood.")
    if resident is None:
        resident = sum(leaf.nbytes for leaf in leaves) <= RESIDENT_BYTES
    spec = Data(shape=_prepared_shape(arrays, prepare), space="real") if spec is None else spec
    return Feed(jax.tree.map(jnp.asarray, arrays) if resident else arrays, prepare, spec, resident)


def gather(arrays: PyTree, rows) -> PyTree:
    """The rows of every array."""
    return jax.tree.map(lambda a: a[rows], arrays)


def batch_like(arrays: PyTree, rows: int) -> PyTree:
    """Shapes and types of so many rows of every array on the device, where 64 bits may be 32."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct((rows, *a.shape[1:]), jax.dtypes.canonicalize_dtype(a.dtype)), arrays)


def _prepared_shape(arrays: PyTree, prepare: Callable) -> tuple[int, ...]:
    """The shape of one prepared example, () for one that is not a single array."""
    x, _ = jax.eval_shape(prepare, jax.random.key(0), batch_like(arrays, 1))
    return tuple(x.shape[1:]) if hasattr(x, "shape") else ()
