"""What the values of an array are: found where it is clear, checked where it is said, a block of rows at a time."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from vae.spaces import DataSpace

BLOCK_BYTES = 1 << 26
EXACT = 2**24
"""Every whole number up to this one is a float32."""

EXACTLY_HELD = f"whole numbers up to {EXACT}, or others that float32 holds: divide them by a unit"
"""What is wanted where they are too large."""

HELD: dict[DataSpace, set[str]] = {
    "binary": {"binary"},
    "unit_interval": {"binary", "unit_interval"},
    "uint8": {"binary", "uint8"},
    "count": {"binary", "uint8", "count"},
}
"""By a space that can be found, the spaces whose values it holds; real numbers hold all."""

MISSING = ("refuse", "mask")
"""What can be done with missing values."""


def require_one_of(what: str, value: Any, known: Sequence[Any]) -> None:
    """Refuse a word that is not known."""
    if value not in known:
        raise ValueError(f"{what} is {value!r}; wanted one of {', '.join(str(word) for word in known if word is not None)}.")


def blocks(array: Any) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, rows) of an array, some megabytes at a time: a memory map is never held as a whole."""
    array = np.asarray(array) if isinstance(array, jax.Array) else array
    rows = max(1, BLOCK_BYTES // max(1, array.nbytes // max(1, array.shape[0])))
    for start in range(0, array.shape[0], rows):
        yield start, np.asarray(array[start : start + rows])


def find_space(array: Any) -> DataSpace:
    """The space of an array that says nothing of it.

    Only 0 and 1, or bool: binary. Other uint8: uint8. Other whole numbers from 0 on: count, also as floats, up to 2^24, since a
    density of real numbers is none of whole ones. Other numbers: unit_interval where all lie in [0, 1], else real. Tokens look
    like counts and have to be said.
    """
    if all(np.all((block == 0) | (block == 1)) for _, block in blocks(array)):
        return "binary"
    if array.dtype == np.uint8:
        return "uint8"
    if all(np.all(block >= 0) & np.all(is_whole(block)) for _, block in blocks(array)):
        return "count"
    return "unit_interval" if all(np.all((block >= 0) & (block <= 1)) for _, block in blocks(array)) else "real"


def is_whole(block: np.ndarray) -> np.ndarray:
    """Which numbers are whole: integers, and floats without a fraction up to the largest of which each is a float32."""
    if block.dtype.kind in "iu":
        return np.ones(block.shape, bool)
    return (block == np.floor(block)) & (np.abs(block) <= np.float32(EXACT))


def union(spaces: Iterable[DataSpace]) -> DataSpace:
    """The smallest of the spaces of numbers that are found which holds the values of all of them.

    >>> union({"binary", "count"}), union({"unit_interval", "count"})
    ('count', 'real')
    """
    found = set(spaces)
    return next((space for space, held in HELD.items() if found <= held), "real")


def require_space(array: Any, space: DataSpace, what: str = "the data", tokens: int = 0) -> None:
    """Raise a ValueError that names the first row which holds a value outside the space, or one that float32 cannot hold.

    tokens: how many there are, of the space "tokens".
    """
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{what} hold values of type {array.dtype}; wanted numbers: encode them first.")
    for start, block in blocks(array):
        for bad, wanted in outside(block, space, tokens):
            if np.any(bad):
                place = np.argwhere(bad)[0]
                value = block[tuple(place)]
                raise ValueError(f"{what} hold {value} in row {start + place[0] + 1}; wanted {wanted}.")


def outside(block: np.ndarray, space: DataSpace, tokens: int = 0, whole: bool = False) -> Iterator[tuple[np.ndarray, str]]:
    """Which values a space does not have, and what was wanted instead.

    whole: whether floats are whole numbers throughout, which then have to stay what they are as float32.
    """
    if block.dtype.kind == "f":
        yield np.isnan(block), "a number: mask what is missing (missing='mask'), or remove the row"
        yield ~(np.abs(block) <= np.finfo(np.float32).max), "finite numbers that float32 can hold: remove or rescale them"
    fraction = block != np.floor(block)
    if space == "binary":
        yield (block != 0) & (block != 1), "0 or 1, as the space is binary"
    elif space == "unit_interval":
        yield (block < 0) | (block > 1), "numbers in [0, 1], as the space is unit_interval: rescale them"
    elif space == "uint8":
        yield fraction | (block < 0) | (block > 255), "whole numbers in 0 ... 255, as the space is uint8"
    elif space == "tokens":
        yield (
            fraction | (block < 0) | (block >= tokens),
            f"tokens from 0 to {tokens - 1}: number them so, or give a larger tokens",
        )
    elif space == "count":
        yield fraction | (block < 0), "whole numbers from 0 on, as the space is count"
    if whole or space == "count" or block.dtype.kind in "iu":
        yield too_large(block), EXACTLY_HELD


def too_large(numbers: np.ndarray) -> np.ndarray:
    """Which whole numbers float32 does not hold; from 2^53 on float64 may have rounded them already, so that they all count."""
    wide = numbers.astype(np.float64)
    return (np.abs(wide) > EXACT) & ((wide.astype(np.float32) != wide) | (np.abs(wide) >= 2**53))
