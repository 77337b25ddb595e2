"""How stored examples reach the step: resident on the device, or gathered on the host a chunk ahead."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from vae.data.dataset import Dataset
from vae.data.values import blocks, find_space, require_space
from vae.spaces import DataSpace
from vae.spec import GIVEN, OBSERVED, Data
from vae.types import Batch, Key, PyTree

RESIDENT_BYTES = 4 * 2**30
LOOKED_AT = 1_000
REFUSED_KINDS = "OSUMmc"
"""Of NumPy's types: objects, strings, dates and complex numbers."""

_SHOWN: dict[DataSpace, Any] = {"uint8": np.uint8, "tokens": np.int32}
"""The type in which a model sees whole numbers; float32 in every other space."""


class Feed(NamedTuple):
    """Stored examples and how the model is to see them.

    arrays:      pytree of arrays with a leading axis of examples, as stored (uint8 pixels, indices, labels).
    prepare:     (key, stored batch) -> x, context; or -> x, context, values where some latent groups are observed. Runs on the
                 device inside the step (binarisation, rendering).
    spec:        what a model has to know of one prepared example.
    resident:    whether the arrays live on the device; otherwise each chunk's rows are gathered on the host.
    labels:      one per example, for the eye (a colour in a figure); no model sees them. None where there are none.
    label_names: of the classes.
    """

    arrays: PyTree
    prepare: Callable[[Key, PyTree], tuple]
    spec: Data
    resident: bool
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The number of examples."""
        return jax.tree.leaves(self.arrays)[0].shape[0]

    def __repr__(self) -> str:
        where = "on the device" if self.resident else "on the host"
        given = f", conditioned on {self.spec.context}" if jax.tree.leaves(self.spec.context) else ""
        return f"Feed({self.size:,} examples, {self.spec.space} {self.spec.shape}{given}, {where})"


def as_is(key: Key, stored: PyTree) -> tuple[PyTree, PyTree]:
    """The stored example is x, and there is no context."""
    return stored, ()


def with_context(key: Key, stored: PyTree) -> tuple[PyTree, PyTree]:
    """x of a stored dict and its context: "given", and where values may be missing {"observed": ..., "given": ...}."""
    context = {name: stored[name] for name in (OBSERVED, GIVEN) if name in stored}
    return stored["x"], context if OBSERVED in context else context.get(GIVEN, ())


class Splits(NamedTuple):
    """The data of an experiment.

    train:      a Feed, or one per name for an objective of several (labelled and unlabelled examples).
    validation: what the best checkpoint is chosen on, None for no validation.
    test:       what a report is made of; it takes no part in training.
    """

    train: Feed | Mapping[str, Feed]
    validation: Feed | None = None
    test: Feed | None = None


def each_feed(function: Callable, first: Any, *others: Any) -> Any:
    """function(first, *others), or by name where there are several feeds and each argument is a mapping of their names."""
    if not isinstance(first, Mapping):
        return function(first, *others)
    return {name: function(first[name], *(other[name] for other in others)) for name in sorted(first)}


def feed(
    arrays: PyTree,
    prepare: Callable = as_is,
    *,
    spec: Data | None = None,
    resident: bool | None = None,
    labels: ArrayLike | None = None,
    label_names: Sequence[str] = (),
) -> Feed:
    """A feed over arrays with a common leading axis; on the device where they fit in `RESIDENT_BYTES`.

    spec:   what the model is built for; by default the shape that `prepare` gives, in the space that `find_space` finds: whole
            floats from 0 on are counts, as integers are. What examples are conditioned on is found from `prepare` in any case.
    labels: one per example, for figures only.

    Whole numbers and booleans are shown to the model as float32, but for the space "uint8", and tokens as int32.

    >>> images = np.zeros((100, 28, 28, 1), np.float32)
    >>> vae.data.feed(images).spec.shape
    (28, 28, 1)

    Raises ValueError where the leaves are none, empty, of different lengths, or hold NaN or infinity, and for labels that are
    not as many or lie outside the names; TypeError for what holds splits.
    """
    if isinstance(arrays, Dataset | Splits | Feed):
        raise TypeError(
            f"the arrays of a feed are a {type(arrays).__name__}; wanted arrays with one leading axis of examples: give an "
            "experiment the whole of it, data=vae.data.image_splits(dataset) where it is a data set."
        )
    leaves = jax.tree.leaves(arrays)
    sizes = {np.shape(leaf)[0] if np.ndim(leaf) else None for leaf in leaves}
    if len(sizes) != 1 or None in sizes:
        listed = ", ".join(str(np.shape(leaf)) for leaf in leaves) or "no arrays"
        raise ValueError(f"the data are arrays of shapes {listed}; wanted arrays with one leading axis of examples in common.")
    if 0 in sizes:
        raise ValueError("the data hold no examples; wanted at least one: check the split or the path.")
    for leaf in leaves:
        if isinstance(leaf, np.ma.MaskedArray):
            raise ValueError(
                "the data are masked arrays; wanted plain ones: vae.data.array_splits(x, missing='mask') takes what is masked "
                "for missing."
            )
        if leaf.dtype.kind in REFUSED_KINDS:
            raise ValueError(f"the data hold values of type {leaf.dtype}; wanted real numbers: encode them first.")
        if np.issubdtype(leaf.dtype, np.floating) and not all(np.all(np.isfinite(block)) for _, block in blocks(leaf)):
            raise ValueError("the data hold NaN or infinite values; remove those examples, or mask them in the likelihood.")
    if resident is None:
        resident = sum(leaf.nbytes for leaf in leaves) <= RESIDENT_BYTES
    x, context = example_like(arrays, prepare)
    spec = (Data(shape=_shape(x), space=_space(arrays, prepare, x)) if spec is None else spec)._replace(context=context)
    if prepare is as_is and _is_array(arrays) and (arrays.dtype.kind in "biu" or spec.space in ("count", "tokens")):
        require_space(arrays, spec.space, tokens=spec.tokens)
    labels = None if labels is None else checked_labels(labels, np.shape(leaves[0])[0], label_names)
    arrays = jax.tree.map(jnp.asarray, arrays) if resident else arrays
    dtype = _SHOWN.get(spec.space, np.float32)
    if _is_array(x) and x.dtype != dtype and x.dtype.kind in "biu":
        prepare = partial(_converted, prepare, dtype)
    return Feed(arrays, prepare, spec, resident, labels, tuple(label_names))


def checked_labels(labels: ArrayLike, size: int, label_names: Sequence[str]) -> np.ndarray:
    """Labels as an array; ValueError where they are not one per example, or where a class has no name among those given."""
    labels = np.asarray(labels)
    if len(labels) != size:
        raise ValueError(f"there are {len(labels)} labels for {size} examples; wanted one for each.")
    classes = labels.ndim == 1 and labels.dtype.kind in "iu"
    if label_names and classes and not (labels.min() >= 0 and labels.max() < len(label_names)):
        raise ValueError(
            f"the labels lie in {labels.min()} ... {labels.max()}, with names for {len(label_names)} classes; wanted "
            f"0 ... {len(label_names) - 1}: number the classes from 0, or give a name for each."
        )
    return labels


def _converted(prepare: Callable, dtype: Any, key: Key, stored: PyTree) -> tuple:
    x, *rest = prepare(key, stored)
    return x.astype(dtype), *rest


def prepared(feed: Feed, key: Key, stored: PyTree) -> Batch:
    """A stored batch as the model sees it, every example with weight one."""
    x, context, *values = feed.prepare(key, stored)
    weight = jnp.ones(jax.tree.leaves(stored)[0].shape[0])
    return Batch(x=x, context=context, weight=weight, values=values[0] if values else ())


def gather(arrays: PyTree, rows) -> PyTree:
    """The rows of every array."""
    return jax.tree.map(lambda a: a[rows], arrays)


def batch_like(arrays: PyTree, rows: int) -> PyTree:
    """Shapes and types of so many rows of every array on the device, where 64 bits may be 32."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct((rows, *a.shape[1:]), jax.dtypes.canonicalize_dtype(a.dtype)), arrays)


def example_like(arrays: PyTree, prepare: Callable) -> tuple[PyTree, PyTree]:
    """What x and the context of one prepared example look like."""
    x, context, *_ = jax.eval_shape(prepare, jax.random.key(0), batch_like(arrays, 1))
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (x, context))


def _shape(x: PyTree) -> tuple[int, ...]:
    """Of one prepared example, () for one that is not a single array."""
    return tuple(x.shape) if _is_array(x) else ()


def _space(arrays: PyTree, prepare: Callable, x: PyTree) -> DataSpace:
    """What nobody has said: found from the values, of what is prepared from those of the first `LOOKED_AT` examples."""
    if not _is_array(x):
        return "real"
    if prepare is as_is:
        return find_space(arrays)
    rows = jax.tree.map(jnp.asarray, gather(arrays, slice(LOOKED_AT)))
    return find_space(np.asarray(jax.jit(prepare)(jax.random.key(0), rows)[0]))


def _is_array(tree: PyTree) -> bool:
    """Whether a pytree is a single array."""
    return jax.tree_util.treedef_is_leaf(jax.tree.structure(tree)) and hasattr(tree, "shape")
