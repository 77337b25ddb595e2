"""Counts: SciPy's log probabilities, gradients from its gamma functions in float64, extremes, samplers."""

import chex
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose
from scipy import stats
from unchecked import unchecked

from vae.distributions import MultivariateNormal, NegativeBinomial, Normal, Poisson, ZeroInflated

COUNTS = np.array([0, 1, 2, 7, 8, 9, 100, 12345, 1e6], np.float32)
DRAWS = 20_000
KEYS = jax.random.split(jax.random.key(0), DRAWS)


def grid(*axes):
    return [jnp.asarray(g.ravel(), jnp.float32) for g in np.meshgrid(*axes)]


@jax.jit
@jax.vmap
def poisson(count, log_rate):
    return jax.value_and_grad(lambda r: Poisson(r).log_prob(count))(log_rate)


@jax.jit
@jax.vmap
def negative_binomial(count, log_mean, log_dispersion):
    return jax.value_and_grad(lambda m, r: NegativeBinomial(m, r).log_prob(count), (0, 1))(log_mean, log_dispersion)


@jax.jit
@jax.vmap
def zero_inflated(count, log_mean, log_dispersion, logit):
    def score(log_mean, log_dispersion, logit):
        return ZeroInflated(NegativeBinomial(log_mean, log_dispersion), logit).log_prob(count)

    return jax.value_and_grad(score, (0, 1, 2))(log_mean, log_dispersion, logit)


def test_poisson_is_scipys_with_its_gradient():
    count, log_rate = grid(COUNTS, np.log([1e-30, 1e-3, 0.5, 7.0, 110.0, 12000.0, 1e6, 1e30]))
    value, gradient = poisson(count, log_rate)
    rate, x = np.exp(np.asarray(log_rate, float)), np.asarray(count, float)
    exact = x * np.asarray(log_rate, float) - rate - scipy.special.gammaln(x + 1)
    assert_allclose(value, exact, rtol=2e-5, atol=1e-3)
    assert_allclose(value[rate < 1e5], stats.poisson.logpmf(x, rate)[rate < 1e5], rtol=2e-5, atol=1e-3)
    assert_allclose(gradient, x - rate, rtol=2e-5, atol=2.0)
    small = (x < 200) & (rate < 200)
    assert_allclose(value[small], exact[small], rtol=1e-6, atol=2e-6)
    assert_allclose(gradient[small], (x - rate)[small], rtol=1e-5, atol=1e-4)


def test_poisson_keeps_its_digits_at_a_million_counts():
    """One nat is what the textbook form loses here; what is left is the rounding of log_rate itself."""
    log_rate = jnp.log(jnp.float32(1e6)) + jnp.array([-3e-3, 0.0, 2e-3])
    exact = stats.poisson.logpmf(1e6, np.exp(np.asarray(log_rate, float)))
    assert_allclose(poisson(jnp.full(3, 1e6), log_rate)[0], exact, atol=5e-3)


def test_poisson_sums_to_one():
    value, _ = poisson(*grid(np.arange(200.0), [np.log(30.0)]))
    assert_allclose(np.exp(np.asarray(value, float)).sum(), 1.0, rtol=1e-6)


def exact_negative_binomial(count, log_mean, log_dispersion):
    """Value and both gradients, in 60 digits."""
    with mpmath.workdps(60):
        x, r, m = mpmath.mpf(count), mpmath.exp(log_dispersion), mpmath.exp(log_mean)
        value = mpmath.loggamma(x + r) - mpmath.loggamma(r) - mpmath.loggamma(x + 1)
        value += r * mpmath.log(r / (r + m)) + x * mpmath.log(m / (r + m))
        slope = mpmath.digamma(x + r) - mpmath.digamma(r) + mpmath.log(r / (r + m)) + (m - x) / (r + m)
        return float(value), float((x - m) * r / (r + m)), float(r * slope)


def test_negative_binomial_from_sixty_digits_at_every_extreme():
    count, log_mean, log_dispersion = grid(
        [0, 1, 9, 12345, 1e6], np.log([1e-30, 0.5, 100.0, 1e6, 1e30]), np.log([1e-6, 1e-2, 3.0, 1e3, 1e6])
    )
    value, (d_mean, d_dispersion) = negative_binomial(count, log_mean, log_dispersion)
    exact = np.array([exact_negative_binomial(*map(float, case)) for case in zip(count, log_mean, log_dispersion)])
    assert_allclose(value, exact[:, 0], rtol=2e-5, atol=5e-3)
    assert_allclose(d_mean, exact[:, 1], rtol=1e-4, atol=1.0)
    assert_allclose(d_dispersion, exact[:, 2], rtol=1e-3, atol=1.0)
    moderate = (count < 100) & (abs(log_mean) < 5) & (abs(log_dispersion) < 5)
    assert_allclose(value[moderate], exact[moderate, 0], rtol=2e-6, atol=3e-6)
    assert_allclose(d_mean[moderate], exact[moderate, 1], rtol=1e-4, atol=1e-4)
    assert_allclose(d_dispersion[moderate], exact[moderate, 2], rtol=1e-4, atol=1e-4)


def test_negative_binomial_is_scipys_nbinom():
    count, mean, dispersion = jnp.arange(60.0), 7.3, 2.1
    family = NegativeBinomial(jnp.full(60, np.log(mean)), jnp.full(60, np.log(dispersion)))
    reference = stats.nbinom(dispersion, dispersion / (dispersion + mean))
    assert_allclose(family.element_log_prob(count), reference.logpmf(count), rtol=1e-5)
    assert_allclose([family.mean[0], family.variance[0]], [reference.mean(), reference.var()], rtol=1e-5)
    assert family.mode[0] == np.argmax(reference.pmf(np.arange(60)))


def test_extremes_are_finite_with_and_without_inflation():
    count, log_mean, log_dispersion, logit = grid(
        [0, 1, 1e6], np.log([1e-30, 1.0, 1e30]), np.log([1e-6, 1.0, 1e6]), [-1e4, 0.0, 1e4]
    )
    chex.assert_tree_all_finite(zero_inflated(count, log_mean, log_dispersion, logit))


def test_zero_inflated_adds_zeros_and_sums_to_one():
    mean, dispersion, weight = 4.0, 1.5, 0.3
    counts = np.arange(400.0)
    value, _ = zero_inflated(*grid(counts, [np.log(mean)], [np.log(dispersion)], [scipy.special.logit(weight)]))
    reference = (1 - weight) * stats.nbinom(dispersion, dispersion / (dispersion + mean)).pmf(counts) + weight * (counts == 0)
    assert_allclose(np.exp(np.asarray(value, float)), reference, rtol=1e-4)
    assert_allclose(np.exp(np.asarray(value, float)).sum(), 1.0, rtol=1e-6)


def check_draws(draws, mean, variance, mass):
    """Moments, and a chi-square test against the masses of 0, 1, 2, ..., those expected fewer than 10 times in one bin."""
    assert np.all(draws == np.round(draws))
    assert abs(draws.mean() - mean) < 4 * np.sqrt(variance / DRAWS)
    assert_allclose(draws.var(), variance, rtol=0.1)
    observed, expected = np.bincount(draws.astype(int), minlength=len(mass))[: len(mass)], DRAWS * mass
    kept = expected > 10
    observed, expected = observed[kept], expected[kept]
    observed, expected = np.append(observed, DRAWS - observed.sum()), np.append(expected, DRAWS - expected.sum())
    assert stats.chisquare(observed, expected).pvalue > 1e-3


@pytest.fixture(scope="module")
def draws():
    """Of a negative binomial as it is and inflated, and of Poisson at five rates; the sampler of counts is compiled once."""
    inflated, rates = ZeroInflated(BASE, jnp.array([-1e4, 0.0])), jnp.log(jnp.array([4.0, 0.0, 1e-30, 1e8, 1e30]))
    return jax.jit(jax.vmap(lambda key: (inflated.sample(key), Poisson(rates).sample(key))))(KEYS)


BASE = NegativeBinomial(jnp.log(jnp.array([4.0, 4.0])), jnp.log(jnp.array([1.5, 1.5])))


def test_negative_binomial_and_inflated_samplers_have_the_distribution(draws):
    """The first component is never dropped, so it is the negative binomial itself."""
    family, drawn = ZeroInflated(BASE, jnp.array([-1e4, 0.0])), np.asarray(draws[0])
    mass = stats.nbinom(1.5, 1.5 / 5.5).pmf(np.arange(100))
    check_draws(drawn[:, 0], family.mean[0], family.variance[0], mass)
    check_draws(drawn[:, 1], family.mean[1], family.variance[1], 0.5 * mass + 0.5 * (np.arange(100) == 0))


def test_poisson_sampler_has_the_distribution_at_rates_within_and_beyond_its_integers(draws):
    drawn = np.asarray(draws[1])
    check_draws(drawn[:, 0], 4.0, 4.0, stats.poisson(4.0).pmf(np.arange(100)))
    assert_allclose(drawn.mean(0, dtype=float)[1:], [0.0, 0.0, 1e8, 1e30], rtol=1e-4)
    assert_allclose(drawn[:, 3].astype(float).std(), 1e4, rtol=0.1)


def test_refusals():
    with unchecked(), pytest.raises(ValueError, match="wanted equal shapes"):
        NegativeBinomial(jnp.zeros(2), jnp.zeros(3))
    with unchecked(), pytest.raises(TypeError, match="MultivariateNormal, which has no element_log_prob"):
        ZeroInflated(MultivariateNormal(jnp.zeros(2), jnp.eye(2)), jnp.zeros(2))
    with unchecked(), pytest.raises(ValueError, match=r"ZeroInflated got logits \(3,\), base \(2,\)"):
        ZeroInflated(Poisson(jnp.zeros(2)), jnp.zeros(3))
    assert ZeroInflated(Poisson(jnp.zeros(2)), jnp.zeros(2)).data_space == "count"
    assert hasattr(Normal(jnp.zeros(2), jnp.zeros(2)), "element_log_prob")
