"""The Kumaraswamy family against its distribution function 1 - (1 - x^a)^b and float64 closed forms."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, special, stats

from vae.distributions import Kumaraswamy

PAIRS = np.array([(0.3, 0.7), (1.0, 1.0), (2.0, 5.0), (40.0, 3.0), (0.5, 50.0)], np.float32)


def log_density(x, a, b):
    return np.log(a * b) + (a - 1) * np.log(x) + (b - 1) * np.log1p(-(x**a))


def raw_moment(n, a, b):
    """E x^n = b B(1 + n/a, b), with 50 digits."""
    mpmath.mp.dps = 50
    return b * mpmath.beta(1 + mpmath.mpf(n) / a, b)


def test_log_prob_is_the_derivative_of_the_distribution_function():
    for a, b in PAIRS.astype(float):
        x = np.linspace(0.01, 0.99, 20).astype(np.float32)
        family = Kumaraswamy(jnp.full(20, a, jnp.float32), jnp.full(20, b, jnp.float32))
        assert_allclose(family.element_log_prob(jnp.array(x)), log_density(x.astype(float), a, b), rtol=2e-6, atol=2e-6)
        mass = integrate.quad(lambda x, a=a, b=b: np.exp(log_density(x, a, b)), 0.2, 0.9)[0]
        assert_allclose(mass, (1 - 0.2**a) ** b - (1 - 0.9**a) ** b, rtol=1e-8)


def test_moments_and_entropy_in_fifty_digits():
    a, b = 10.0 ** np.random.default_rng(0).uniform(-1, 2, (2, 40))
    a, b = a.astype(np.float32), b.astype(np.float32)
    family = Kumaraswamy(jnp.array(a), jnp.array(b))
    first, second = ([raw_moment(n, mpmath.mpf(float(x)), mpmath.mpf(float(y))) for x, y in zip(a, b)] for n in (1, 2))
    assert_allclose(family.mean, np.array(first, float), rtol=2e-5)
    assert_allclose(family.variance, np.array([s - f**2 for f, s in zip(first, second)], float), rtol=5e-5)
    harmonic = special.digamma(b.astype(float) + 1) + np.euler_gamma
    assert_allclose(family.entropy(), np.sum(1 - 1 / b + (1 - 1 / a) * harmonic - np.log(a) - np.log(b)), rtol=1e-5)


def test_entropy_is_the_integral_of_minus_p_log_p():
    for a, b in PAIRS.astype(float)[1:4]:
        x = np.linspace(0, 1, 200_002)[1:-1]
        exact = -integrate.trapezoid(np.exp(log_density(x, a, b)) * log_density(x, a, b), x)
        assert_allclose(Kumaraswamy(jnp.float32(a), jnp.float32(b)).entropy(), exact, atol=1e-3)


def test_mode_is_where_no_neighbour_is_denser():
    family = Kumaraswamy(jnp.array([2.0, 40.0, 0.5, 2.0]), jnp.array([5.0, 3.0, 3.0, 0.5]))
    assert_allclose(family.mode[2:], [0.0, 1.0])
    inside = Kumaraswamy(family.concentration1[:2], family.concentration0[:2])
    assert_allclose(jax.grad(inside.log_prob)(inside.mode), [0.0, 0.0], atol=2e-3)


def test_samples_and_gradients_of_the_mean():
    """The gradient of E x from float64 differences of b B(1 + 1/a, b)."""

    def draw(parameters, key):
        return Kumaraswamy(parameters[0], parameters[1]).sample(key)

    keys = jax.random.split(jax.random.key(0), 20_000)
    program = jax.vmap(jax.vmap(jax.value_and_grad(draw), in_axes=(None, 0)), in_axes=(0, None))
    values, slopes = (np.asarray(leaf, float) for leaf in jax.jit(program)(jnp.array(PAIRS), keys))
    for (a, b), value, slope in zip(PAIRS.astype(float), values, slopes, strict=True):
        assert stats.kstest(value, lambda x, a=a, b=b: 1 - (1 - x**a) ** b).pvalue > 1e-3
        h = 1e-6
        exact = [
            float(raw_moment(1, a + h, b) - raw_moment(1, a - h, b)) / (2 * h),
            float(raw_moment(1, a, b + h) - raw_moment(1, a, b - h)) / (2 * h),
        ]
        assert np.all(np.abs(slope.mean(0) - exact) < 4 * slope.std(0) / np.sqrt(len(slope)))


def test_log_prob_at_the_ends_and_extremes():
    family = Kumaraswamy(jnp.array([0.5, 1.0, 2.0]), jnp.array([2.0, 4.0, 0.5]))
    assert_allclose(family.element_log_prob(jnp.array([0.0, 0.0, 1.0])), [np.inf, np.log(4.0), np.inf], rtol=1e-6)
    extreme = Kumaraswamy(jnp.array([1e-6, 1e6, 1e-3, 1e3]), jnp.array([1e-6, 1e6, 1e3, 1e-3]))
    assert np.isfinite(extreme.sample_and_log_prob(jax.random.key(1))[1])


def test_parameters_that_are_not_positive_are_refused():
    with pytest.raises(ValueError, match=r"Kumaraswamy got a concentration0 of 0\.0; wanted finite values > 0"):
        Kumaraswamy(jnp.ones(2), jnp.array([1.0, 0.0]))


def test_gradients_through_a_draw_are_finite_where_draws_leave_float32():
    """At a = 1e-6 most draws are below 1e-38, where the slope of the density in the draw itself would overflow."""

    def log_q(a, b, key):
        return Kumaraswamy(a, b).sample_and_log_prob(key)[1]

    a, b = (grid.ravel() for grid in jnp.meshgrid(10.0 ** jnp.arange(-6.0, 7.0, 3.0), 10.0 ** jnp.arange(-6.0, 7.0, 3.0)))
    program = jax.jit(jax.vmap(jax.vmap(jax.value_and_grad(log_q, (0, 1)), (None, None, 0)), (0, 0, None)))
    for leaf in jax.tree.leaves(program(a, b, jax.random.split(jax.random.key(2), 20))):
        assert np.isfinite(leaf).all()


def test_gradients_of_the_mean_logarithm_are_exact_where_draws_leave_float32():
    """E ln x = -(psi(b + 1) + gamma) / a, whose slope in a is 2,500 at a = 0.02; four in ten draws are below 1e-38 there."""

    def log_draw(parameters, key):
        return jnp.log(Kumaraswamy(parameters[0], parameters[1]).sample(key))

    keys = jax.random.split(jax.random.key(3), 10_000)
    slope = np.asarray(jax.jit(jax.vmap(jax.grad(log_draw), (None, 0)))(jnp.array([0.02, 1.0]), keys), float)
    exact = np.array([(special.digamma(2.0) + np.euler_gamma) / 0.02**2, -special.polygamma(1, 2.0) / 0.02])
    assert np.all(np.abs(slope.mean(axis=0) - exact) < 4 * slope.std(axis=0) / 100)
