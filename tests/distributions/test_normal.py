"""The diagonal Gaussian against SciPy, its sampler, and its extremes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from unchecked import unchecked

from vae.distributions import Distribution, Normal, standard_normal


@pytest.fixture(scope="module")
def normal():
    return Normal(mean=jnp.array([0.5, -2.0, 30.0]), log_std=jnp.array([-1.0, 0.0, 2.0]))


@pytest.fixture(scope="module")
def draws(normal):
    return jax.jit(jax.vmap(normal.sample_and_log_prob))(jax.random.split(jax.random.key(0), 20_000))


def test_density_entropy_and_moments_are_those_of_scipy(normal):
    oracle = scipy.stats.norm(np.float64(normal.mean), np.exp(np.float64(normal.log_std)))
    value = jnp.array([0.1, 3.0, 25.0])
    np.testing.assert_allclose(normal.element_log_prob(value), oracle.logpdf(value), rtol=1e-5)
    assert normal.log_prob(value) == pytest.approx(oracle.logpdf(value).sum(), rel=1e-6)
    assert normal.entropy() == pytest.approx(oracle.entropy().sum(), rel=1e-6)
    np.testing.assert_allclose(normal.variance, oracle.var(), rtol=1e-5)
    np.testing.assert_allclose(normal.std, oracle.std(), rtol=1e-5)
    chex.assert_trees_all_equal(normal.mode, normal.mean)
    assert isinstance(normal, Distribution)


def test_sampler_follows_the_density(normal, draws):
    values, log_probs = draws
    for i in range(3):
        oracle = scipy.stats.norm(float(normal.mean[i]), np.exp(float(normal.log_std[i])))
        assert scipy.stats.kstest(np.asarray(values[:, i], np.float64), oracle.cdf).pvalue > 1e-3
    correlation = np.corrcoef(np.asarray(values).T)
    assert np.max(np.abs(correlation - np.eye(3))) < 4 / np.sqrt(20_000)
    np.testing.assert_allclose(log_probs, jax.vmap(normal.log_prob)(values), atol=1e-4)


def test_entropy_is_the_mean_of_minus_log_prob(normal, draws):
    surprise = -np.asarray(draws[1], np.float64)
    assert abs(surprise.mean() - normal.entropy()) < 4 * surprise.std() / np.sqrt(surprise.size)


def test_gradient_of_an_expectation_is_exact_within_its_error():
    """d E[z^2] / d mean = 2 mean, / d log_std = 2 std^2."""

    def second_moment(mean, log_std, key):
        return jnp.sum(Normal(mean, log_std).sample(key) ** 2)

    mean, log_std = jnp.array([0.7]), jnp.array([-0.3])
    gradient = jax.jit(jax.vmap(jax.grad(second_moment, argnums=(0, 1)), in_axes=(None, None, 0)))
    for got, want in zip(
        gradient(mean, log_std, jax.random.split(jax.random.key(1), 20_000)), (1.4, 2 * np.exp(-0.6)), strict=True
    ):
        assert abs(np.mean(got) - want) < 4 * np.std(got) / np.sqrt(20_000)


def test_extreme_scales_stay_finite_with_their_gradients():
    log_std = jnp.linspace(-30.0, 30.0, 61)
    value = jnp.exp(log_std)  # one standard deviation away

    def log_prob(mean, log_std, value):
        return Normal(mean, log_std).log_prob(value)

    values, gradients = jax.vmap(jax.value_and_grad(log_prob, argnums=(0, 1, 2)))(0.0 * log_std, log_std, value)
    np.testing.assert_allclose(values, -0.5 - np.float64(log_std) - 0.5 * np.log(2 * np.pi), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradients[0] * value, 1.0, rtol=1e-5)
    np.testing.assert_allclose(gradients[1], 0.0, atol=1e-5)
    assert np.all(np.isfinite(gradients[2]))


def test_standard_normal_and_shapes():
    assert standard_normal((2, 3)).sample(jax.random.key(0)).shape == (2, 3)
    assert standard_normal(4).log_prob(jnp.zeros(4)) == pytest.approx(-2 * np.log(2 * np.pi))
    with unchecked(), pytest.raises(ValueError, match=r"Normal got mean \(3,\), log_std \(1,\); wanted equal shapes"):
        Normal(mean=jnp.zeros(3), log_std=jnp.zeros(1))
