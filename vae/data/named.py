"""Rows in a model's coding back as the columns of the table that they came from, for people and for files."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from vae.spec import Column


def as_columns(x: ArrayLike, columns: Sequence[Column]) -> dict[str, np.ndarray]:
    """Rows of a table by the names of its columns, as the file had them: draws, or what `table_splits` made of one.

    x:       (N, columns) numbers, in the order of the columns; a category as its code 0, 1, ...
    columns: of the table, `trained.spec.columns`.
    Returns, by name in that order, (N,) texts where a column is categorical, whole numbers (int64) for counts and for 0 and 1,
    and for real numbers those of x. What is missing has to be filled before; see `vae.evaluation.impute`.

    >>> town = vae.spec.Column("town", "tokens", ("Bonn", "Ulm"))
    >>> vae.data.as_columns([[1.0], [0.0]], (town,))["town"].tolist()
    ['Ulm', 'Bonn']

    Raises ValueError for another number of columns, and for numbers that are no codes, counts, or 0 and 1: means are none.
    """
    rows = np.asarray(x)
    if rows.ndim != 2 or rows.shape[1] != len(columns):
        raise ValueError(f"x has shape {rows.shape}; wanted (rows, {len(columns)}), an entry for each column of the table.")
    return {column.name: as_column(rows[:, place], column) for place, column in enumerate(columns)}


def as_column(values: np.ndarray, column: Column) -> np.ndarray:
    """One column as the file had it."""
    if column.space == "real":
        return values
    ends = {"tokens": len(column.categories) - 1, "binary": 1}
    end = ends.get(column.space, np.inf)
    bad = ~((values >= 0) & (values <= end) & (values == np.floor(values)) & (values < 2.0**63))
    if np.any(bad):
        row = int(np.argmax(bad))
        wanted = "on" if end == np.inf else f"to {end}"
        raise ValueError(
            f"the column {column.name!r} of x holds {values[row]!s} in row {row + 1}; wanted whole numbers from 0 {wanted}, as "
            "the data have: give draws, not means."
        )
    whole = values.astype(np.int64)
    return np.array(column.categories)[whole] if column.space == "tokens" else whole
