"""The Gaussian with a full covariance against SciPy, its sampler, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from unchecked import unchecked

from vae.distributions import Distribution, MultivariateNormal, Normal

LOWER = np.array([[0.8, 0.0, 0.0], [-0.5, 1.5, 0.0], [0.3, 0.9, 0.4]])
MEAN = np.array([1.0, -2.0, 0.5])
ORACLE = scipy.stats.multivariate_normal(MEAN, LOWER @ LOWER.T)


@pytest.fixture(scope="module")
def gaussian():
    return MultivariateNormal(mean=jnp.asarray(MEAN, jnp.float32), scale_tril=jnp.asarray(LOWER, jnp.float32))


def test_density_entropy_and_moments_are_those_of_scipy(gaussian):
    values = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32) * 3
    np.testing.assert_allclose(jax.vmap(gaussian.log_prob)(values), ORACLE.logpdf(values), rtol=1e-4)
    assert gaussian.entropy() == pytest.approx(ORACLE.entropy(), rel=1e-5)
    np.testing.assert_allclose(gaussian.covariance, LOWER @ LOWER.T, rtol=1e-5)
    np.testing.assert_allclose(gaussian.variance, np.diag(LOWER @ LOWER.T), rtol=1e-5)
    assert isinstance(gaussian, Distribution)


def test_sampler_follows_the_density(gaussian):
    values, log_probs = jax.jit(jax.vmap(gaussian.sample_and_log_prob))(jax.random.split(jax.random.key(0), 20_000))
    white = np.linalg.solve(LOWER, (np.asarray(values, np.float64) - MEAN).T)
    for row in white:
        assert scipy.stats.kstest(row, scipy.stats.norm.cdf).pvalue > 1e-3
    np.testing.assert_allclose(white @ white.T / 20_000, np.eye(3), atol=4 * np.sqrt(2 / 20_000))
    np.testing.assert_allclose(log_probs, ORACLE.logpdf(np.asarray(values)), atol=1e-4)


def test_no_gradient_leaves_the_triangle(gaussian):
    """Or a step of an optimiser would make a factor that is not one."""

    def everything(gaussian):
        value, log_q = gaussian.sample_and_log_prob(jax.random.key(0))
        return jnp.sum(value**2) + log_q + gaussian.log_prob(jnp.ones(3)) + gaussian.entropy() + jnp.sum(gaussian.covariance)

    gradient = jax.jit(jax.grad(everything))(gaussian).scale_tril
    np.testing.assert_array_equal(np.triu(gradient, 1), 0.0)
    assert np.all(np.asarray(gradient)[np.tril_indices(3)] != 0.0)


def test_a_diagonal_factor_is_the_diagonal_family():
    log_std = jnp.array([-30.0, 0.0, 30.0])
    full = MultivariateNormal(mean=jnp.zeros(3), scale_tril=jnp.diag(jnp.exp(log_std)))
    diagonal = Normal(mean=jnp.zeros(3), log_std=log_std)
    value = jnp.exp(log_std) * jnp.array([1.0, -2.0, 0.5])
    assert full.log_prob(value) == pytest.approx(float(diagonal.log_prob(value)), rel=1e-5)
    assert full.entropy() == pytest.approx(float(diagonal.entropy()), rel=1e-5)


def test_a_stack_is_made_by_vmap(gaussian):
    stack = jax.vmap(MultivariateNormal)(jnp.stack([gaussian.mean] * 2), jnp.stack([gaussian.scale_tril] * 2))
    both = jax.jit(jax.vmap(lambda g: g.log_prob(jnp.ones(3))))(stack)
    np.testing.assert_allclose(both, [gaussian.log_prob(jnp.ones(3))] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    "factor",
    [
        np.array([[1.0, 0.1], [0.0, 1.0]]),
        np.array([[1.0, 0.0], [np.nan, 1.0]]),
        np.diag([1.0, 0.0]),
        np.diag([1.0, -1.0]),
        np.diag([1.0, np.nan]),
    ],
)
def test_what_is_no_cholesky_factor_is_refused(factor):
    with pytest.raises(ValueError, match=r"not lower triangular with a positive diagonal, .*: pass jnp\.linalg\.cholesky"):
        MultivariateNormal(mean=jnp.zeros(2), scale_tril=jnp.asarray(factor, jnp.float32))


def test_sizes_that_disagree_are_refused():
    with unchecked(), pytest.raises(ValueError, match=r"mean \(3,\) and scale_tril \(2, 2\), wanted \(n,\) and \(n, n\)"):
        jax.jit(lambda m, s: MultivariateNormal(mean=m, scale_tril=s))(jnp.zeros(3), jnp.eye(2))
