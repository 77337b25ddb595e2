"""How stored examples reach the step: resident on the device, or gathered on the host a chunk ahead."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae.types import Batch, Key, PyTree

RESIDENT_BYTES = 4 * 2**30


class Feed(NamedTuple):
    """Stored examples and how the model is to see them.

    arrays:   pytree of arrays with a leading axis of examples, as stored (uint8 pixels, indices, labels).
    prepare:  (key, stored batch) -> x, context; runs on the device inside the step (binarisation, rendering).
    resident: whether the arrays live on the device; otherwise each chunk's rows are gathered on the host.
    """

    arrays: PyTree
    prepare: Callable[[Key, PyTree], tuple[PyTree, PyTree]]
    resident: bool

    @property
    def size(self) -> int:
        """The number of examples."""
        return jax.tree.leaves(self.arrays)[0].shape[0]


def as_is(key: Key, stored: PyTree) -> tuple[PyTree, PyTree]:
    """The stored example is x, and there is no context."""
    return stored, ()


def feed(arrays: PyTree, prepare: Callable = as_is, *, resident: bool | None = None) -> Feed:
    """A feed over arrays with a common leading axis; on the device where they fit in `RESIDENT_BYTES`.

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
    return Feed(jax.tree.map(jnp.asarray, arrays) if resident else arrays, prepare, resident)


def gather(arrays: PyTree, rows) -> PyTree:
    """The rows of every array."""
    return jax.tree.map(lambda a: a[rows], arrays)


def unit_weights(x: PyTree) -> Batch:
    """A batch in which every example counts the same, without context."""
    return Batch(x=x, context=(), weight=jnp.ones(jax.tree.leaves(x)[0].shape[0]))
