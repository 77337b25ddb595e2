"""Rows back as columns of the table, with the names of the categories."""

import numpy as np
import pytest

from vae.data import as_columns, table_splits
from vae.spec import Column

RNG = np.random.default_rng(0)
TABLE = {
    "height": RNG.normal(170, 10, 60).astype(np.float32),
    "smokes": RNG.integers(0, 2, 60),
    "visits": RNG.poisson(3, 60),
    "town": RNG.choice(["Ulm", "Bonn", "Trier"], 60),
    "floor": RNG.choice([-1.5, 2, 10], 60),
}
COLUMNS = (Column("visits", "count"), Column("smokes", "binary"), Column("town", "tokens", ("Bonn", "Ulm")))
ROWS = np.array([[0.0, 1.0, 1.0], [7.0, 0.0, 0.0]], np.float32)


def test_a_table_comes_back_from_its_splits_as_it_was():
    splits = table_splits(TABLE, kinds={"visits": "count"}, categorical="floor")
    feeds = (splits.train, splits.validation, splits.test)
    found = as_columns(np.concatenate([feed.arrays["x"] for feed in feeds]), splits.train.spec.columns)
    assert list(found) == list(TABLE)
    order = [int(np.flatnonzero(TABLE["height"] == height)[0]) for height in found["height"]]
    assert sorted(order) == list(range(60))
    for name in ("height", "smokes", "visits", "town"):
        np.testing.assert_array_equal(found[name], TABLE[name][order])
        assert found[name].dtype.kind == TABLE[name].dtype.kind, "whole numbers stay whole, texts are texts"
    words = {-1.5: "-1.5", 2.0: "2", 10.0: "10"}
    assert found["floor"].tolist() == [words[number] for number in TABLE["floor"][order]]


def test_codes_are_names_and_counts_are_whole():
    found = as_columns(ROWS, COLUMNS)
    assert {name: column.tolist() for name, column in found.items()} == {
        "visits": [0, 7],
        "smokes": [1, 0],
        "town": ["Ulm", "Bonn"],
    }


@pytest.mark.parametrize(
    ("place", "number", "wanted"),
    [
        (0, 3.01, "'visits' of x holds 3.01 in row 2; wanted whole numbers from 0 on"),
        (0, -1.0, "'visits' of x holds -1.0 in row 2"),
        (0, np.inf, "'visits' of x holds inf in row 2"),
        (1, 0.987, "'smokes' of x holds 0.987 in row 2; wanted whole numbers from 0 to 1"),
        (2, 2.0, "'town' of x holds 2.0 in row 2; wanted whole numbers from 0 to 1"),
        (2, np.nan, "'town' of x holds nan in row 2"),
    ],
)
def test_what_is_no_value_of_its_column_is_refused(place, number, wanted):
    rows = ROWS.copy()
    rows[1, place] = number
    with pytest.raises(ValueError, match=wanted):
        as_columns(rows, COLUMNS)


@pytest.mark.parametrize("rows", [ROWS[:, :2], ROWS[0]])
def test_another_number_of_columns_is_refused(rows):
    with pytest.raises(ValueError, match=r"wanted \(rows, 3\), an entry for each column"):
        as_columns(rows, COLUMNS)
