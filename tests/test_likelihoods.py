"""Every likelihood: the shapes it asks for, the space of its data, finite gradients, and what its outputs mean."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from unchecked import unchecked

from vae import likelihoods
from vae.distributions import Dequantised, Distribution
from vae.special import smooth_bound

SHAPE = (3, 2, 3)
FAMILIES = {
    "bernoulli": (likelihoods.bernoulli(SHAPE), SHAPE, "binary"),
    "continuous bernoulli": (likelihoods.continuous_bernoulli(SHAPE), SHAPE, "unit_interval"),
    "normal": (likelihoods.normal(SHAPE, log_std=-1.0), SHAPE, "real"),
    "learned std": (likelihoods.normal_learned_std(SHAPE), (3, 2, 6), "real"),
    "shared std": (likelihoods.normal_shared_std(SHAPE), (3, 2, 6), "real"),
    "laplace": (likelihoods.laplace(SHAPE), SHAPE, "real"),
    "learned scale": (likelihoods.laplace_learned_scale(SHAPE), (3, 2, 6), "real"),
    "discretised logistic": (likelihoods.discretised_logistic(SHAPE), (3, 2, 6), "uint8"),
    "mixture": (likelihoods.discretised_logistic_mixture(SHAPE), (3, 2, 100), "uint8"),
    "gray mixture": (likelihoods.discretised_logistic_mixture((3, 2, 1), components=5), (3, 2, 15), "uint8"),
    "categorical": (likelihoods.categorical(SHAPE), (*SHAPE, 256), "uint8"),
    "classes": (likelihoods.classes([2, 5, 1]), (8,), "tokens"),
    "tokens": (likelihoods.tokens(6, vocabulary=11), (6, 11), "tokens"),
    "poisson": (likelihoods.poisson(SHAPE), SHAPE, "count"),
    "negative binomial": (likelihoods.negative_binomial(SHAPE), (3, 2, 6), "count"),
    "zero-inflated": (likelihoods.zero_inflated_negative_binomial(SHAPE), (3, 2, 9), "count"),
}


@pytest.mark.slow_but("bernoulli", "mixture", "zero-inflated")
@pytest.mark.parametrize(("family", "outputs", "space"), FAMILIES.values(), ids=FAMILIES)
def test_builds_a_distribution_of_its_space_with_finite_gradients(family, outputs, space):
    assert family.outputs == outputs
    built = family.build(jnp.zeros(outputs))
    assert isinstance(built, Distribution)
    assert built.data_space == space

    draw = jax.eval_shape(built.sample, jax.random.key(0))
    value, raw = jnp.ones(draw.shape, draw.dtype), jnp.asarray(np.random.default_rng(0).standard_normal(outputs), jnp.float32)

    @jax.jit
    @jax.vmap
    def score(scale):
        return jax.value_and_grad(lambda array: family.build(array).log_prob(value))(scale * raw)

    chex.assert_tree_all_finite(score(jnp.array([0.0, 1.0, 30.0, 1e4])))


def test_shared_std_is_one_number():
    built = likelihoods.normal_shared_std(SHAPE).build(jax.random.normal(jax.random.key(0), (3, 2, 6)))
    assert np.ptp(built.log_std) == 0
    assert built.mean.shape == SHAPE


def test_discretised_logistic_outputs_are_on_the_scale_from_minus_one_to_one():
    array = jnp.array([[-1.0, -8.0], [0.0, -8.0], [1.0, -8.0]])
    built = likelihoods.discretised_logistic((3, 1)).build(array)
    assert_allclose(built.mode[:, 0], [0.0, 128.0, 255.0])
    assert_allclose(np.exp(built.log_scale[0, 0]), 127.5 * np.exp(smooth_bound(jnp.float32(-8.0), 7.0)), rtol=1e-5)


def test_mixture_couples_a_channel_to_those_before_it_only():
    built = likelihoods.discretised_logistic_mixture(SHAPE).build(jnp.ones((3, 2, 100)))
    expected = np.tanh(1.0) * np.tril(np.ones((3, 3)), -1)
    assert_allclose(built.coupling, np.broadcast_to(expected, (3, 2, 10, 3, 3)), rtol=1e-6)


@pytest.mark.parametrize(
    "make", [likelihoods.poisson, likelihoods.negative_binomial, likelihoods.zero_inflated_negative_binomial]
)
def test_a_library_size_shares_out_the_total(make):
    family = make((5,))
    array = jnp.sin(jnp.arange(float(family.outputs[0])))
    built = family.build(array, library_size=jnp.float32(1000.0))
    base = getattr(built, "base", built)
    assert_allclose(base.mean, 1000.0 * jax.nn.softmax(array[:5]), rtol=1e-5)
    assert_allclose(base.mean.sum(), 1000.0, rtol=1e-5)


def test_common_std_is_one_parameter_of_all_examples():
    family = likelihoods.normal_common_std((4,))
    raw = jnp.float32(0.3)
    built = family.build(jnp.arange(4.0), raw)
    assert_allclose(built.mean, np.arange(4))
    assert_allclose(built.log_std, np.full(4, smooth_bound(raw, likelihoods.SCALE_LIMIT)))
    assert_allclose(family.build(jnp.zeros(4), family.init(jax.random.key(0))).std, np.ones(4))
    dequantised = likelihoods.dequantised(family)
    assert_allclose(dequantised.build(jnp.zeros(4), raw).base.log_std, built.log_std)


def test_classes_of_different_numbers_have_the_probabilities_of_their_own():
    logits = jnp.array([0.3, -0.2, 1.0, 2.0, -1.0, 0.5])
    built = likelihoods.classes([2, 1, 3]).build(logits)
    assert_allclose(built.probabilities[0], [*jax.nn.softmax(logits[:2]), 0.0], rtol=1e-6)
    assert_allclose(built.probabilities[1], [1.0, 0.0, 0.0])
    assert_allclose(built.probabilities[2], jax.nn.softmax(logits[3:]), rtol=1e-6)
    chex.assert_tree_all_finite(
        (built.entropy(), jax.grad(lambda array: likelihoods.classes([2, 1, 3]).build(array).entropy())(logits))
    )


def test_optimal_std_is_a_family_of_the_mean():
    family = likelihoods.normal_optimal_std((4,))
    assert family.outputs == (4,)
    assert_allclose(family.build(jnp.arange(4.0)).mean, np.arange(4))


def test_dequantised_family_keeps_the_outputs():
    family = likelihoods.dequantised(likelihoods.normal_learned_std(SHAPE))
    assert family.outputs == (3, 2, 6)
    built = family.build(jnp.zeros(family.outputs))
    assert isinstance(built, Dequantised)
    assert built.data_space == "uint8"


def test_masked_scores_the_observed_part():
    base = likelihoods.bernoulli((3,)).build(jnp.array([0.3, -1.0, 2.0]))
    mask, value = jnp.array([True, False, True]), jnp.array([1.0, jnp.nan, 0.0])
    assert_allclose(likelihoods.masked(base, mask).log_prob(value), base.element_log_prob(jnp.nan_to_num(value))[::2].sum())


def test_refuses_a_scalar_shape_that_needs_several_numbers():
    with unchecked(), pytest.raises(ValueError, match=r"use \(1,\)"):
        likelihoods.normal_learned_std(())
