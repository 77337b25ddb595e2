"""The low-rank plus diagonal Gaussian against SciPy on the dense covariance, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from unchecked import unchecked

from vae.distributions import Distribution, LowRankNormal, Normal

RNG = np.random.default_rng(0)
MEAN, FACTOR, LOG_STD = RNG.normal(size=5), RNG.normal(size=(5, 2)), 0.5 * RNG.normal(size=5)


scored = jax.jit(jax.vmap(lambda g, value: g.log_prob(value), in_axes=(None, 0)))
scored_with_gradient = jax.jit(jax.value_and_grad(lambda g, value: g.log_prob(value)))


def dense(factor=FACTOR, log_std=LOG_STD):
    return factor @ factor.T + np.diag(np.exp(2 * log_std))


def build(factor=FACTOR, log_std=LOG_STD):
    return LowRankNormal(*(jnp.asarray(a, jnp.float32) for a in (MEAN, factor, log_std)))


def test_density_entropy_and_moments_are_those_of_scipy():
    oracle, gaussian = scipy.stats.multivariate_normal(MEAN, dense()), build()
    values = RNG.normal(size=(20, 5)).astype(np.float32) * 2
    np.testing.assert_allclose(scored(gaussian, values), oracle.logpdf(values), rtol=1e-4)
    assert gaussian.entropy() == pytest.approx(oracle.entropy(), rel=1e-5)
    np.testing.assert_allclose(gaussian.covariance, dense(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gaussian.variance, np.diag(dense()), rtol=1e-5)
    assert isinstance(gaussian, Distribution)


def test_gradient_of_log_prob_against_finite_differences():
    """Relative 1e-3 with an absolute floor of 1e-4, oracle in float64."""
    value = np.array([0.5, -1.0, 2.0, 0.0, 1.0])

    def oracle(mean, factor, log_std):
        return scipy.stats.multivariate_normal(mean, dense(factor, log_std)).logpdf(value)

    got = scored_with_gradient(build(), jnp.asarray(value, jnp.float32))[1]
    fields = [MEAN, FACTOR, LOG_STD]
    for position, name in enumerate(("mean", "factor", "log_diagonal_std")):
        numeric = np.zeros_like(fields[position])
        for index in np.ndindex(numeric.shape):
            moved = [[f.copy() for f in fields] for _ in range(2)]
            moved[0][position][index] += 1e-5
            moved[1][position][index] -= 1e-5
            numeric[index] = (oracle(*moved[0]) - oracle(*moved[1])) / 2e-5
        np.testing.assert_allclose(getattr(got, name), numeric, rtol=1e-3, atol=1e-4, err_msg=name)


def test_sampler_follows_the_density():
    gaussian = build()
    values, log_probs = jax.jit(jax.vmap(gaussian.sample_and_log_prob))(jax.random.split(jax.random.key(0), 20_000))
    white = np.linalg.solve(np.linalg.cholesky(dense()), (np.asarray(values, np.float64) - MEAN).T)
    for row in white:
        assert scipy.stats.kstest(row, scipy.stats.norm.cdf).pvalue > 1e-3
    np.testing.assert_allclose(white @ white.T / 20_000, np.eye(5), atol=4 * np.sqrt(2 / 20_000))
    np.testing.assert_allclose(log_probs, scored(gaussian, values), atol=1e-4)


def test_rank_zero_is_the_diagonal_family():
    rank_zero, diagonal = build(np.zeros((5, 0))), Normal(jnp.asarray(MEAN, jnp.float32), jnp.asarray(LOG_STD, jnp.float32))
    value = jnp.ones(5)
    assert rank_zero.log_prob(value) == pytest.approx(float(diagonal.log_prob(value)), rel=1e-5)
    assert rank_zero.entropy() == pytest.approx(float(diagonal.entropy()), rel=1e-5)
    assert rank_zero.sample(jax.random.key(0)).shape == (5,)


@pytest.mark.parametrize("strength", [1e-20, 1e2, 1e4])
def test_strong_and_vanishing_factors_keep_their_digits(strength):
    """V' V would have condition number 1e8 at the top, the inverse of float32's resolution."""
    gaussian, value = build(strength * FACTOR), jnp.asarray(MEAN + strength * FACTOR[:, 0] + 1.0, jnp.float32)
    matrix = dense(strength * FACTOR)
    difference = np.float64(value) - np.float64(gaussian.mean)
    exact = -0.5 * (difference @ np.linalg.solve(matrix, difference) + np.linalg.slogdet(2 * np.pi * matrix)[1])
    log_prob, gradient = scored_with_gradient(gaussian, value)
    assert log_prob == pytest.approx(exact, rel=1e-4)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("log_scale", [-30.0, 30.0])
def test_extreme_units(log_scale):
    scale = np.exp(log_scale)
    gaussian = LowRankNormal(
        mean=jnp.zeros(5),
        factor=jnp.asarray(scale * FACTOR, jnp.float32),
        log_diagonal_std=jnp.asarray(LOG_STD + log_scale, jnp.float32),
    )
    value = jnp.asarray(scale * np.ones(5), jnp.float32)
    expected = scipy.stats.multivariate_normal(np.zeros(5), dense()).logpdf(np.ones(5)) - 5 * log_scale
    log_prob, gradient = scored_with_gradient(gaussian, value)
    assert log_prob == pytest.approx(expected, rel=1e-5)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


def test_sizes_that_disagree_are_refused():
    with unchecked(), pytest.raises(ValueError, match=r"mean \(5,\), factor \(4, 2\) and log_diagonal_std \(5,\), wanted"):
        LowRankNormal(mean=jnp.zeros(5), factor=jnp.zeros((4, 2)), log_diagonal_std=jnp.zeros(5))
    with unchecked(), pytest.raises(ValueError, match="wanted"):
        LowRankNormal(mean=jnp.zeros(5), factor=jnp.zeros((5, 2)), log_diagonal_std=jnp.zeros(4))
