"""Circular statistics against what their definitions say of known angles."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vae.evaluation.circular import Turn, circular_correlation, fitted_turn, mean_angular_error

DRAW = np.random.default_rng(0)
ANGLES = DRAW.uniform(-np.pi, np.pi, 4_000)


@pytest.mark.parametrize("offset", [0.0, 2.0, -3.1])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_turn_and_a_reflection_correlate_fully_and_are_found(offset, sign):
    turned = offset + sign * ANGLES + 2 * np.pi * DRAW.integers(-2, 3, len(ANGLES))
    assert circular_correlation(ANGLES, turned) == pytest.approx(sign, abs=1e-9)
    turn = fitted_turn(ANGLES, turned)
    assert turn.sign == sign
    assert_allclose(np.exp(1j * turn.offset), np.exp(1j * offset), atol=1e-9)
    assert mean_angular_error(turn(ANGLES), turned) < 1e-9


def test_independent_angles_do_not_correlate():
    other = DRAW.uniform(-np.pi, np.pi, len(ANGLES))
    assert abs(circular_correlation(ANGLES, other)) < 5 / np.sqrt(len(ANGLES))
    assert mean_angular_error(ANGLES, other) == pytest.approx(np.pi / 2, abs=0.1)


def test_noise_lowers_it_to_the_mean_resultant_length():
    """b = a + e with e ~ von Mises(kappa) and a uniform: the correlation is E cos e = I1(kappa) / I0(kappa)."""
    from scipy.special import i0, i1

    noisy = ANGLES + DRAW.vonmises(0.0, 2.0, len(ANGLES))
    assert circular_correlation(ANGLES, noisy) == pytest.approx(i1(2.0) / i0(2.0), abs=0.03)


def test_concentrated_angles_have_the_usual_definition_and_nearly_the_linear_one():
    """About symmetric mean directions the centres are those, and of small angles the sine is the angle."""
    a = 0.1 * DRAW.normal(size=3_000)
    b = 0.5 * a + 0.05 * DRAW.normal(size=3_000)
    assert circular_correlation(1.0 + a, b - 2.0) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=0.01)


def test_the_fitted_turn_is_the_best_of_a_grid():
    true = 0.7 - ANGLES[:50] + DRAW.normal(size=50)
    turn = fitted_turn(ANGLES[:50], true)

    def closeness(turn):
        return np.sum(np.cos(true - turn(ANGLES[:50])))

    grid = [closeness(Turn(offset, sign)) for sign in (1, -1) for offset in np.linspace(-np.pi, np.pi, 2_000)]
    assert closeness(turn) >= max(grid) - 1e-9
    assert closeness(turn) == pytest.approx(max(grid), rel=1e-4)


def test_pairs_are_wanted():
    with pytest.raises(ValueError, match="got 3 and 2 angles; wanted one of each"):
        circular_correlation([0.0, 1.0, 2.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="NaN or infinite"):
        fitted_turn([0.0, np.nan], [0.0, 1.0])
    assert circular_correlation([1.0, 1.0], [2.0, 2.0]) == 0.0


@pytest.mark.parametrize("number", [2, 10, 500])
def test_one_angle_against_others_has_no_correlation(number):
    spread = np.random.default_rng(number).uniform(-np.pi, np.pi, number)
    assert circular_correlation(np.full(number, 0.3), spread) == 0.0
    assert circular_correlation(np.full(number, 0.3), np.full(number, 0.7)) == 0.0
