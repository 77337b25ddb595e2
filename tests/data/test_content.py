"""The cut by content: the same rows in the same split whatever their order, equal rows together, a tenth for the test."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae.data.content import as_bytes, cut_by_content, row_digests, split_by_content

FRACTIONS = {"test": 0.1, "validation": 0.2}


def digests(rows):
    return row_digests(as_bytes(np.asarray(rows)))


def by_value(rows, fractions=FRACTIONS):
    """The split of each distinct row; a row in two splits would be two entries."""
    parts = split_by_content(digests(rows), fractions)
    return {(name, tuple(np.asarray(rows)[i])) for name, part in parts.items() for i in part}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=60), st.randoms())
def test_the_split_of_a_row_does_not_depend_on_where_it_stands_and_equal_rows_share_it(rows, random):
    found = by_value(rows)
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert by_value(shuffled) == found
    assert len(found) == len(set(rows)), "a row stands in two splits"
    parts = split_by_content(digests(rows), FRACTIONS)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(rows)))
    assert all(len(parts[name]) <= round(fraction * len(rows)) for name, fraction in FRACTIONS.items())


def test_parts_have_their_size_and_none_moves_with_a_later_fraction():
    rows = np.random.default_rng(0).normal(size=(1000, 3))
    parts = split_by_content(digests(rows), FRACTIONS)
    assert {name: len(part) for name, part in parts.items()} == {"test": 100, "validation": 200, "train": 700}
    other = split_by_content(digests(rows), {"test": 0.1, "validation": 0.5})
    np.testing.assert_array_equal(other["test"], parts["test"])
    assert np.all(np.isin(parts["validation"], other["validation"]))
    assert abs(rows[parts["test"]].mean()) < 4 / np.sqrt(300), "the cut is at random with respect to the values"


def test_the_digest_is_that_of_the_bytes_of_the_nearest_float32():
    rows = np.array([[0.1, -0.0, np.nan]])
    want = hashlib.sha256(b"vae rows" + np.array([0.1, 0.0, np.nan], "<f4").tobytes()).digest()[:8]
    assert digests(rows)[0] == int.from_bytes(want, "big")
    assert digests(rows.astype(np.float32))[0] == digests(rows)[0]
    assert digests([[1, 2]])[0] == digests([[1.0, 2.0]])[0] != digests([[2, 1]])[0]


def test_splits_that_are_given_are_kept():
    rows = np.arange(20.0)[:, None]
    parts = cut_by_content("it", {"train": 20, "test": 5}, lambda: digests(rows), 0.2)
    np.testing.assert_array_equal(parts["test"], np.arange(20, 25))
    assert (len(parts["train"]), len(parts["validation"])) == (16, 4)

    def unused():
        raise AssertionError("nothing is left to cut")

    parts = cut_by_content("it", {"train": 20, "validation": 3, "test": 5}, unused, 0.2)
    np.testing.assert_array_equal(parts["validation"], np.arange(20, 23))


@pytest.mark.parametrize(
    ("size", "fraction", "message"),
    [
        (20, 0.0, "validation_fraction is 0.0, wanted a number between 0 and 1"),
        (4, 0.3, r"the test split of it is empty \(4 rows to cut"),
        (20, 0.01, "the validation split of it is empty"),
        (20, 0.95, "the train split of it is empty"),
    ],
)
def test_an_empty_split_is_refused(size, fraction, message):
    with pytest.raises(ValueError, match=message):
        cut_by_content("it", {"train": size}, lambda: np.arange(size), fraction)


def test_equal_rows_that_would_fill_a_split_are_training_rows_and_warned_of():
    rows = np.concatenate([np.arange(80), np.full(20, 200)])[:, None]
    with pytest.warns(UserWarning, match="20 rows of it are equal and stay together, more than the 10 that a split has"):
        parts = cut_by_content("it", {"train": 100}, lambda: digests(rows), 0.1)
    assert {split: len(part) for split, part in parts.items()} == {"train": 80, "validation": 10, "test": 10}
    assert set(range(80, 100)) <= set(parts["train"])


def test_rows_that_are_all_equal_cannot_be_cut():
    with pytest.raises(ValueError, match=r"the validation split of it is empty .* give more distinct rows"):
        cut_by_content("it", {"train": 50}, lambda: np.zeros(50), 0.1)
