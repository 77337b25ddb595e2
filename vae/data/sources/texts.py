"""Columns of a table as they are read: numbers, or texts by their codes."""

from typing import Any, NamedTuple

import numpy as np


class Texts(NamedTuple):
    """A column of text.

    codes: (N,) places in `texts`, -1 for a missing cell.
    texts: the different ones, sorted.
    """

    codes: np.ndarray
    texts: tuple[str, ...]


RawColumn = np.ndarray | Texts
"""float64 numbers with NaN for a missing cell, whole numbers that float64 does not hold as they come, or texts.

An array of anything else (dates) cannot be modelled.
"""


def texts_of(array: Any) -> Texts:
    """Codes and the sorted different texts of an Arrow column of strings."""
    encoded = array.combine_chunks().dictionary_encode()
    found = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return sorted_texts(codes, found)


def sorted_texts(codes: np.ndarray, found: list[str]) -> Texts:
    """Texts from codes into `found`, -1 for a missing cell, by codes of their sorted order.

    Spaces around a text do not count, and an empty one is missing too.
    """
    trimmed = [text.strip() for text in found]
    texts = sorted(set(trimmed) - {""})
    place = {text: code for code, text in enumerate(texts)}
    return Texts(np.array([*(place.get(text, -1) for text in trimmed), -1], np.int64)[codes], tuple(texts))


def as_numbers(column: RawColumn) -> RawColumn:
    """A column of texts as numbers where every one of them is a number, or every one true or false."""
    if not isinstance(column, Texts):
        return column
    numbers = [number_of(text) for text in column.texts]
    if None in numbers:
        truths = {"true": 1.0, "false": 0.0}
        numbers = [truths.get(text.lower()) for text in column.texts]
    if None in numbers:
        return column
    return np.array([*numbers, np.nan], np.float64)[column.codes]


def number_of(text: str) -> float | None:
    """The number that a cell shows, None where it shows none; the underscores of Python are none."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def length_of(column: RawColumn) -> int:
    """The number of rows."""
    return len(column.codes if isinstance(column, Texts) else column)
