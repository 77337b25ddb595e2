"""Spike and slab: exact zeros, the moments of the mixture, the relaxed gate."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from unchecked import unchecked

from vae.distributions import Laplace, Normal, SpikeAndSlab

FAMILY = SpikeAndSlab(jnp.array([0.5, -1.5, 3.0]), Normal(jnp.array([1.0, -2.0, 0.1]), jnp.array([-0.5, 0.3, 0.0])))
ACTIVE = 1 / (1 + np.exp(-np.array([0.5, -1.5, 3.0])))
DRAWS = 20_000


@pytest.fixture(scope="module")
def draws():
    return jax.jit(jax.vmap(FAMILY.sample_and_log_prob))(jax.random.split(jax.random.key(0), DRAWS))


def test_zeros_are_exact_and_as_frequent_as_the_spike(draws):
    zeros = np.mean(draws[0] == 0, axis=0)
    assert np.all(np.abs(zeros - (1 - ACTIVE)) < 4 * np.sqrt(ACTIVE * (1 - ACTIVE) / DRAWS))
    active = draws[0][:, 0][draws[0][:, 0] != 0]
    assert stats.kstest(active, stats.norm(1.0, np.exp(-0.5)).cdf).pvalue > 1e-3


def test_moments_are_those_of_the_draws(draws):
    error = np.sqrt(FAMILY.variance / DRAWS)
    assert np.all(np.abs(draws[0].mean(0) - FAMILY.mean) < 4 * error)
    assert_allclose(draws[0].var(0), FAMILY.variance, rtol=0.05)


def test_log_prob_is_that_of_each_part_and_entropy_its_mean(draws):
    value = jnp.array([0.0, -1.0, 0.3])
    slab = stats.norm([1.0, -2.0, 0.1], np.exp([-0.5, 0.3, 0.0])).logpdf(value)
    assert_allclose(FAMILY.log_prob(value), np.log(1 - ACTIVE[0]) + (np.log(ACTIVE) + slab)[1:].sum(), rtol=1e-5)
    error = np.std(draws[1]) / np.sqrt(DRAWS)
    assert abs(FAMILY.entropy() + draws[1].mean()) < 4 * error


def test_relaxed_sample_leads_to_the_draw_as_the_temperature_falls():
    def at(temperature, method):
        family = SpikeAndSlab(FAMILY.spike_logits, FAMILY.slab, jnp.float32(temperature))
        return method(family, jax.random.key(3))

    assert_allclose(at(1e-3, SpikeAndSlab.relaxed_sample), at(1e-3, SpikeAndSlab.sample), atol=1e-6)
    assert np.all(at(1.0, SpikeAndSlab.relaxed_sample) != 0)


def test_gradient_of_the_mean_is_nearly_exact_at_a_low_temperature():
    """d/dl E[z] = g (1 - g) mean; straight-through is exact for a linear function in the limit of a cold gate."""

    def draw(logits, key):
        return SpikeAndSlab(logits, FAMILY.slab, jnp.float32(0.1)).sample(key)

    keys = jax.random.split(jax.random.key(1), DRAWS)
    gradients = jax.jit(jax.vmap(lambda k: jax.jvp(lambda x: draw(x, k), (FAMILY.spike_logits,), (jnp.ones(3),))[1]))(keys)
    error = 4 * np.std(gradients, axis=0) / np.sqrt(DRAWS)
    exact = ACTIVE * (1 - ACTIVE) * np.array([1.0, -2.0, 0.1])
    assert np.all(np.abs(gradients.mean(0) - exact) < error + 0.02 * np.abs(exact))


def test_extremes_are_finite():
    def score(logit, log_std, value):
        return SpikeAndSlab(logit, Normal(jnp.float32(2.0), log_std), jnp.float32(0.5)).log_prob(value)

    grid = np.meshgrid(np.float32([-1e4, 0, 1e4]), np.float32([-30, 0, 30]), np.float32([0.0, 2.0]))
    chex.assert_tree_all_finite(jax.jit(jax.vmap(jax.value_and_grad(score, (0, 1))))(*(jnp.asarray(g.ravel()) for g in grid)))


def test_refuses_other_slabs_and_shapes():
    with unchecked(), pytest.raises(TypeError, match="slab of type Laplace; wanted Normal"):
        SpikeAndSlab(jnp.zeros(2), Laplace(jnp.zeros(2), jnp.zeros(2)))
    with unchecked(), pytest.raises(ValueError, match="wanted equal shapes"):
        SpikeAndSlab(jnp.zeros(1), Normal(jnp.zeros(2), jnp.zeros(2)))
