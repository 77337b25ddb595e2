"""What a source of data is: the records that the files of this folder fill in."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae.data.checks import as_labels, as_pixels


class Rows(NamedTuple):
    """One split of a source, not read yet, so that what does not fit in memory can pass through it in blocks.

    size:  the number of examples.
    fetch: ascending indices (n,) -> x (n, ...), labels (n, ...) or None, in stored form.
    """

    size: int
    fetch: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


class Raw(NamedTuple):
    """What a source hands over.

    splits:      "train" and, where the source has them, "validation" and "test"; `load` cuts those that are missing.
    label_names, render, binary: as in `Dataset`.
    together:    (n,) a 64-bit number for each training row, where rows with the same one have to stay in one split.
    """

    splits: Mapping[str, Rows]
    label_names: tuple[str, ...] = ()
    render: Callable | None = None
    binary: bool | None = None
    together: np.ndarray | None = None


class Source(NamedTuple):
    """One way to get a data set.

    usage:    what the user types for it, as error messages say it.
    accepts:  name -> whether this source is meant; cheap, and asked before anything is imported.
    identify: name -> a text that changes whenever the content does, for the key of the cache; None where nothing is cached.
    read:     name -> Raw.
    """

    usage: str
    accepts: Callable[[str], bool]
    identify: Callable[[str], str] | None
    read: Callable[[str], Raw]


def from_arrays(splits: Mapping[str, tuple[Any, Any]]) -> dict[str, Rows]:
    """Rows from (images, labels) in memory, brought to stored form and checked."""
    images = as_pixels({split: images for split, (images, _) in splits.items()})
    labels = {split: as_labels(split, labels, len(images[split])) for split, (_, labels) in splits.items()}
    return {split: in_memory(images[split], labels[split]) for split in splits}


def in_memory(x: np.ndarray, labels: np.ndarray | None) -> Rows:
    """Rows from arrays in stored form."""

    def fetch(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return x[indices], None if labels is None else labels[indices]

    return Rows(len(x), fetch)


def fingerprint(paths: list[Path]) -> str:
    """Name, size and time of change of files: differs whenever one of them was written."""
    stats = [(str(path.absolute()), path.stat()) for path in sorted(paths)]
    return "\n".join(f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in stats)
