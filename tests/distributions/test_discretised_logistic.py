"""Discretised logistics and their mixtures: all 256 values, edges included, sum to one at every scale."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from unchecked import unchecked

from vae import likelihoods
from vae.distributions import DiscretisedLogistic, DiscretisedLogisticMixture

LOCATIONS, LOG_SCALES = (
    g.ravel().astype(np.float32)
    for g in np.meshgrid(
        [-1e4, -3.0, 0.0, 0.5, 100.0, 127.5, 200.25, 254.9, 260.0, 1e4], [-30.0, -7.0, -1.0, 0.0, 2.0, 6.0, 15.0, 30.0]
    )
)
PIXELS = jnp.arange(256.0)


@jax.jit
@jax.vmap
def scores(location, log_scale):
    return jax.vmap(lambda x: DiscretisedLogistic(location, log_scale).log_prob(x))(PIXELS)


def test_sums_to_one_at_every_location_and_scale():
    total = np.exp(np.asarray(scores(LOCATIONS, LOG_SCALES), float)).sum(1)
    assert_allclose(total, 1.0, atol=2e-5)


def test_log_prob_and_gradients_in_the_tails_from_fifty_digits():
    def exact(x, location, log_scale):
        x, location, scale = mpmath.mpf(x), mpmath.mpf(location), mpmath.exp(log_scale)
        upper = 1 if x == 255 else 1 / (1 + mpmath.exp(-(x + 0.5 - location) / scale))
        return mpmath.log(upper - (0 if x == 0 else 1 / (1 + mpmath.exp(-(x - 0.5 - location) / scale))))

    cases = [
        (0, 3.0, -1.0),
        (255, 250.0, 0.0),
        (3, 200.0, 1.0),
        (250, 20.0, 0.5),
        (100, 100.0, -3.0),
        (17, 90.0, 8.0),
        (0, 200, 0),
    ]
    cases = np.array(cases, np.float32)

    def score(x, location, log_scale):
        return DiscretisedLogistic(location, log_scale).log_prob(x)

    value, (d_location, d_scale) = jax.jit(jax.vmap(jax.value_and_grad(score, (1, 2))))(*jnp.asarray(cases.T))
    with mpmath.workdps(300):
        points = [[mpmath.mpf(float(v)) for v in case] for case in cases]
        assert_allclose(value, [float(exact(*p)) for p in points], rtol=1e-5)
        assert_allclose(d_location, [float(mpmath.diff(exact, p, (0, 1, 0))) for p in points], rtol=1e-4, atol=1e-7)
        assert_allclose(d_scale, [float(mpmath.diff(exact, p, (0, 0, 1))) for p in points], rtol=1e-4, atol=1e-6)


def test_gradients_are_finite_everywhere():
    def total(location, log_scale):
        return jnp.sum(jax.vmap(DiscretisedLogistic(location, log_scale).log_prob)(PIXELS))

    gradients = jax.jit(jax.vmap(jax.grad(total, (0, 1))))(LOCATIONS, LOG_SCALES)
    chex.assert_tree_all_finite(gradients)


def test_mean_mode_and_sampler_from_the_256_probabilities():
    family = DiscretisedLogistic(jnp.array([40.3, 250.0, -5.0, 128.0]), jnp.array([1.5, 3.0, 2.0, 5.0]))
    scored = np.asarray(jax.jit(jax.vmap(lambda x: family.element_log_prob(jnp.full(4, x))))(PIXELS), float)
    assert_allclose(family.mean, np.exp(scored).T @ np.arange(256), rtol=1e-5)
    assert_allclose(family.mode, np.argmax(scored, 0))
    draws = np.asarray(jax.jit(jax.vmap(family.sample))(jax.random.split(jax.random.key(0), 20_000)))
    for i in range(4):
        chi_square(draws[:, i], np.exp(scored[:, i]))


def chi_square(draws, probabilities):
    """Counts against probabilities, values that are expected fewer than 20 times in one bin."""
    counts, expected = np.bincount(draws.astype(int), minlength=256), probabilities / probabilities.sum() * len(draws)
    rare = expected < 20
    counts, expected = np.append(counts[~rare], counts[rare].sum()), np.append(expected[~rare], expected[rare].sum())
    assert stats.chisquare(counts[expected > 0], expected[expected > 0]).pvalue > 1e-3


def test_bytes_and_floats_score_the_same():
    family = DiscretisedLogistic(jnp.array([40.3, 250.0]), jnp.array([1.5, 3.0]))
    assert family.log_prob(jnp.array([3, 255], jnp.uint8)) == family.log_prob(jnp.array([3.0, 255.0]))


def mixture(channels, coupled=True):
    """Three components over one pixel of `channels` channels, spread over the range."""
    draw = np.random.default_rng(channels)
    coupling = jnp.asarray(draw.uniform(-1, 1, (3, channels, channels)), jnp.float32) if coupled else None
    return DiscretisedLogisticMixture(
        logits=jnp.array([0.2, -1.0, 0.7]),
        location=jnp.asarray(draw.uniform(0, 255, (3, channels)), jnp.float32),
        log_scale=jnp.asarray(draw.uniform(0.5, 3.0, (3, channels)), jnp.float32),
        coupling=coupling,
    )


def test_coupled_channels_sum_to_one_over_all_pairs():
    pairs = jnp.stack(jnp.meshgrid(PIXELS, PIXELS, indexing="ij"), -1).reshape(-1, 2)
    family = mixture(2)
    probabilities = np.exp(np.asarray(jax.jit(jax.vmap(family.log_prob))(pairs), float)).reshape(256, 256)
    assert_allclose(probabilities.sum(), 1.0, rtol=1e-5)
    draws = np.asarray(jax.jit(jax.vmap(family.sample))(jax.random.split(jax.random.key(1), 20_000)))
    chi_square(draws[:, 0], probabilities.sum(1))
    chi_square(draws[:, 1], probabilities.sum(0))
    error = 4 * np.std(draws.prod(1)) / np.sqrt(20_000)
    assert abs(draws.prod(1).mean() - np.arange(256) @ probabilities @ np.arange(256)) < error


@pytest.mark.slow
def test_each_channel_sums_to_one_given_those_before_it():
    """Summed over its last channel a mixture is that of the channels before, down to one, whose 256 values sum to one."""
    whole, values = mixture(4), jnp.asarray(np.random.default_rng(0).integers(0, 256, (5, 4)), jnp.float32)
    values = values.at[0].set(0.0).at[1].set(255.0)

    def summed(c):
        """Of the first c channels, over the last of them."""
        log_prob = first_channels(whole, c).log_prob
        each = jax.vmap(lambda value: jax.vmap(lambda x: log_prob(value[:c].at[c - 1].set(x)))(PIXELS))(values)
        return jax.nn.logsumexp(each, axis=1), jax.vmap(first_channels(whole, c - 1).log_prob)(values[:, : c - 1])

    for found, shorter in jax.jit(lambda: [summed(c) for c in (2, 3, 4)])():
        assert_allclose(found, shorter, rtol=1e-5, atol=1e-5)
    first = jax.vmap(first_channels(whole, 1).log_prob)(PIXELS[:, None])
    assert_allclose(np.exp(np.asarray(first, float)).sum(), 1.0, rtol=1e-5)


def first_channels(family, c):
    """The mixture of the first c channels by themselves."""
    coupling = None if family.coupling is None else family.coupling[..., :c, :c]
    return DiscretisedLogisticMixture(family.logits, family.location[..., :c], family.log_scale[..., :c], coupling)


def test_the_mean_of_coupled_channels_is_that_of_all_pairs_and_of_draws():
    """Locations beyond the edges and scales up to half the range, where what is cut off matters."""
    pairs = jnp.stack(jnp.meshgrid(PIXELS, PIXELS, indexing="ij"), -1).reshape(-1, 2)
    probabilities, family = jax.jit(jax.vmap(DiscretisedLogisticMixture.log_prob, (None, 0))), wild(2)
    exact = np.exp(np.asarray(probabilities(family, pairs), float)) @ np.asarray(pairs)
    assert_allclose(family.mean, exact, atol=1.0)
    assert abs(exact[1] - dataclasses.replace(family, coupling=None).mean[1]) > 5, "the coupling does not show"
    family = wild(4)
    draws = np.asarray(jax.jit(jax.vmap(family.sample))(jax.random.split(jax.random.key(2), 20_000)))
    assert_allclose(family.mean, draws.mean(0), atol=1.0 + 4 * draws.std() / np.sqrt(20_000))


def wild(channels):
    draw = np.random.default_rng(channels)
    return DiscretisedLogisticMixture(
        logits=jnp.array([0.2, -1.0, 0.7]),
        location=jnp.asarray(draw.uniform(-30, 285, (3, channels)), jnp.float32),
        log_scale=jnp.asarray(draw.uniform(-2.0, 4.5, (3, channels)), jnp.float32),
        coupling=jnp.asarray(draw.uniform(-1, 1, (3, channels, channels)), jnp.float32),
    )


def test_the_gradient_of_the_mean_reaches_later_channels_through_the_coupling():
    family = mixture(3)

    def later(move):
        return jnp.sum(dataclasses.replace(family, location=family.location.at[:, 0].add(move)).mean[1:])

    slope = float(jax.jit(jax.grad(later))(0.0))
    differences = (float(jax.jit(later)(8.0)) - float(jax.jit(later)(-8.0))) / 16.0
    assert slope == pytest.approx(differences, abs=0.05)
    assert abs(slope) > 0.1


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_whatever_a_network_gives_the_mixture_and_its_gradient_are_finite(channels):
    family = likelihoods.discretised_logistic_mixture((2, 3, channels), components=2)
    value = jnp.asarray(np.random.default_rng(0).choice([0.0, 1.0, 128.0, 255.0], (2, 3, channels)))
    signs = jnp.asarray(np.random.default_rng(1).choice([-1.0, 1.0], (3, *family.outputs)), jnp.float32)
    score = jax.jit(jax.vmap(jax.value_and_grad(lambda outputs: family.build(outputs).log_prob(value))))
    log_prob, gradient = score(signs * jnp.array([1e-3, 30.0, 1e4])[:, None, None, None])
    chex.assert_tree_all_finite((log_prob, gradient))
    assert np.all(np.asarray(log_prob) <= 0)


def test_mixture_is_the_weighted_sum_of_its_components():
    family = mixture(3, coupled=False)
    value = jnp.array([3.0, 100.0, 255.0])
    parts = [DiscretisedLogistic(m, s).log_prob(value) for m, s in zip(family.location, family.log_scale)]
    weights = np.exp(family.logits) / np.exp(family.logits).sum()
    assert_allclose(family.log_prob(value), np.log(np.sum(weights * np.exp(np.asarray(parts, float)))), rtol=1e-5)
    means = np.stack([DiscretisedLogistic(m, s).mean for m, s in zip(family.location, family.log_scale)])
    assert_allclose(family.mean, weights @ means, rtol=1e-5)


def test_coupling_moves_later_channels_only():
    family, value = mixture(3), jnp.array([30.0, 200.0, 90.0])
    by_hand = []
    for k in range(3):
        total = 0.0
        for c in range(3):
            location = family.location[k, c] + sum(family.coupling[k, c, i] * (value[i] - 127.5) for i in range(c))
            total += DiscretisedLogistic(location, family.log_scale[k, c]).log_prob(value[c])
        by_hand.append(float(total))
    weights = np.exp(family.logits) / np.exp(family.logits).sum()
    assert_allclose(family.log_prob(value), np.log(np.sum(weights * np.exp(by_hand))), rtol=1e-4)


def test_refusals():
    with unchecked(), pytest.raises(ValueError, match="wanted equal shapes"):
        DiscretisedLogistic(jnp.zeros(2), jnp.zeros(3))
    with unchecked(), pytest.raises(ValueError, match=r"wanted \(\*sites, K\)"):
        DiscretisedLogisticMixture(jnp.zeros(2), jnp.zeros((3, 1)), jnp.zeros((3, 1)))
    with unchecked(), pytest.raises(ValueError, match=r"coupling \(3, 2\); wanted \(3, 1, 1\) or None"):
        DiscretisedLogisticMixture(jnp.zeros(3), jnp.zeros((3, 1)), jnp.zeros((3, 1)), jnp.zeros((3, 2)))
