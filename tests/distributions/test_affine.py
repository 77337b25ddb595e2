"""Densities in other units: against SciPy, and how they sit with masks and rows of several kinds."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from unchecked import unchecked

from vae.distributions import Affine, Bernoulli, ContinuousBernoulli, Laplace, Masked, Mixed, MultivariateNormal, Normal

MEAN, LOG_STD = jnp.array([0.3, -1.0, 2.0]), jnp.array([-0.5, 0.0, 0.4])
SHIFT, SCALE = jnp.array([1e3, 0.0, -4.0]), jnp.array([50.0, 1.0, 1e-3])
VALUE = jnp.array([980.0, 0.7, -3.998])


def family(base=None):
    return Affine(base=Normal(MEAN, LOG_STD) if base is None else base, shift=SHIFT, scale=SCALE)


def scipy_normal():
    mean, std = np.asarray(MEAN, float), np.exp(np.asarray(LOG_STD, float))
    return stats.norm(SHIFT + SCALE * mean, SCALE * std)


def test_the_density_and_the_moments_are_those_of_the_gaussian_in_those_units():
    made, oracle = family(), scipy_normal()
    elements = oracle.logpdf(np.asarray(VALUE, float))
    assert_allclose(made.element_log_prob(VALUE), elements, rtol=2e-4)
    assert_allclose(made.log_prob(VALUE), elements.sum(), rtol=2e-4)
    assert_allclose(made.mean, oracle.mean(), rtol=1e-6)
    assert_allclose(made.mode, oracle.mean(), rtol=1e-6)
    assert_allclose(made.variance, oracle.var(), rtol=1e-5)
    assert_allclose(made.entropy(), oracle.entropy().sum(), rtol=1e-5)
    assert (made.data_space, made.reparameterised) == ("real", True)


def test_another_unit_costs_the_log_of_its_size_for_each_entry():
    centimetres, metres = (Affine(Laplace(MEAN, LOG_STD), SHIFT * unit, SCALE * unit) for unit in (1.0, 0.01))
    difference = centimetres.log_prob(VALUE) - metres.log_prob(0.01 * VALUE)
    assert_allclose(difference, 3 * np.log(0.01), atol=2e-4)


def test_a_draw_is_the_moved_draw_of_the_base_with_its_density():
    key = jax.random.key(0)
    value, log_prob = family().sample_and_log_prob(key)
    assert_allclose(value, SHIFT + SCALE * Normal(MEAN, LOG_STD).sample(key), rtol=1e-6)
    assert_allclose(value, family().sample(key), rtol=1e-6)
    assert_allclose(log_prob, scipy_normal().logpdf(np.asarray(value, float)).sum(), rtol=2e-3)


def test_a_joint_density_is_moved_whole_but_not_taken_apart():
    base = MultivariateNormal(MEAN, jnp.array([[1.0, 0, 0], [0.5, 2.0, 0], [-0.3, 0.2, 0.4]]))
    scale, value = jnp.array([5.0, 1.0, 0.1]), jnp.array([1002.0, 0.7, -3.8])
    covariance = np.asarray(base.scale_tril @ base.scale_tril.T, float) * np.outer(scale, scale)
    oracle = stats.multivariate_normal(np.asarray(SHIFT + scale * MEAN, float), covariance)
    assert_allclose(Affine(base, SHIFT, scale).log_prob(value), oracle.logpdf(np.asarray(value, float)), rtol=1e-3)
    with pytest.raises(TypeError, match="no element_log_prob"):
        family(base).element_log_prob(VALUE)


def test_a_missing_entry_costs_nothing_not_even_its_unit():
    masked = Masked(family(), jnp.array([True, False, False]))
    score, slope = jax.value_and_grad(masked.log_prob)(jnp.array([980.0, jnp.nan, jnp.inf]))
    assert_allclose(score, scipy_normal().logpdf(np.asarray(VALUE, float))[0], rtol=1e-5)
    chex.assert_tree_all_finite(slope)


def test_entries_that_are_not_moved_come_through_bit_for_bit():
    base = Mixed((Normal(MEAN[:2], LOG_STD[:2]), Bernoulli(MEAN[2:])), ((0, 2), (1,)))
    moved = family(base)
    assert moved.data_space == "mixed"
    for seed in range(5):
        draw, plain = moved.sample(jax.random.key(seed)), base.sample(jax.random.key(seed))
        assert draw[1] == plain[1]
        assert_allclose(moved.element_log_prob(draw)[1], base.element_log_prob(plain)[1], rtol=0)


def test_the_mask_goes_around_the_units():
    with pytest.raises(TypeError, match="Affine got a Masked distribution; wanted the mask outside"):
        family(Masked(Normal(MEAN, LOG_STD), jnp.ones(3, bool)))


def test_what_leaves_the_unit_interval_is_a_real_number():
    assert family(ContinuousBernoulli(MEAN)).data_space == "real"


def test_probabilities_have_no_units():
    with unchecked(), pytest.raises(TypeError, match="over the space binary, whose probabilities have no units"):
        family(Bernoulli(MEAN))
    with unchecked(), pytest.raises(ValueError, match=r"shift \(3,\), scale \(2,\)"):
        Affine(Normal(MEAN, LOG_STD), SHIFT, SCALE[:2])
