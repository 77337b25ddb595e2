"""The Laplace family against SciPy and its exact gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from unchecked import unchecked

from vae.distributions import Laplace


def test_log_prob_moments_and_entropy_are_scipys():
    mean, log_scale = np.array([0.5, -2.0, 3.0], np.float32), np.array([-3.0, 0.0, 2.0], np.float32)
    value = np.array([0.45, -2.0, 30.0], np.float32)
    family, reference = Laplace(jnp.array(mean), jnp.array(log_scale)), stats.laplace(mean, np.exp(log_scale.astype(float)))
    assert_allclose(family.element_log_prob(jnp.array(value)), reference.logpdf(value), rtol=1e-6)
    assert_allclose(family.log_prob(jnp.array(value)), reference.logpdf(value).sum(), rtol=1e-6)
    assert_allclose(family.entropy(), reference.entropy().sum(), rtol=1e-6)
    assert_allclose(family.variance, reference.var(), rtol=1e-6)
    assert_allclose(family.mode, mean)
    assert_allclose(family.scale, np.exp(log_scale), rtol=1e-6)


def test_samples_follow_the_distribution_function():
    family = Laplace(jnp.array(1.5), jnp.array(-1.0))
    draws = jax.vmap(family.sample)(jax.random.split(jax.random.key(0), 20_000))
    assert stats.kstest(np.asarray(draws, float), stats.laplace(1.5, np.exp(-1.0)).cdf).pvalue > 1e-3


def test_gradients_of_a_second_moment_are_exact():
    """E z^2 = mean^2 + 2 scale^2, so its gradient is (2 mean, 4 scale^2 per unit of log scale)."""

    def second_moment(mean, log_scale, key):
        return jnp.square(Laplace(mean, log_scale).sample(key))

    keys = jax.random.split(jax.random.key(1), 50_000)
    gradients = jax.jit(jax.vmap(jax.grad(second_moment, argnums=(0, 1)), in_axes=(None, None, 0)))(
        jnp.array(1.5), jnp.array(-0.5), keys
    )
    for draws, exact in zip(gradients, (3.0, 4.0 * np.exp(-1.0)), strict=True):
        draws = np.asarray(draws, float)
        assert abs(draws.mean() - exact) < 4 * draws.std() / np.sqrt(len(draws))


def test_extreme_scales_stay_finite():
    log_scale = jnp.array([-30.0, 0.0, 30.0])
    family = Laplace(jnp.zeros(3), log_scale)
    value, log_q = family.sample_and_log_prob(jax.random.key(2))
    assert_allclose(log_q, family.log_prob(value), rtol=1e-5)
    gradient = jax.grad(lambda log_scale: Laplace(jnp.zeros(3), log_scale).log_prob(value))(log_scale)
    assert np.isfinite(gradient).all()


def test_shapes_that_differ_are_refused():
    with unchecked(), pytest.raises(ValueError, match=r"Laplace got mean \(3,\), log_scale \(2,\)"):
        Laplace(jnp.zeros(3), jnp.zeros(2))
