"""Masked and dequantised likelihoods, and the Gaussian with the optimal sigma."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from unchecked import unchecked

from vae.distributions import (
    Bernoulli,
    Categorical,
    Dequantised,
    DiscretisedLogisticMixture,
    Masked,
    MultivariateNormal,
    NegativeBinomial,
    Normal,
    OptimalSigmaNormal,
    Poisson,
    ZeroInflated,
    dequantise,
    quantise,
)

MASK = jnp.array([True, False, True, False])
RAW = jnp.array([0.3, -1.2, 2.0, 0.7])
BUILDERS = {
    "normal": lambda a: Normal(a, 0.1 * a),
    "bernoulli": Bernoulli,
    "poisson": Poisson,
    "zero inflated": lambda a: ZeroInflated(NegativeBinomial(a, -a), a),
}


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_masked_ignores_nan_in_value_and_gradients(build):
    value, whole = jnp.array([1.0, jnp.nan, 0.0, jnp.nan]), jnp.array([1.0, 1.0, 0.0, 1.0])

    def score(raw, value):
        return Masked(build(raw), MASK).log_prob(value)

    score_at, gradients = jax.jit(jax.value_and_grad(score, (0, 1)))(RAW, value)
    observed = build(RAW[::2])
    assert_allclose(score_at, observed.log_prob(whole[::2]), rtol=1e-6)
    chex.assert_tree_all_finite(gradients)
    expected = jax.jit(jax.grad(lambda raw: build(raw).log_prob(whole[::2])))(RAW[::2])
    assert_allclose(gradients[0], np.stack([expected, np.zeros(2)], 1).ravel(), rtol=1e-5)
    assert np.all(np.asarray(gradients[1])[1::2] == 0)


def test_masked_integers_padding_of_tokens():
    logits = jax.random.normal(jax.random.key(0), (4, 7))
    padded = Masked(Categorical(logits), jnp.array([True, True, False, False]))
    assert_allclose(padded.log_prob(jnp.array([3, 6, 0, 0])), Categorical(logits[:2]).log_prob(jnp.array([3, 6])), rtol=1e-6)
    assert padded.data_space == "tokens"


def test_masked_pixels_of_a_mixture_take_all_channels():
    draw = jax.random.normal(jax.random.key(1), (2, 5, 3))
    value = jnp.array([[3.0, 100.0, 255.0], [jnp.nan, jnp.nan, jnp.nan]])

    @jax.jit
    def scores(draw):
        base = DiscretisedLogisticMixture(draw[..., 0], 100.0 + draw, draw)
        scored = Masked(base, jnp.array([True, False])).log_prob(value)
        return scored, base.element_log_prob(jnp.nan_to_num(value))[0]

    assert_allclose(*scores(draw), rtol=1e-6)


def test_masked_draws_the_whole_base_and_passes_its_moments():
    base = Normal(RAW, 0.1 * RAW)
    masked = Masked(base, MASK)
    value, score = masked.sample_and_log_prob(jax.random.key(2))
    assert_allclose(value, base.sample(jax.random.key(2)), rtol=1e-6)
    assert_allclose(score, base.element_log_prob(value)[::2].sum(), rtol=1e-6)
    chex.assert_trees_all_equal((masked.mean, masked.mode, masked.data_space), (base.mean, base.mode, "real"))


def test_masked_refuses_joint_densities_and_other_masks():
    with unchecked(), pytest.raises(TypeError, match="a joint density cannot be taken apart"):
        Masked(MultivariateNormal(jnp.zeros(2), jnp.eye(2)), jnp.array([True, False]))
    with unchecked(), pytest.raises(ValueError, match="wanted one entry for each component"):
        Masked(Bernoulli(jnp.zeros((2, 2))), jnp.array([True, False])).log_prob(jnp.zeros((2, 2)))
    with unchecked(), pytest.raises(ValueError, match=r"mask of shape \(3, 2\) for a value of shape \(2,\)"):
        Masked(Bernoulli(jnp.zeros((3, 2))), jnp.ones((3, 2), bool)).log_prob(jnp.zeros(2))


def test_dequantised_integrates_to_one_over_the_range_of_bytes():
    base = Normal(jnp.array([0.4]), jnp.array([-3.0]))
    points = (jnp.arange(25600.0) + 0.5) / 100
    density = np.exp(jax.jit(jax.vmap(Dequantised(base).log_prob))(points[:, None]))
    assert_allclose(density.sum() / 100, 1.0, rtol=1e-4)


def test_dequantised_costs_ln_256_a_dimension_and_bounds_the_mass_of_a_byte():
    base = Normal(jnp.array([0.4, 0.7]), jnp.array([-3.0, -5.5]))
    family, pixels = Dequantised(base), jnp.array([110, 180], jnp.uint8)
    value = dequantise(jax.random.key(0), pixels)
    assert_allclose(family.log_prob(value), base.log_prob(value / 256) - 2 * np.log(256), rtol=1e-6)
    noisy = jax.vmap(dequantise, (0, None))(jax.random.split(jax.random.key(1), 4000), pixels)
    bound = jax.jit(jax.vmap(family.log_prob))(noisy)
    scale = stats.norm([0.4, 0.7], np.exp([-3.0, -5.5]))
    mass = np.log(scale.cdf((np.array([110, 180]) + 1) / 256) - scale.cdf(np.array([110, 180]) / 256)).sum()
    error = np.std(bound) / np.sqrt(4000)
    assert -0.1 < bound.mean() - mass < -4 * error
    assert_allclose(np.log(np.mean(np.exp(np.asarray(bound, float)))), mass, atol=4 * error)


def test_dequantise_stays_in_its_byte_and_quantise_returns_it():
    pixels = jnp.arange(256, dtype=jnp.uint8)
    for key in jax.random.split(jax.random.key(3), 20):
        chex.assert_trees_all_equal(quantise(dequantise(key, pixels)), pixels.astype(jnp.float32))
    assert_allclose(quantise(jnp.array([-3.0, 300.0])), [0.0, 255.0])


def test_dequantised_draws_in_units_of_bytes_and_refuses_bytes():
    family = Dequantised(Normal(jnp.array([0.4]), jnp.array([-3.0])))
    value, score = family.sample_and_log_prob(jax.random.key(0))
    assert_allclose(score, family.log_prob(value), rtol=1e-5)
    assert_allclose(value, family.sample(jax.random.key(0)))
    assert_allclose([family.mean[0], family.mode[0]], 102.4, rtol=1e-6)
    assert family.data_space == "uint8"
    with unchecked(), pytest.raises(TypeError, match="use dequantise"):
        family.log_prob(jnp.array([3], jnp.uint8))


def test_optimal_sigma_is_the_best_sigma():
    mean, value = jax.random.normal(jax.random.key(0), (2, 40))
    profile = OptimalSigmaNormal(mean, 0.0)
    sigmas = np.linspace(0.5, 4.0, 2000)
    log_likelihoods = stats.norm(np.asarray(mean, float), sigmas[:, None]).logpdf(value).sum(1)
    assert_allclose(profile.log_prob(value), log_likelihoods.max(), rtol=1e-5)
    assert_allclose(np.exp(profile.at(value).log_std[0]), sigmas[np.argmax(log_likelihoods)], atol=2e-3)


def test_gradient_of_the_optimal_sigma_is_that_at_a_fixed_one():
    mean, value = jax.random.normal(jax.random.key(1), (2, 40))
    gradient = jax.grad(lambda m: OptimalSigmaNormal(m, 0.0).log_prob(value))(mean)
    assert_allclose(gradient, (value - mean) / np.mean((value - mean) ** 2), rtol=1e-4)


def test_optimal_sigma_is_finite_where_the_mean_meets_the_data():
    value, gradient = jax.value_and_grad(lambda m: OptimalSigmaNormal(m).log_prob(jnp.ones(5)))(jnp.ones(5))
    chex.assert_tree_all_finite((value, gradient))
    assert_allclose(value, 5 * stats.norm(0, 1e-3).logpdf(0), rtol=1e-5)


def test_optimal_sigma_has_no_draw():
    family = OptimalSigmaNormal(jnp.zeros(2))
    for draw in (family.sample, family.sample_and_log_prob):
        with pytest.raises(TypeError, match="use its mean, or at"):
            draw(jax.random.key(0))
    chex.assert_trees_all_equal(family.mode, family.mean)
