"""The cut into splits by what a row holds: the same row lands in the same split wherever it stands, and equal rows together."""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from vae.data.dataset import SPLITS

TEST_FRACTION = 0.1
SALT = b"vae rows"


def cut_by_content(
    what: str, sizes: Mapping[str, int], digests: Callable[[], np.ndarray], validation_fraction: float
) -> dict[str, np.ndarray]:
    """The rows of each split: those that are given, and parts of the training rows for the others, a tenth for the test set.

    sizes:   rows of each given split, "train" among them; the rows of the splits stand one after another.
    digests: () -> a number for each training row, by its content.
    Raises a ValueError for a fraction outside (0, 1) and where a split would be empty; warns where equal rows
    are more than a split has room for.
    """
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction is {validation_fraction}, wanted a number between 0 and 1, such as 0.1.")
    ends = np.cumsum(list(sizes.values()))
    parts = {split: np.arange(end - size, end) for (split, size), end in zip(sizes.items(), ends)}
    missing = {
        split: part for split, part in (("test", TEST_FRACTION), ("validation", validation_fraction)) if split not in sizes
    }
    found = digests() if missing else np.zeros(0)
    if missing:
        parts |= {split: parts["train"][rows] for split, rows in split_by_content(found, missing).items()}
    for split in SPLITS:
        if len(parts[split]) == 0:
            raise ValueError(
                f"the {split} split of {what} is empty ({sizes['train']} rows to cut, validation_fraction "
                f"{validation_fraction}): give more distinct rows, another fraction, or the splits themselves."
            )
    if missing:
        warn_of_repetition(what, found, min(round(fraction * len(found)) for fraction in missing.values()))
    return {split: parts[split] for split in SPLITS}


def warn_of_repetition(what: str, digests: np.ndarray, smallest: int) -> None:
    """Warn where equal rows are more than a split has room for: none of them is ever validated or tested then."""
    most = int(np.max(np.unique(digests, return_counts=True)[1]))
    if most > smallest:
        warnings.warn(
            f"{most} rows of {what} are equal and stay together, more than the {smallest} that a split has: they are training "
            "rows, and none is validated or tested; give the splits themselves if that matters.",
            stacklevel=4,
        )


def split_by_content(digests: np.ndarray, fractions: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Cut rows into named parts and the rest, "train", by their digests; each part ascending.

    A part takes rows in the order of their digests until it has round(fraction * rows), those with one digest all or none:
    more equal rows than it has room for are left to the next part. No part moves when the fraction of a later one changes.
    """
    _, group, counts = np.unique(digests, return_inverse=True, return_counts=True)
    part = np.full(len(counts), len(fractions))
    for i, fraction in enumerate(fractions.values()):
        room = round(fraction * len(digests))
        for free in np.flatnonzero(part == len(fractions)).tolist():
            if room >= counts[free]:
                part[free], room = i, room - counts[free]
            if room == 0:
                break
    return {name: np.flatnonzero(part[group] == i) for i, name in enumerate([*fractions, "train"])}


def row_digests(*parts: np.ndarray) -> np.ndarray:
    """A 64-bit number for each row by the bytes in it, the same on every machine; (N, bytes) of uint8 each."""
    rows = np.concatenate(parts, axis=1)
    return np.array([int.from_bytes(hashlib.sha256(SALT + row.tobytes()).digest()[:8], "big") for row in rows], np.uint64)


def as_bytes(numbers: np.ndarray) -> np.ndarray:
    """(N, ...) numbers -> (N, bytes): the little-endian float32 nearest to each, so that its type does not show.

    There is one zero, and one NaN for what is missing.
    """
    with np.errstate(over="ignore"):
        plain = numbers.reshape(len(numbers), -1).astype("<f4") + np.float32(0.0)
    plain[np.isnan(plain)] = np.nan
    return np.ascontiguousarray(plain).view(np.uint8)


def text_bytes(texts: Sequence[str]) -> np.ndarray:
    """(texts, 16): a digest of each text."""
    digests = b"".join(hashlib.sha256(text.encode()).digest()[:16] for text in texts)
    return np.frombuffer(digests, np.uint8).reshape(-1, 16)
