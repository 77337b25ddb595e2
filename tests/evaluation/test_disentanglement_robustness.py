import numpy as np
import pytest
from known_codes import CODES, FACTORS, STANDARDISED, TURNED
from scipy.stats import halfnorm

from vae.evaluation.disentanglement import irs


def irs_by_hand(codes, factors, quantile):
    scores, weights = [], []
    for z in codes.T:
        weight = max(abs(z - z.mean()))
        robust = []
        for v in factors.T:
            moved = [np.quantile(abs(z[v == value] - z[v == value].mean()), quantile) for value in set(v)]
            robust.append(1 - np.mean(moved) / weight)
        scores.append(max(robust))
        weights.append(weight)
    return np.dot(scores, weights) / np.sum(weights)


# A code of one factor does not move while that is held. One that adds two equal factors moves half as far as it can.
@pytest.mark.parametrize(("name", "right"), [("factors", 1.0), ("duplicated", 1.0), ("rotated", 0.5)])
def test_irs_of_known_codes(name, right):
    value = irs(CODES[name], FACTORS, quantile=1.0)
    assert value == pytest.approx(right, abs=1e-9)
    assert value == pytest.approx(irs_by_hand(CODES[name], FACTORS, 1.0), abs=1e-9)


def test_irs_of_noise_is_a_third_because_a_quantile_is_held_against_a_maximum():
    noise = np.random.default_rng(0).normal(size=(len(FACTORS), 10))
    largest = np.abs(noise - noise.mean(axis=0)).max(axis=0)
    value = irs(noise, FACTORS)
    assert value == pytest.approx(1 - halfnorm.ppf(0.99) / largest.mean(), abs=0.02)
    assert value == pytest.approx(irs_by_hand(noise, FACTORS, 0.99), abs=1e-9)
    assert 0.3 < value < 0.4


def test_irs_of_a_general_rotation_is_that_by_hand():
    assert irs(TURNED, FACTORS) == pytest.approx(irs_by_hand(TURNED, FACTORS, 0.99), abs=1e-9)
    # At quantile 1 the box of factors shows: the largest |coefficient| over the sum of them.
    coefficients = np.abs(np.linalg.lstsq(STANDARDISED, TURNED, rcond=None)[0])
    right = np.average(coefficients.max(axis=0) / coefficients.sum(axis=0), weights=coefficients.sum(axis=0))
    assert irs(TURNED, FACTORS, quantile=1.0) == pytest.approx(right, abs=1e-9)


def test_constant_dimensions_take_no_part():
    codes = np.concatenate([TURNED, np.full((len(FACTORS), 1), 3.0)], axis=1)
    assert irs(codes, FACTORS) == pytest.approx(irs(TURNED, FACTORS), abs=1e-12)
    assert irs(codes[:, 4:], FACTORS) == 0.0


def test_a_quantile_outside_is_refused():
    with pytest.raises(ValueError, match=r"quantile is 1.5; wanted a number in \(0, 1\]"):
        irs(TURNED, FACTORS, quantile=1.5)
