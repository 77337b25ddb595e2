"""The point mass, and the prior that is scored only at the sample."""

import chex
import jax
import jax.numpy as jnp
import pytest

from vae.distributions import AtSample, Deterministic, Distribution, Normal
from vae.divergences import kl_divergence, monte_carlo_kl


def test_deterministic_returns_its_point_and_no_density():
    point = Deterministic(jnp.array([1.0, -2.0]))
    value, log_prob = point.sample_and_log_prob(jax.random.key(0))
    assert isinstance(point, Distribution)
    assert log_prob is None
    chex.assert_trees_all_equal(value, point.sample(jax.random.key(1)), point.mean, point.mode, jnp.array([1.0, -2.0]))


def test_deterministic_refuses_a_log_density():
    with pytest.raises(TypeError, match="point mass has none"):
        Deterministic(jnp.zeros(2)).log_prob(jnp.zeros(2))


def test_deterministic_passes_gradients_and_batches():
    def loss(value):
        return jnp.sum(jax.vmap(lambda v: Deterministic(v).sample(jax.random.key(0)))(value) ** 2)

    values = jnp.arange(6.0).reshape(3, 2)
    chex.assert_trees_all_close(jax.jit(jax.grad(loss))(values), 2.0 * values)


def test_at_sample_delegates():
    base = Normal(mean=jnp.array([0.3, -1.0]), log_std=jnp.array([0.1, 0.5]))
    wrapped = AtSample(base)
    key = jax.random.key(3)
    assert isinstance(wrapped, Distribution)
    assert wrapped.data_space == "real"
    chex.assert_trees_all_equal(wrapped.sample(key), base.sample(key))
    chex.assert_trees_all_equal(wrapped.sample_and_log_prob(key), base.sample_and_log_prob(key))
    chex.assert_trees_all_equal(wrapped.log_prob(jnp.ones(2)), base.log_prob(jnp.ones(2)))


def test_at_sample_has_no_closed_form_divergence_and_says_why():
    q = Normal(mean=jnp.zeros(2), log_std=jnp.zeros(2))
    with pytest.raises(TypeError, match=r"AtSample.*sampled after .*log ratio at the sample"):
        kl_divergence(q, AtSample(q))


def test_closed_form_of_a_prior_that_depends_on_the_sample_would_be_wrong():
    """z1 ~ q = N(0, 1), z2 = z1 exactly, p(z1 | z2) = N(z2, 1): this group's rate is -1/2, the closed form averages to 1/2."""
    keys = jax.random.split(jax.random.key(5), 20_000)
    q = Normal(mean=jnp.zeros(1), log_std=jnp.zeros(1))

    def both(key):
        z1, log_q = q.sample_and_log_prob(key)
        prior = AtSample(Normal(mean=z1, log_std=jnp.zeros(1)))
        return log_q - prior.log_prob(z1), kl_divergence(q, prior.base)

    ratio, closed = jax.vmap(both)(keys)
    chex.assert_trees_all_close(jnp.mean(ratio), -0.5, atol=4 * 0.5**0.5 / 20_000**0.5)
    chex.assert_trees_all_close(jnp.mean(closed), 0.5, atol=4 * 0.5**0.5 / 20_000**0.5)


def test_at_sample_may_be_estimated_by_monte_carlo():
    q = Normal(mean=jnp.zeros(1), log_std=jnp.zeros(1))
    p = Normal(mean=jnp.ones(1), log_std=jnp.zeros(1))
    mean, error = monte_carlo_kl(q, AtSample(p), jax.random.key(0), 2_000)
    assert abs(mean - 0.5) < 4 * error
