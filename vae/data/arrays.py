"""Arrays of any shape as training, validation and test data: vectors, series, counts, tokens, pairs."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae.data import feeds
from vae.data.content import as_bytes, cut_by_content, row_digests
from vae.data.contexts import contexts_alike
from vae.data.dataset import SPLITS
from vae.data.feeds import Feed, Splits, feed, with_context
from vae.data.moments import moments, require_varies
from vae.data.picked import Picked
from vae.data.sources.arrays import read_arrays
from vae.data.values import MISSING, blocks, find_space, require_one_of, require_space, union
from vae.spaces import DataSpace
from vae.spec import GIVEN, OBSERVED, Data
from vae.types import PyTree

SPACES: tuple[DataSpace, ...] = ("real", "unit_interval", "binary", "count", "uint8", "tokens")
STORED = {"x": "x", "observed": OBSERVED, "context": GIVEN}
"""The fields of a source by the names under which a feed stores them."""


def array_splits(
    source: Any,
    *,
    space: str | None = None,
    context: PyTree = None,
    labels: Any = None,
    label_names: Sequence[str] = (),
    lengths: Any = None,
    observed: Any = None,
    tokens: int | None = None,
    missing: str = "refuse",
    standardise: bool = True,
    validation_fraction: float = 0.1,
    resident: bool | None = None,
) -> Splits:
    """Arrays as an experiment takes them: one example a row, of any shape, in their own units.

    source:      an array (N, ...), a `.npy`, a dict or an `.npz` with x and, beside it, context, label, observed and lengths,
                 also with splits of one's own (`x_train`, `x_test`, ...), or "module:function" that returns one of these.
    space:       what the values are. Unless told: only 0 and 1, or bool, binary; other uint8, uint8; other whole numbers from 0
                 on, count, also as floats; other numbers unit_interval where all lie in [0, 1], else real. Tokens have to be
                 said.
    context:     an array or a pytree of arrays that x is conditioned on, a row for each example: int32 where they are integers
                 in all splits, uint8 too, else float32.
    labels:      one for each example, for figures only; `label_names` of the classes 0, 1, ...
    lengths:     how many steps of each sequence there are, (N,); what is behind them is missing.
    observed:    booleans of the shape of x, or of its first axes; what is not observed is missing, whatever x holds there.
    tokens:      how many different ones there are; one more than the largest, unless told.
    missing:     what NaN is, and what NumPy has masked: refused, or missing too ("mask").
    standardise: whether a model standardises real data inside, by `Data.scale`.
    resident:    see `feed`. A `.npy` that is too large stays on the disk; its masks and contexts do not.

    Where anything may be missing, x holds 0 there and the context is {"observed": ..., "given": the context, if there is one}.

    Where the source has no splits, a tenth of the rows is the test set, `validation_fraction` of them the validation set. Which
    rows these are depends on their x alone: rows in another order land in the same splits, equal rows together. Means and
    standard deviations are those of the training rows.

    >>> counts = np.random.default_rng(0).poisson(3.0, size=(100, 7))
    >>> vae.data.array_splits(counts).train.spec.space
    'count'

    Raises a ValueError or a TypeError of one sentence, with the row (from 1), for what does not fit.
    """
    require_one_of("missing", missing, MISSING)
    require_one_of("space", space, (None, *SPACES))
    extra = {"context": context, "label": labels, "lengths": lengths, "observed": observed}
    parts = with_extra(read_arrays(source), {field: value for field, value in extra.items() if value is not None})
    parts = {split: plain_part(name_of_split(split, parts), part, missing) for split, part in parts.items()}
    require_alike(parts)
    if "context" in parts["train"]:
        contexts = contexts_alike({name_of_split(split, parts): part["context"] for split, part in parts.items()})
        parts = {split: {**part, "context": context} for (split, part), context in zip(parts.items(), contexts)}
    masked = missing == "mask" or any(field in part for part in parts.values() for field in ("lengths", "observed"))
    parts = {split: with_mask(part, missing) if masked else part for split, part in parts.items()}
    found = next(known for known in SPACES if known == space) if space else widest(parts)
    number = number_of_tokens(parts, tokens) if found == "tokens" else 0
    for split, part in parts.items():
        require_space(part["x"], found, name_of_split(split, parts), number)
        require_labels(name_of_split(split, parts), part, label_names)
    require_varies_in_float32([(part["x"], part.get("observed")) for part in parts.values()], found)
    sizes = {split: len(parts[split]["x"]) for split in SPLITS if split in parts}
    rows = cut_by_content("the data", sizes, partial(array_digests, parts["train"]), validation_fraction)
    own = {split: take(parts["train"], rows[split]) for split in SPLITS if split == "train" or split not in parts}
    pieces = {**parts, **own}
    spec = spec_of(pieces["train"], found, number, standardise)
    return Splits(**{split: feed_of(piece, spec, label_names, resident) for split, piece in pieces.items()})


def name_of_split(split: str, parts: Mapping[str, Any]) -> str:
    """What the data of a split are called in a message."""
    return f"the {split} data" if len(parts) > 1 else "the data"


def with_extra(parts: dict[str, dict[str, Any]], extra: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The fields that were given as arguments beside those of the source."""
    for field in extra:
        if len(parts) > 1 or field in parts["train"]:
            raise ValueError(f"the source has splits or a {field} of its own; wanted {field} in the source, for each split.")
    return {"train": {**parts["train"], **extra}} if extra else parts


def plain_part(what: str, part: Mapping[str, Any], missing: str) -> dict[str, Any]:
    """Every field as arrays with as many rows as x; memory maps stay what they are, and x masked if that may be."""
    is_tree = {field: field == "context" and isinstance(value, Mapping | tuple) for field, value in part.items()}
    arrays = {
        field: jax.tree.map(partial(plain, field, what), value) if is_tree[field] else plain(field, what, value)
        for field, value in part.items()
    }
    x = arrays["x"]
    if x.size == 0 or x.ndim < 2:
        wanted = (
            "wanted (rows, ...), such as x[:, None] for one number a row"
            if x.size
            else "which is empty: wanted at least one row"
        )
        raise ValueError(f"the x of {what} has shape {x.shape}, {wanted}.")
    for field, tree in arrays.items():
        for leaf in jax.tree.leaves(tree):
            if len(leaf) != len(x):
                raise ValueError(f"{what} have {len(x)} rows of x but {len(leaf)} of {field}: give one for each.")
    for field, tree in arrays.items():
        if field != "x" or missing == "refuse":
            arrays[field] = jax.tree.map(partial(without_mask, field, what), tree)
    return arrays


def without_mask(field: str, what: str, array: np.ndarray) -> np.ndarray:
    """The plain array of a masked one where nothing is masked."""
    masked = np.ma.getmask(array)
    if np.any(masked):
        hint = "say missing='mask', or remove the row" if field == "x" else "fill them, as only x may be masked"
        raise ValueError(f"the {field} of {what} has masked values, first in row {np.argwhere(masked)[0][0] + 1}: {hint}.")
    return np.ma.getdata(array)


def plain(field: str, what: str, values: Any) -> np.ndarray:
    """An array of numbers with an axis of rows."""
    if isinstance(values, list) and any(isinstance(row, np.ma.MaskedArray) for row in values):
        values = np.ma.stack(values)
    try:
        array = values if isinstance(values, np.memmap | np.ma.MaskedArray) else np.asarray(values)
    except ValueError as error:  # NumPy's word for a ragged list
        raise ValueError(f"the {field} of {what} has rows of different lengths: pad them, and give lengths.") from error
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise ValueError(
            f"the {field} of {what} is {array.dtype} of shape {array.shape}; wanted numbers, a row for each example."
        )
    return native(array)


def native(array: np.ndarray) -> np.ndarray:
    """The numbers in the byte order of the machine, and in at most 64 bits."""
    array = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    with np.errstate(over="ignore"):  # infinite is refused
        return array.astype(np.float64) if array.dtype.kind == "f" and array.dtype.itemsize > 8 else array


def require_alike(parts: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse splits that differ in the shapes of an example and of its context."""

    def shapes(part: Mapping[str, Any]) -> PyTree:
        return jax.tree.map(lambda leaf: leaf.shape[1:], {field: part[field] for field in ("x", "context") if field in part})

    for split, part in parts.items():
        if shapes(part) != shapes(parts["train"]):
            differing = f"the train data {shapes(parts['train'])} and of the {split} data {shapes(part)}"
            raise ValueError(f"the shapes of an example differ, of {differing}: give all the same.")


def with_mask(part: Mapping[str, Any], missing: str) -> dict[str, Any]:
    """x with 0 where it is missing, and booleans of its shape."""
    x, masked = np.ma.getdata(part["x"]), np.ma.getmask(part["x"])
    rest = {field: value for field, value in part.items() if field not in ("lengths", "observed")}
    seen = ~(np.isnan(x) | masked) if missing == "mask" else np.ones(x.shape, bool)
    if "lengths" in part:
        require_lengths(part["lengths"], x.shape[1])
        seen &= trailing(np.arange(x.shape[1]) < part["lengths"][:, None], x.ndim)
    if "observed" in part:
        observed = np.asarray(part["observed"])
        if observed.shape != x.shape[: observed.ndim]:
            raise ValueError(f"observed has shape {observed.shape}; wanted that of x, {x.shape}, or of its first axes.")
        if not np.all((observed == 0) | (observed == 1)):
            raise ValueError("observed holds other values than true and false; wanted booleans.")
        seen &= trailing(observed.astype(bool), x.ndim)
    return {**rest, "x": np.where(seen, x, np.zeros((), x.dtype)), "observed": seen}


def trailing(array: np.ndarray, ndim: int) -> np.ndarray:
    """The array with axes of one behind it."""
    return array.reshape(array.shape + (1,) * (ndim - array.ndim))


def require_lengths(lengths: np.ndarray, steps: int) -> None:
    """Refuse lengths that are no whole numbers up to the number of steps."""
    bad = (lengths < 0) | (lengths > steps) | (lengths != np.floor(lengths))
    if lengths.ndim != 1 or np.any(bad):
        got = f"shape {lengths.shape}" if lengths.ndim != 1 else f"{lengths[np.argmax(bad)]} in row {int(np.argmax(bad)) + 1}"
        raise ValueError(f"lengths has {got}; wanted a whole number from 0 to {steps} for each row.")


def widest(parts: Mapping[str, Mapping[str, Any]]) -> DataSpace:
    """The space that is found in the values of all splits."""
    return union(find_space(part["x"]) for part in parts.values())


def number_of_tokens(parts: Mapping[str, Mapping[str, Any]], tokens: int | None) -> int:
    """How many different tokens there are."""
    if tokens is not None and tokens < 1:
        raise ValueError(f"tokens is {tokens}; wanted how many different ones there are.")
    return tokens or 1 + max(int(np.max(block)) for part in parts.values() for _, block in blocks(part["x"]))


def require_labels(what: str, part: Mapping[str, Any], label_names: Sequence[str]) -> None:
    """Refuse labels that are not one number each, and those that have no name where names are given."""
    if "label" not in part:
        return
    label = part["label"]
    if label.ndim not in (1, 2) or not np.all(np.isfinite(label)):
        raise ValueError(f"the labels of {what} have shape {label.shape}; wanted one finite number for each row.")
    bad = (label < 0) | (label >= len(label_names)) | (label != np.floor(label)) if label_names and label.ndim == 1 else None
    if bad is not None and np.any(bad):
        row = int(np.argmax(bad))
        raise ValueError(
            f"the label of row {row + 1} of {what} is {label[row]}; wanted 0 to {len(label_names) - 1}, as there are "
            f"{len(label_names)} label_names."
        )


def array_digests(part: Mapping[str, Any]) -> np.ndarray:
    """A number for each row by its x, which counts as NaN where it is missing."""
    observed = part.get("observed")

    def of(start: int, block: np.ndarray) -> np.ndarray:
        seen = block if observed is None else np.where(observed[start : start + len(block)], block, np.nan)
        return row_digests(as_bytes(seen))

    return np.concatenate([of(start, block) for start, block in blocks(part["x"])])


def take(part: Mapping[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """Some rows of every array; of one that is too large for memory, read as they are asked for."""

    def of(array: np.ndarray) -> Any:
        if len(rows) == len(array):
            return array
        large = isinstance(array, np.memmap) and array.nbytes > feeds.RESIDENT_BYTES
        return Picked(array, rows) if large else array[rows]

    return jax.tree.map(of, dict(part))


def spec_of(train: Mapping[str, Any], space: DataSpace, tokens: int, standardise: bool) -> Data:
    """What a model has to know of the data; mean and scale are those of the training rows."""
    if space == "tokens":
        return Data(shape=tuple(train["x"].shape[1:]), space=space, tokens=tokens)
    mean, std = moments(train["x"], train.get("observed"))
    scale = jnp.asarray(std) if standardise and space == "real" else None
    return Data(shape=tuple(train["x"].shape[1:]), space=space, mean=jnp.asarray(mean), scale=scale)


def require_varies_in_float32(parts: Sequence[tuple[Any, Any]], space: DataSpace) -> None:
    """Refuse numbers that are no whole ones and vary by less than float32 holds; those that came as float32 it does hold."""
    if space in ("real", "unit_interval") and any(x.dtype.itemsize > 4 for x, _ in parts):
        require_varies(parts, lambda entry: f"the entry {entry} of the data")


def spec_of_array(train: Any, space: DataSpace) -> Data:
    """What a model has to know of a plain array of training examples of that space."""
    require_varies_in_float32([(train, None)], space)
    return spec_of({"x": train}, space, 0, standardise=True)


def feed_of(part: Mapping[str, Any], spec: Data, label_names: Sequence[str], resident: bool | None) -> Feed:
    """The feed of one split."""
    stored = {name: part[field] for field, name in STORED.items() if field in part}
    if spec.space == "uint8" and stored["x"].dtype != np.uint8:
        stored["x"] = np.asarray(stored["x"]).astype(np.uint8)
    return feed(stored, with_context, spec=spec, resident=resident, labels=part.get("label"), label_names=label_names)
