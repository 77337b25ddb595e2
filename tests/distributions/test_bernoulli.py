"""The Bernoulli likelihood at the extremes of float32, where binary cross-entropies are usually NaN."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from numpy.testing import assert_allclose
from scipy import stats

from vae.distributions import Bernoulli
from vae.distributions.bernoulli import bernoulli_log_prob

LOGITS = np.array([-1e4, -200, -88.8, -30, -5, -1, -0.1, 0, 1e-3, 0.1, 1, 5, 30, 88.8, 200, 1e4], np.float32)


def every_derivative(function):
    """The value, the derivative in both modes and the second derivative, for all logits."""
    functions = (function, jax.jacrev(function), jax.jacfwd(function), jax.hessian(function))
    return jax.jit(jax.vmap(lambda *args: tuple(f(*args) for f in functions)))


def test_log_prob_and_its_derivatives_from_float64():
    logits, value = (g.ravel() for g in np.meshgrid(LOGITS.astype(np.float64), [0.0, 1.0, 0.25]))
    p, rest = scipy.special.expit(logits), scipy.special.expit(-logits)
    scored, reverse, forward, second = every_derivative(bernoulli_log_prob)(logits.astype(np.float32), value.astype(np.float32))
    reference = -value * np.logaddexp(0, -logits) - (1 - value) * np.logaddexp(0, logits)
    assert_allclose(scored, reference, rtol=1e-6, atol=1e-37)
    assert_allclose(reverse, value - p, rtol=1e-6, atol=2e-7)
    assert_allclose(second, -p * rest, rtol=1e-5, atol=1e-7)
    chex.assert_trees_all_close(forward, reverse)


def test_log_prob_is_scipys_and_sums_over_the_event():
    logits, value = jnp.array([[-2.0, 0.5], [3.0, 0.0]]), jnp.array([[1.0, 0.0], [1.0, 1.0]])
    family = Bernoulli(logits)
    reference = stats.bernoulli.logpmf(value, scipy.special.expit(logits))
    assert_allclose(family.element_log_prob(value), reference, rtol=1e-5)
    assert_allclose(family.log_prob(value), reference.sum(), rtol=1e-6)


def test_entropy_and_its_derivatives_at_the_extremes():
    def entropy(logit):
        return Bernoulli(logit).entropy()

    logits = LOGITS.astype(np.float64)
    p, rest = scipy.special.expit(logits), scipy.special.expit(-logits)
    value, reverse, _, second = every_derivative(entropy)(LOGITS)
    assert_allclose(value, p * np.logaddexp(0, -logits) + rest * np.logaddexp(0, logits), rtol=2e-6, atol=1e-30)
    assert_allclose(reverse, -logits * p * rest, rtol=1e-5, atol=1e-7)
    assert_allclose(second, -p * rest * (1 + logits * (rest - p)), rtol=1e-5, atol=1e-6)


def test_moments_and_frequencies():
    family = Bernoulli(jnp.array([-2.0, 0.0, 1.0, 1e4]))
    draws, scores = jax.jit(jax.vmap(family.sample_and_log_prob))(jax.random.split(jax.random.key(0), 20000))
    chex.assert_trees_all_close(scores[:5], jax.vmap(family.log_prob)(draws[:5]))
    error = np.sqrt(family.variance / 20000)
    assert np.all(np.abs(draws.mean(0) - family.mean) <= 4 * error)
    assert set(np.unique(draws)) == {0.0, 1.0}
    assert_allclose(family.mode, [0, 0, 1, 1])
