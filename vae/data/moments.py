"""Mean and standard deviation of every entry, by which a model standardises inside, and whether float32 holds how it varies."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from vae.data.values import blocks

CONSTANT = 1e-12
"""A standard deviation under this part of the mean is rounding: the entry is constant."""

LOST = 0.01
"""Rounding to float32 may be this part of an entry's standard deviation."""

SMALLEST = float(np.finfo(np.float32).tiny)
"""What is nearer to zero than this float32 is zero on a device."""

Entry = tuple[int, ...]


def moments(x: Any, observed: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) of each entry, over its observed values, float32.

        mean = sum x / n,      std = sqrt(sum (x - mean)^2 / n),      1 where an entry is constant or never observed

    x:        (N, *shape) numbers, whatever is missing among them; read twice, a block at a time.
    observed: (N, *shape) booleans; None where everything is.
    Raises a ValueError where an entry varies by less than the smallest normal float32, which a device takes for 0.
    """

    def total(of_block: Callable) -> Any:
        return sum(np.sum(of_block(block), axis=0, where=seen) for block, seen in observed_blocks(x, observed))

    count = np.maximum(total(np.ones_like), 1)
    mean = total(lambda block: block) / count
    std = np.sqrt(total(lambda block: (block - mean) ** 2) / count)
    std = np.where(std > CONSTANT * np.abs(mean), std, 1.0)
    if np.any(std < SMALLEST):
        entry = first(std < SMALLEST)
        raise ValueError(f"the entry {entry} varies by {std[entry]:.3g} only, which float32 takes for 0: rescale the data.")
    return np.asarray(mean, np.float32), np.asarray(std, np.float32)


def require_varies(parts: Sequence[tuple[Any, Any]], name: Callable[[Entry], str]) -> None:
    """Raise a ValueError where float32 loses how an entry varies over all parts together.

        std(float32(x) - x) > LOST std(x)      or      std(x) < SMALLEST,      where x is not constant in float64

    parts: (x, observed) as `moments` has them, of one shape.
    name:  from the index of an entry to its words, "the column 'age'".
    """

    def totals(of_block: Callable) -> list[Any]:
        found = ((of_block(block), seen) for x, observed in parts for block, seen in observed_blocks(x, observed))
        each = zip(*([np.sum(numbers, axis=0, where=seen) for numbers in several] for several, seen in found))
        return [np.sum(np.stack(sums), axis=0) for sums in each]

    count, *sums = totals(lambda block: (np.ones_like(block), block, as_float32(block) - block))
    mean, bias = (total / np.maximum(count, 1) for total in sums)
    squares = totals(lambda block: ((block - mean) ** 2, (as_float32(block) - block - bias) ** 2))
    std, lost = (np.sqrt(total / np.maximum(count, 1)) for total in squares)
    bad = varying(parts) & ((lost > LOST * std) | (std < SMALLEST))
    if np.any(bad):
        entry = first(bad)
        raise ValueError(
            f"{name(entry)} varies by {std[entry]:.3g} about {mean[entry]:.10g}, of which float32 loses too much: subtract a "
            "constant from it, or rescale it."
        )


def varying(parts: Sequence[tuple[Any, Any]]) -> np.ndarray:
    """Whether an entry has values that differ by more than the rounding of float64."""
    low, high = np.inf, -np.inf
    for x, observed in parts:
        for block, seen in observed_blocks(x, observed):
            low = np.minimum(low, np.min(block, axis=0, where=seen, initial=np.inf))
            high = np.maximum(high, np.max(block, axis=0, where=seen, initial=-np.inf))
    rounding = 8 * np.finfo(np.float64).eps * np.maximum(np.abs(low), np.abs(high))
    return np.asarray((high >= low) & (high - low > rounding))


def observed_blocks(x: Any, observed: Any) -> Iterator[tuple[np.ndarray, Any]]:
    """(float64 numbers, which of them are observed), a block of rows at a time."""
    for start, block in blocks(x):
        seen = np.True_ if observed is None else np.asarray(observed[start : start + len(block)])
        yield np.asarray(block, np.float64), seen


def as_float32(numbers: np.ndarray) -> np.ndarray:
    """float64 numbers as a device has them in float32, as float64 again."""
    rounded = numbers.astype(np.float32)
    return np.where(np.abs(rounded) < SMALLEST, 0, rounded).astype(np.float64)


def first(bad: Any) -> Entry:
    """The index of the first entry that is."""
    return tuple(int(i) for i in np.argwhere(bad)[0])
