"""A latent group is drawn, or scored at what was given; the examples of its docstrings run."""

import doctest

import jax
import jax.numpy as jnp
import pytest

from vae.distributions import AtSample, Deterministic, Normal, standard_normal
from vae.models import given, group, latent_group

POSTERIOR, KEY = Normal(jnp.array([1.0, -1.0]), jnp.zeros(2)), jax.random.key(0)


def test_the_examples_run():
    assert doctest.testmod(group) == doctest.TestResults(failed=0, attempted=7)


def test_a_draw_is_that_of_the_posterior_with_its_log_density():
    latent = latent_group(POSTERIOR, standard_normal(2), KEY)
    value, log_q = POSTERIOR.sample_and_log_prob(KEY)
    assert jnp.array_equal(latent.value, value)
    assert latent.log_q == log_q
    assert latent.posterior is POSTERIOR


def test_a_given_value_is_kept_and_scored_whatever_the_key_and_a_zero_counts_as_given():
    prior = AtSample(standard_normal(2))
    latent = latent_group(POSTERIOR, prior, KEY, given((None, jnp.zeros(2)), 1))
    assert jnp.array_equal(latent.value, jnp.zeros(2))
    assert latent.log_q == POSTERIOR.log_prob(jnp.zeros(2))
    assert latent.prior is prior


def test_a_point_mass_is_drawn_but_not_scored():
    point = Deterministic(jnp.ones(2))
    assert latent_group(point, standard_normal(2), KEY).log_q is None
    with pytest.raises(TypeError, match="a point mass has none"):
        latent_group(point, standard_normal(2), KEY, jnp.ones(2))
