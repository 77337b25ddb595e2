"""The elementary functions and the remainder of Stirling's formula against 40-digit values, and their derivatives."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose

from vae.special.elementary import expm1_minus, log1mexp, magnitude, sigmoid, smooth_bound
from vae.special.gamma import stirling_error

SMALL_TO_LARGE = np.geomspace(1e-6, 80.0, 60).astype(np.float32)


def exact(function, points):
    with mpmath.workdps(40):
        return np.array([float(function(mpmath.mpf(float(x)))) for x in points])


def value_and_slope(function, points):
    return jax.jit(jax.vmap(jax.value_and_grad(function)))(jnp.asarray(points))


@pytest.mark.slow
@pytest.mark.parametrize("sign", [1, -1])
def test_expm1_minus_keeps_its_digits(sign):
    points = sign * SMALL_TO_LARGE
    value, slope = value_and_slope(expm1_minus, points)
    assert_allclose(value, exact(lambda t: mpmath.expm1(t) - t, points), rtol=3e-6)
    assert_allclose(slope, exact(mpmath.expm1, points), rtol=1e-6)
    assert np.all(np.asarray(value) >= 0)


@pytest.mark.parametrize("sign", [1, -1])
def test_sigmoid_keeps_both_tails_of_its_derivative(sign):
    points = sign * SMALL_TO_LARGE
    value, slope = value_and_slope(sigmoid, points)
    assert_allclose(value, exact(lambda x: 1 / (1 + mpmath.exp(-x)), points), rtol=1e-6)
    assert_allclose(slope, exact(lambda x: 1 / (2 + mpmath.exp(x) + mpmath.exp(-x)), points), rtol=2e-6)


def test_log1mexp_keeps_both_tails():
    points = np.geomspace(1e-30, 80.0, 80).astype(np.float32)
    value, slope = value_and_slope(log1mexp, points)
    assert_allclose(value, exact(lambda a: mpmath.log(-mpmath.expm1(-a)), points), rtol=2e-6)
    assert_allclose(slope, exact(lambda a: 1 / mpmath.expm1(a), points), rtol=2e-6)


def test_stirling_error_keeps_its_digits_from_the_smallest_to_the_largest():
    points = np.concatenate([np.geomspace(1e-30, 1e6, 120), [0.999, 1.0, 1.001, 3.999, 4.0, 4.001]]).astype(np.float32)

    def reference(z):
        return mpmath.loggamma(z + 1) - ((z + 0.5) * mpmath.log(z) - z + mpmath.log(2 * mpmath.pi) / 2)

    value, slope = value_and_slope(stirling_error, points)
    assert_allclose(value, exact(reference, points), rtol=2e-6)
    assert_allclose(slope, exact(lambda z: mpmath.digamma(z + 1) - mpmath.log(z) - 1 / (2 * z), points), rtol=2e-6)


def test_magnitude_is_differentiable_twice_under_an_even_function():
    assert jax.grad(jax.grad(lambda x: magnitude(x) ** 2))(0.0) == 2.0


def test_smooth_bound_is_the_identity_near_zero_and_alive_far_away():
    raw = jnp.array([-1e4, -50.0, -0.1, 0.0, 0.1, 50.0, 1e4])
    value, slope = jax.vmap(jax.value_and_grad(lambda x: smooth_bound(x, 7.0)))(raw)
    assert np.all(np.abs(value) <= 7.0)
    assert_allclose(value[2:5], raw[2:5], rtol=2e-4)
    assert np.all(slope > 0)
    assert np.all(np.diff(value) > 0)
