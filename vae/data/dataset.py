"""What a data set is, once it has been read: three splits of stored arrays and what is known of them."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

SPLITS = ("train", "validation", "test")
ROWS_AT_A_TIME = 4096


class Split(NamedTuple):
    """One part of a data set, as stored.

    x:     (N, H, W, C) uint8 images; or (N, ...) int32 that a data set's `render` turns into images.
    label: (N,) int32 classes, (N, F) int32 factors of variation, or None.
    """

    x: np.ndarray
    label: np.ndarray | None = None


class Dataset(NamedTuple):
    """Three splits and what a model and a report must know of them; made by `from_splits`.

    name:        what the user asked for.
    train, validation, test: fixed for ever, whatever the seed of a run.
    shape:       of one example as the model sees it, (H, W, C) for images.
    binary:      whether every pixel is 0 or 255, so that a Bernoulli likelihood is a likelihood.
    sha256:      of the stored arrays of all splits in fixed order; the same with and without the cache.
    label_names: of the classes where `label` is (N,), of the factors where it is (N, F); () where there are none.
    render:      one stored example -> one (H, W, C) uint8 image, a JAX function for use under `jit` and `vmap`; None where
                 `x` holds the images.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    shape: tuple[int, ...]
    binary: bool
    sha256: str
    label_names: tuple[str, ...] = ()
    render: Callable | None = None


def from_splits(
    name: str,
    splits: Mapping[str, Any],
    *,
    label_names: tuple[str, ...] = (),
    render: Callable | None = None,
    binary: bool | None = None,
) -> Dataset:
    """Make a data set of its `train`, `validation` and `test` splits; shape, binary and sha256 are found from them.

    splits: by name; an array is a split without labels.
    binary: only needed with `render`, whose images cannot be looked at beforehand; False unless it is given.

    Raises a ValueError where a split is missing or empty, where the splits differ in shape or type, or where the labels are
    not as many as the examples.
    """
    splits = {split: as_split(part) for split, part in splits.items()}
    check_splits(name, splits)
    if render is None:
        shape = splits["train"].x.shape[1:]
        binary = all(is_binary(splits[split].x) for split in SPLITS)
    else:
        shape = _rendered_shape(render, splits["train"].x)
    return Dataset(
        name=name,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        shape=tuple(shape),
        binary=bool(binary),
        sha256=combined_sha256({field: stored_sha256(array) for field, array in stored_arrays(splits).items()}),
        label_names=tuple(label_names),
        render=render,
    )


def without_class(dataset: Dataset, label: int) -> Dataset:
    """The data set without the examples of a class, in all splits; ValueError where there are no classes, or not this one."""
    splits: dict[str, Split] = {split: getattr(dataset, split) for split in SPLITS}
    if any(part.label is None or part.label.ndim != 1 or label not in part.label for part in splits.values()):
        raise ValueError(f"{dataset.name} has no class {label} in every split; wanted labels, and one of them.")

    def others(part: Split) -> Split:
        kept = np.asarray(part.label) != label
        return Split(part.x[kept], np.asarray(part.label)[kept])

    return from_splits(
        f"{dataset.name} without {label}",
        {split: others(part) for split, part in splits.items()},
        label_names=dataset.label_names,
        render=dataset.render,
        binary=dataset.binary,
    )


def as_split(part: Any) -> Split:
    """A split; an array is one without labels."""
    return part if isinstance(part, Split) else Split(np.asarray(part))


def stored_arrays(splits: Mapping[str, Split]) -> dict[str, np.ndarray]:
    """The arrays of all splits by name (`train_x`, `train_label`, `validation_x`, ...), in fixed order."""
    named = {f"{split}_{field}": getattr(splits[split], field) for split in SPLITS for field in Split._fields}
    return {name: array for name, array in named.items() if array is not None}


def stored_sha256(array: np.ndarray) -> str:
    """The digest of a stored array: its type, shape and values (row by row, little-endian), the same on every machine.

    That of a checkpoint's leaf, `vae.training.digest.array_sha256`, writes the shape otherwise: the two never agree.
    """
    digest = start_sha256(array.dtype, array.shape)
    for start in range(0, len(array), ROWS_AT_A_TIME):
        digest.update(little_endian_bytes(array[start : start + ROWS_AT_A_TIME]))
    return digest.hexdigest()


def start_sha256(dtype: np.dtype, shape: tuple[int, ...]):
    """The running digest of an array whose values come later, in blocks of rows."""
    return hashlib.sha256(f"{np.dtype(dtype).name} {list(map(int, shape))}\n".encode())


def little_endian_bytes(array: np.ndarray) -> memoryview:
    """The values of an array as bytes, row by row."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data


def combined_sha256(digests: Mapping[str, str]) -> str:
    """One digest of the digests of named arrays, in the order given."""
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in digests.items()).encode()).hexdigest()


def is_binary(images: np.ndarray) -> bool:
    """Whether every pixel is 0 or 255; stops at the first block that says no."""
    blocks = (images[start : start + ROWS_AT_A_TIME] for start in range(0, len(images), ROWS_AT_A_TIME))
    return images.dtype == np.uint8 and all(bool(np.all((block == 0) | (block == 255))) for block in blocks)


def check_splits(name: str, splits: Mapping[str, Split]) -> None:
    """Raise a ValueError where a split is missing or empty, differs from the others, or has another number of labels."""
    for split in SPLITS:
        _check_split(name, split, splits)


def _check_split(name: str, split: str, splits: Mapping[str, Split]) -> None:
    if split not in splits or len(splits[split].x) == 0:
        raise ValueError(f"the {split} split of {name!r} is empty: give more examples, or a larger fraction for that split.")
    x, label = splits[split]
    first = splits["train"].x
    if (x.shape[1:], x.dtype) != (first.shape[1:], first.dtype):
        raise ValueError(
            f"the {split} split of {name!r} holds examples of {x.dtype} {x.shape[1:]} but the train split of {first.dtype}"
            f" {first.shape[1:]}: give all splits the same shape and type."
        )
    if label is not None and len(label) != len(x):
        raise ValueError(f"the {split} split of {name!r} has {len(x)} examples but {len(label)} labels: give one label each.")


def _rendered_shape(render: Callable, x: np.ndarray) -> tuple[int, ...]:
    import jax

    return jax.eval_shape(render, jax.ShapeDtypeStruct(x.shape[1:], x.dtype)).shape
