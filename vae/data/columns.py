"""From a column as the file has it to float32 numbers of a known kind, or one sentence that says which cell does not fit."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from vae.data.moments import require_varies
from vae.data.sources.texts import RawColumn, Texts, as_numbers, number_of, sorted_texts
from vae.data.values import EXACTLY_HELD, outside, require_one_of, too_large
from vae.spaces import DataSpace
from vae.spec import Column

KINDS: tuple[DataSpace, ...] = ("real", "binary", "count", "tokens")
"""The spaces that a column can have; a categorical one has "tokens"."""

MANY = 20
"""More different texts than this, and than half of the rows, are names or remarks and no categories, unless it is said."""

Place = Callable[[int], str]


class Encoded(NamedTuple):
    """A column as a model sees it.

    column:   its name, space and categories.
    values:   (N,) float32, the code of a category; 0 where the cell is missing.
    observed: (N,) booleans.
    """

    column: Column
    values: np.ndarray
    observed: np.ndarray


def encode(name: str, raw: RawColumn, said: str | None, place: Place) -> Encoded:
    """A column of the kind that is said, or of the one that it shows.

    Shown are: texts, "tokens"; only 0 and 1 (true and false), "binary"; other numbers, also whole ones, "real".

    place: from the index of a row to its words, "row 3".
    Raises a ValueError for numbers among texts, texts among numbers, more texts than are categories, values that the kind does
    not have, numbers that vary too little for float32, and a column without any value.
    """
    require_one_of(f"the kind of the column {name!r}", said, (None, *KINDS))
    kind = next((known for known in KINDS if known == said), None)
    if not isinstance(raw, Texts) and raw.dtype.kind in "iu" and kind != "tokens":
        row = int(np.argmax(too_large(raw)))
        raise ValueError(f"the column {name!r} holds {raw[row]} in {place(row)}; wanted {EXACTLY_HELD}.")
    if not isinstance(raw, Texts) and raw.dtype.kind not in "iuf":
        raise ValueError(f"the column {name!r} holds {raw.dtype} values, wanted numbers or texts: convert it, or leave it out.")
    raw = as_numbers(raw) if kind not in (None, "tokens") else raw
    found = from_texts(name, raw, kind, place) if isinstance(raw, Texts) else from_numbers(name, raw, kind, place)
    if not np.any(found.observed):
        raise ValueError(f"the column {name!r} holds no value at all: leave it out.")
    return found


def from_texts(name: str, raw: Texts, kind: DataSpace | None, place: Place) -> Encoded:
    """A categorical column."""
    if kind != "tokens":
        require_categories(name, raw, kind, place)
    observed = raw.codes >= 0
    return Encoded(Column(name, "tokens", raw.texts), np.where(observed, raw.codes, 0).astype(np.float32), observed)


def require_categories(name: str, raw: Texts, kind: DataSpace | None, place: Place) -> None:
    """Refuse texts where numbers are wanted, among numbers, or too many to be categories."""
    numeric = np.array([number_of(text) is not None for text in raw.texts], bool)
    if kind is not None or np.any(numeric) != np.all(numeric):
        words = raw.codes >= 0
        words[words] = ~numeric[raw.codes[words]]
        row = int(np.argmax(words))
        wanted = "wanted numbers" if kind is not None else "but numbers elsewhere"
        raise ValueError(
            f"the column {name!r} holds the text {raw.texts[raw.codes[row]]!r} in {place(row)}, {wanted}: correct it, or say "
            f"categorical=({name!r},)."
        )
    if len(raw.texts) > max(MANY, len(raw.codes) / 2):
        raise ValueError(
            f"the column {name!r} holds {len(raw.texts)} different texts in {len(raw.codes)} rows: leave it out by columns=, "
            f"or say categorical=({name!r},)."
        )


def from_numbers(name: str, raw: np.ndarray, kind: DataSpace | None, place: Place) -> Encoded:
    """A column of numbers, or of numbers that stand for categories."""
    observed = ~np.isnan(raw)
    seen = raw[observed]
    if kind == "tokens":
        return from_texts(name, number_texts(raw), kind, place)
    if kind is None:
        kind = "binary" if np.all((seen == 0) | (seen == 1)) else "real"
    whole = bool(np.all((seen == np.floor(seen)) & (np.abs(seen) < 2**53)))  # beyond, every float64 is a whole number
    for bad, wanted in outside(seen, kind, whole=whole):
        if np.any(bad):
            row = int(np.flatnonzero(observed)[np.argmax(bad)])
            raise ValueError(f"the column {name!r} holds {raw[row]:.17g} in {place(row)}; wanted {wanted}.")
    if kind == "real" and len(seen):
        require_varies([(seen, None)], lambda entry: f"the column {name!r}")
    return Encoded(Column(name, kind), np.where(observed, raw, 0).astype(np.float32), observed)


def number_texts(raw: np.ndarray) -> Texts:
    """Numbers as texts, in the order of the numbers; whole ones without a point."""
    found, codes = np.unique(raw[~np.isnan(raw)], return_inverse=True)
    all_codes = np.full(len(raw), -1, np.int64)
    all_codes[~np.isnan(raw)] = codes
    whole = [isinstance(number, int) or number.is_integer() for number in found.tolist()]
    return Texts(all_codes, tuple(str(int(number) if is_whole else number) for number, is_whole in zip(found.tolist(), whole)))


def require_known(encoded: Encoded, sizes: Mapping[str, int], place: Place) -> None:
    """Refuse a category of given validation or test rows that no given training row has; of a categorical column.

    sizes: rows by split, those of "train" first.
    """
    known = np.zeros(len(encoded.column.categories), bool)
    codes, train = encoded.values.astype(np.int64), sizes["train"]
    known[codes[:train][encoded.observed[:train]]] = True
    unknown = encoded.observed & ~known[codes]
    if np.any(unknown):
        row = int(np.argmax(unknown))
        raise ValueError(
            f"the column {encoded.column.name!r} holds {encoded.column.categories[codes[row]]!r} in {place(row)}, which no "
            "training row has: add rows that do, or leave those out."
        )


def joined(columns: list[RawColumn], name: str) -> RawColumn:
    """One column of several that follow one another."""
    texts = [column for column in columns if isinstance(column, Texts)]
    numbers = [column for column in columns if not isinstance(column, Texts)]
    if texts and numbers:
        raise ValueError(f"the column {name!r} holds texts in one split and numbers in another: correct it, or leave it out.")
    if numbers:
        same = len({column.dtype for column in numbers}) == 1
        return np.concatenate(numbers if same else [column.astype(object) for column in numbers])
    starts = np.cumsum([0, *(len(column.texts) for column in texts)])
    codes = [np.where(column.codes < 0, -1, column.codes + start) for column, start in zip(texts, starts)]
    return sorted_texts(np.concatenate(codes), [text for column in texts for text in column.texts])
