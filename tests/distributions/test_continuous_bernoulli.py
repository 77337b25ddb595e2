"""Continuous Bernoulli against 40-digit values, at 1/2 and far from it."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from vae.distributions import ContinuousBernoulli

POSITIVE = [1e-6, 1e-4, 1e-2, 0.05, 0.3, 0.999, 1.001, 2.0, 10.0, 40.0, 89.0, 300.0, 1e4]
LOGITS = np.array([-x for x in POSITIVE[::-1]] + [0.0, *POSITIVE], np.float32)
VALUES = np.array([0.0, 0.25, 0.5, 1.0], np.float32)


def exact(function):
    with mpmath.workdps(40):
        return np.array([float(function(mpmath.mpf(float(logit)))) for logit in LOGITS])


def log_normaliser(logit):
    return mpmath.log(mpmath.expm1(logit) / logit) if logit else mpmath.mpf(0)


def mean(logit):
    return 1 / (1 - mpmath.exp(-logit)) - 1 / logit if logit else mpmath.mpf(1) / 2


def variance(logit):
    return 1 / logit**2 - 1 / (4 * mpmath.sinh(logit / 2) ** 2) if logit else mpmath.mpf(1) / 12


@pytest.mark.parametrize("value", VALUES)
def test_log_prob_and_its_derivatives_at_every_logit(value):
    def score(logit):
        return ContinuousBernoulli(logit).log_prob(jnp.float32(value))

    functions = (score, jax.grad(score), jax.jacfwd(score), jax.hessian(score))
    scored, reverse, forward, second = jax.jit(jax.vmap(lambda logit: tuple(f(logit) for f in functions)))(jnp.asarray(LOGITS))
    at = mpmath.mpf(float(value))
    assert_allclose(scored, exact(lambda logit: logit * at - log_normaliser(logit)), rtol=1e-5, atol=1e-6)
    assert_allclose(reverse, exact(lambda logit: at - mean(logit)), rtol=1e-5, atol=1e-6)
    assert_allclose(second, exact(lambda logit: -variance(logit)), rtol=1e-4, atol=1e-6)
    assert_allclose(forward, reverse, rtol=1e-6, atol=1e-7)


def test_moments_and_entropy_at_every_logit():
    def properties(logit):
        family = ContinuousBernoulli(logit)
        return family.mean, family.variance, family.entropy()

    means, variances, entropies = jax.jit(jax.vmap(properties))(jnp.asarray(LOGITS))
    assert_allclose(means, exact(mean), rtol=1e-5)
    assert_allclose(variances, exact(variance), rtol=1e-4)
    assert_allclose(entropies, exact(lambda logit: log_normaliser(logit) - logit * mean(logit)), rtol=1e-5, atol=1e-6)


def test_is_the_normalised_bernoulli_and_integrates_to_one():
    points = (np.arange(2000) + 0.5) / 2000
    for logit in (-3.0, 1e-3, 5.0):
        scored = jax.jit(jax.vmap(ContinuousBernoulli(jnp.float32(logit)).log_prob))(jnp.asarray(points, jnp.float32))
        assert_allclose(np.exp(np.asarray(scored, float)).mean(), 1.0, rtol=1e-5)
        cross_entropy = points * logit - np.logaddexp(0, logit)
        assert_allclose(np.ptp(np.asarray(scored, float) - cross_entropy), 0.0, atol=2e-6)


def test_sampler_has_the_distribution_and_its_gradient_the_mean():
    logits = jnp.array([-8.0, -0.5, 0.01, 3.0, 1e4])
    keys = jax.random.split(jax.random.key(0), 20_000)
    draws = jax.jit(jax.vmap(ContinuousBernoulli(logits).sample))(keys)
    assert np.all((draws >= 0) & (draws <= 1))
    for i, logit in enumerate(np.asarray(logits[:4], float)):
        assert stats.kstest(np.asarray(draws[:, i], float), lambda x, k=logit: np.expm1(k * x) / np.expm1(k)).pvalue > 1e-3

    def tangent(key):
        return jax.jvp(lambda x: ContinuousBernoulli(x).sample(key), (logits,), (jnp.ones(5),))[1]

    gradients = jax.jit(jax.vmap(tangent))(keys)
    error = 4 * np.std(gradients, axis=0) / np.sqrt(20_000)
    assert np.all(np.abs(gradients.mean(0) - ContinuousBernoulli(logits).variance) < error + 1e-7)


def test_mode_is_the_likelier_end():
    assert_allclose(ContinuousBernoulli(jnp.array([-1.0, 1.0])).mode, [0, 1])
    assert ContinuousBernoulli.data_space == "unit_interval"
