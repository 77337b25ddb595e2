"""From a name to a data set: find the source, cut the splits that it lacks, keep the result in the cache."""

import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vae.data import cache
from vae.data.content import split_by_content
from vae.data.dataset import SPLITS, Dataset, Split, from_splits
from vae.data.keyed import split_indices
from vae.data.sources import find_source
from vae.data.sources.base import Raw, Rows, Source

TEST_FRACTION = 0.1
SPLIT_SALT = "splits"
BLOCK = 1024


class Part(NamedTuple):
    """The rows of a source that make one split."""

    rows: Rows
    indices: np.ndarray


def load(name: str, *, validation_fraction: float = 0.05, cache_dir: str | os.PathLike | None = None) -> Dataset:
    """Load a data set by its name.

    name: one of
        digits                        1,797 real 8 x 8 digits, for trying out
        sprites                       dSprites-like images, rendered on the device
        emoji, emoji/32, emoji/32/rgb colour with transparency, from a zip; smaller; on white (`vae.data.sources.emoji`)
        mnist, cifar10, celeb_a, ...  an image data set of TensorFlow Datasets, also `mnist:3.0.1` or `emnist/letters`
        PATH                          an IDX file (`.gz` too), an `.npz`, a folder or a `.zip` of images
        module:function               a function that returns a Dataset, an array of images, or (images, labels)

    Images of any size and 1 to 4 channels are stored as uint8; floats in 0 ... 1 are scaled and rounded, and a set of 0 and 1
    becomes one of 0 and 255.

    Official splits are used where they exist. Where they do not, a tenth of the training set is cut off as the test set, and
    `validation_fraction` of it as the validation set, at random but the same for ever: whatever the seed and the machine, and
    the test set whatever `validation_fraction`.

    Decoded arrays are cached under `cache_dir` ($VAE_CACHE_DIR, or the user's cache folder) and memory-mapped from there; where
    it cannot be written, a warning says so and the data stay in memory.

    Raises a ValueError or a FileNotFoundError of one sentence for a name that is not known, a file that is missing or damaged,
    images of mixed sizes, pixels outside 0 ... 255, NaN, labels that are not as many as the images, and an empty split.
    """
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction is {validation_fraction}, wanted a number between 0 and 1, such as 0.05.")
    source = find_source(name)
    if source.identify is None:
        return _in_memory(name, source.read(name), validation_fraction)
    entry = cache.cache_root(cache_dir) / cache.entry_name(
        name, source.identify(name), validation_fraction, TEST_FRACTION, SPLIT_SALT
    )
    return cache.read(entry, name) or _build(name, source, validation_fraction, entry)


def _build(name: str, source: Source, validation_fraction: float, entry: Path) -> Dataset:
    raw = source.read(name)
    parts = cut(name, raw, validation_fraction)
    try:
        cache.write(entry, {split: (len(part.indices), blocks(part)) for split, part in parts.items()}, raw.label_names)
        dataset = cache.read(entry, name)
        if dataset is not None:
            return dataset
        reason = f"{entry}: what was written there cannot be read back"
    except cache.CacheError as error:
        reason = str(error)
    warnings.warn(
        f"the data cache cannot be used, so {name} stays in memory and is decoded again each time ({reason}).", stacklevel=3
    )
    return _in_memory(name, raw, validation_fraction)


def _in_memory(name: str, raw: Raw, validation_fraction: float) -> Dataset:
    splits = {split: _gather(part) for split, part in cut(name, raw, validation_fraction).items()}
    return from_splits(name, splits, label_names=raw.label_names, render=raw.render, binary=raw.binary)


def cut(name: str, raw: Raw, validation_fraction: float) -> dict[str, Part]:
    """Which rows make which split: those of the source, and keyed parts of its training set for those it lacks.

    Rows that have to stay together are dealt by their common number, others at random. Raises a ValueError where a split would
    be empty.
    """
    rows: Mapping[str, Rows] = raw.splits
    fractions = {"test": TEST_FRACTION, "validation": validation_fraction}
    missing = {split: fraction for split, fraction in fractions.items() if split not in rows}
    if raw.together is None:
        pieces = split_indices(rows["train"].size, missing, SPLIT_SALT)
    else:
        pieces = split_by_content(raw.together, missing)
    given = {split: np.arange(rows[split].size) for split in rows}
    parts = {split: Part(rows.get(split, rows["train"]), (given | pieces)[split]) for split in SPLITS}
    for split, part in parts.items():
        if len(part.indices) == 0:
            raise ValueError(
                f"the {split} split of {name!r} is empty ({rows['train'].size} images in all, validation_fraction"
                f" {validation_fraction}): give more images or another fraction."
            )
    return parts


def blocks(part: Part) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """The rows of a split, a few at a time."""
    for start in range(0, len(part.indices), BLOCK):
        yield part.rows.fetch(part.indices[start : start + BLOCK])


def _gather(part: Part) -> Split:
    x, labels = zip(*blocks(part), strict=True)
    return Split(np.concatenate(x), None if labels[0] is None else np.concatenate(labels))
