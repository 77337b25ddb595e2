"""What the values of an array are: found, and held against what is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vae.data import values
from vae.data.moments import moments, require_varies
from vae.data.values import find_space, require_space, too_large


@pytest.mark.parametrize(
    ("array", "space"),
    [
        (np.array([True, False]), "binary"),
        (np.array([0, 1, 1]), "binary"),
        (np.array([0.0, 1.0]), "binary"),
        (np.array([0, 1], np.uint8), "binary"),
        (np.array([0, 255], np.uint8), "uint8"),
        (np.array([0, 3], np.int16), "count"),
        (np.array([-1, 3]), "real"),
        (np.array([0.2, 0.9]), "unit_interval"),
        (np.array([0.2, -0.9]), "real"),
        (np.array([0.0, 3.0]), "count"),
        (np.array([0.0, 255.0], np.float32), "count"),
        (np.array([0.0, 3.0], np.float16), "count"),
        (np.array([0.0, 3.5]), "real"),
        (np.array([0.0, np.nan]), "real"),
        (np.array([1e37, 3e37]), "real"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 1 << 26])
def test_the_space_is_found_whatever_the_blocks(array, space, block_bytes, monkeypatch):
    monkeypatch.setattr(values, "BLOCK_BYTES", block_bytes)
    assert find_space(array) == space


@pytest.mark.parametrize(
    ("space", "bad", "message"),
    [
        ("binary", 2, "hold 2 in row 3; wanted 0 or 1"),
        ("binary", 0.5, "hold 0.5 in row 3; wanted 0 or 1"),
        ("unit_interval", 1.5, r"hold 1.5 in row 3; wanted numbers in \[0, 1\]"),
        ("uint8", 256, "hold 256 in row 3; wanted whole numbers in 0 ... 255"),
        ("uint8", 0.5, "hold 0.5 in row 3; wanted whole numbers in 0"),
        ("count", -1, "hold -1 in row 3; wanted whole numbers from 0 on"),
        ("count", 1.5, "hold 1.5 in row 3; wanted whole numbers from 0 on"),
        ("count", 2**24 + 1, "hold 16777217 in row 3; wanted whole numbers up to 16777216"),
        ("real", -(2**24) - 1, "hold -16777217 in row 3"),
        ("real", 2**53 + 1, "hold 9007199254740993 in row 3"),
        ("real", 2**60 + 1, "hold 1152921504606846977 in row 3"),
        ("tokens", 4, "hold 4 in row 3; wanted tokens from 0 to 3"),
        ("tokens", -1, "hold -1 in row 3; wanted tokens from 0 to 3"),
        ("real", np.nan, "hold nan in row 3; wanted a number: mask"),
        ("real", np.inf, "hold inf in row 3; wanted finite"),
        ("real", 1e39, r"hold 1e\+39 in row 3; wanted finite"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 1 << 26])
def test_a_value_outside_the_space_is_refused_with_its_row(space, bad, message, block_bytes, monkeypatch):
    monkeypatch.setattr(values, "BLOCK_BYTES", block_bytes)
    array = np.array([[0, 1], [1, 0], [1, bad], [bad, bad]])
    require_space(array[:2], space, tokens=4)
    with pytest.raises(ValueError, match=message):
        require_space(array, space, tokens=4)


@settings(deadline=None)
@given(st.integers(-(2**62), 2**62))
def test_a_whole_number_is_accepted_only_if_float32_holds_it(number):
    if not too_large(np.array([number]))[0]:
        assert int(np.float32(number)) == number


FINITE = st.floats(-1e6, 1e6, width=32).filter(lambda number: number == 0 or abs(number) > 1e-30)
"""Numbers whose deviations float32 holds; those that it takes for 0 are refused, which has tests of its own."""


@settings(deadline=None, max_examples=60)
@given(arrays(np.float32, (7, 3), elements=FINITE), arrays(bool, (7, 3)))
def test_moments_are_those_of_the_observed_values(x, observed):
    mean, std = moments(np.where(observed, x, 123.0).astype(np.float32), observed)
    for column in range(3):
        seen = x[observed[:, column], column].astype(np.float64)
        if len(seen):
            np.testing.assert_allclose(mean[column], seen.mean(), rtol=1e-6, atol=1e-30)
        if len(np.unique(seen)) > 1:
            np.testing.assert_allclose(std[column], seen.std(), rtol=1e-5, atol=1e-30)
        else:
            assert std[column] == 1


TEN = np.arange(10.0)


@pytest.mark.parametrize(
    ("x", "refused"),
    [
        (TEN, False),
        (1e6 + TEN, False),
        (1e9 + TEN, True),
        (1e30 * TEN, False),
        (1e-36 * TEN, False),
        (1e-39 * TEN, True),
        (1e-46 * TEN, True),
        (np.full(10, 7.1), False),
        (np.full(10, 0.3) + np.spacing(0.3) * (TEN > 5), False),
        (np.zeros(10), False),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 1 << 26])
def test_only_what_varies_by_less_than_float32_holds_is_refused(x, refused, block_bytes, monkeypatch):
    monkeypatch.setattr(values, "BLOCK_BYTES", block_bytes)
    parts = [(np.stack([TEN[:5], x[:5]], 1), None), (np.stack([TEN[5:], x[5:]], 1), np.ones((5, 2), bool))]
    if refused:
        with pytest.raises(ValueError, match=r"^entry 1 varies by .*: subtract a constant from it, or rescale it.$"):
            require_varies(parts, lambda entry: f"entry {entry[0]}")
    else:
        require_varies(parts, lambda entry: f"entry {entry[0]}")
    junk = np.stack([TEN, 1e9 + TEN], 1)
    require_varies([(junk, np.array([True, False]) & np.ones((10, 1), bool))], str)


def test_moments_do_not_depend_on_the_blocks(monkeypatch):
    x = np.random.default_rng(0).normal(1e4, 1, (50, 2)).astype(np.float32)
    want = moments(x)
    monkeypatch.setattr(values, "BLOCK_BYTES", 64)
    np.testing.assert_allclose(moments(x), want, rtol=1e-6)
    np.testing.assert_allclose(want[1], x.astype(np.float64).std(axis=0), rtol=1e-6)
