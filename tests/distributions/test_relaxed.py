"""Relaxed families: normalisation by quadrature, samplers against their limits, gradients, low temperatures."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose
from scipy import integrate, stats
from unchecked import unchecked

from vae.distributions import (
    Categorical,
    ExpRelaxedCategorical,
    LogitRelaxedBernoulli,
    RelaxedBernoulli,
    RelaxedCategorical,
    StraightThroughCategorical,
)

LOGITS = jnp.array([0.4, -0.8, 1.1])
DRAWS = 20_000
KEYS = jax.random.split(jax.random.key(0), DRAWS)


def concrete_density(x, logits, temperature):
    """The density of Maddison et al. (2017), definition 1, in NumPy and as printed."""
    a, k = np.exp(logits), len(logits)
    constant = scipy.special.factorial(k - 1) * temperature ** (k - 1)
    return constant * np.prod(a * x ** (-temperature - 1)) / np.sum(a * x**-temperature) ** k


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_relaxed_categorical_has_the_printed_density(temperature):
    points = np.random.default_rng(0).dirichlet(np.ones(3), 20).astype(np.float32)
    score = jax.jit(jax.vmap(RelaxedCategorical(LOGITS, jnp.float32(temperature)).log_prob))
    reference = [np.log(concrete_density(x.astype(float), np.asarray(LOGITS, float), temperature)) for x in points]
    assert_allclose(score(jnp.asarray(points)), reference, rtol=1e-4, atol=1e-4)


def test_relaxed_categorical_integrates_to_one():
    side = (np.arange(800) + 0.5) / 800
    first, share = (g.ravel() for g in np.meshgrid(side, side))
    points = np.stack([first, (1 - first) * share, (1 - first) * (1 - share)], -1)
    scored = jax.jit(jax.vmap(RelaxedCategorical(LOGITS, jnp.float32(1.5)).log_prob))(jnp.asarray(points, jnp.float32))
    assert_allclose(np.mean(np.exp(np.asarray(scored, float)) * (1 - first)), 1.0, atol=2e-3)


def test_relaxed_categorical_sampler_has_the_distribution_of_its_density():
    """With two classes the coordinate is a relaxed Bernoulli, whose distribution function is a sigmoid."""
    temperature = 0.7
    draws = jax.jit(jax.vmap(RelaxedCategorical(jnp.array([0.9, 0.2]), jnp.float32(temperature)).sample))(KEYS)
    assert_allclose(draws.sum(-1), 1.0, rtol=1e-5)
    logits = scipy.special.logit(np.asarray(draws[:, 0], float))
    assert stats.kstest(logits, stats.logistic(0.7 / temperature, 1 / temperature).cdf).pvalue > 1e-3


def test_the_largest_entry_is_categorical_at_every_temperature():
    for temperature in (0.01, 1.0):
        draws = jax.jit(jax.vmap(ExpRelaxedCategorical(LOGITS, jnp.float32(temperature)).sample))(KEYS)
        counts = np.bincount(np.argmax(draws, -1), minlength=3)
        assert stats.chisquare(counts, DRAWS * scipy.special.softmax(np.asarray(LOGITS, float))).pvalue > 1e-3


@pytest.mark.parametrize("family", [RelaxedCategorical, ExpRelaxedCategorical, RelaxedBernoulli, LogitRelaxedBernoulli])
def test_extreme_logits_and_temperatures_keep_samples_scores_and_gradients_finite(family):
    def score(logits, temperature, key):
        return family(logits, temperature).sample_and_log_prob(key)[1]

    @jax.jit
    @jax.vmap
    def everywhere(scale, temperature):
        logits = scale * jnp.array([1.0, -1.0, 0.3])
        return jax.value_and_grad(score, (0, 1))(logits, temperature, jax.random.key(1))

    scales, temperatures = np.meshgrid(np.float32([0, 1, 100, 1e4]), np.float32([0.05, 0.5, 5.0]))
    chex.assert_tree_all_finite(everywhere(jnp.asarray(scales.ravel()), jnp.asarray(temperatures.ravel())))


def test_log_space_has_the_same_log_ratio_as_the_simplex():
    temperature = jnp.float32(0.8)
    value = RelaxedCategorical(LOGITS, temperature).sample(jax.random.key(2))

    def ratio(family, value):
        return family(LOGITS, temperature).log_prob(value) - family(-LOGITS, temperature).log_prob(value)

    assert_allclose(ratio(RelaxedCategorical, value), ratio(ExpRelaxedCategorical, jnp.log(value)), rtol=1e-5)
    binary = jnp.array([0.2, 0.9, 0.4])
    assert_allclose(
        ratio(RelaxedBernoulli, binary), ratio(LogitRelaxedBernoulli, jnp.log(binary) - jnp.log1p(-binary)), rtol=1e-5
    )


def test_a_draw_is_scored_by_its_own_density():
    for family in (RelaxedCategorical, ExpRelaxedCategorical, RelaxedBernoulli, LogitRelaxedBernoulli):
        q = family(LOGITS, jnp.float32(0.3))
        value, log_q = jax.jit(q.sample_and_log_prob)(jax.random.key(4))
        assert_allclose(log_q, q.log_prob(value), rtol=1e-5)


def test_pathwise_gradient_of_an_expectation():
    """d/dl E[x_0^2] from draws, against differences of quadrature over the logistic variable of two classes."""
    temperature, logit = 0.6, 0.7

    def moment(at):
        def integrand(y):
            return scipy.special.expit(y) ** 2 * stats.logistic.pdf(y, at / temperature, 1 / temperature)

        return integrate.quad(integrand, -80, 80, limit=200)[0]

    def draw(logit, key):
        return RelaxedCategorical(jnp.stack([logit, 0.0 * logit]), jnp.float32(temperature)).sample(key)[0] ** 2

    gradients = np.asarray(jax.jit(jax.vmap(jax.grad(draw), (None, 0)))(jnp.float32(logit), KEYS))
    exact = (moment(logit + 1e-4) - moment(logit - 1e-4)) / 2e-4
    assert abs(gradients.mean() - exact) < 4 * gradients.std() / np.sqrt(DRAWS)


def test_relaxed_bernoulli_integrates_to_one():
    q = RelaxedBernoulli(jnp.array([0.7]), jnp.float32(1.4))
    points = (jnp.arange(20000) + 0.5) / 20000
    density = np.exp(jax.jit(jax.vmap(q.log_prob))(points[:, None]))
    assert_allclose(density.mean(), 1.0, rtol=1e-3)


def test_logit_relaxed_bernoulli_is_scipys_logistic():
    q = LogitRelaxedBernoulli(jnp.array([0.7, -2.0]), jnp.float32(0.4))
    reference = stats.logistic(np.array([0.7, -2.0]) / 0.4, 1 / 0.4)
    value = jnp.array([-3.0, 11.0])
    assert_allclose(q.element_log_prob(value), reference.logpdf(value), rtol=1e-5)
    assert_allclose(q.entropy(), reference.entropy().sum(), rtol=1e-5)
    assert_allclose([q.mean, q.mode], [reference.mean()] * 2, rtol=1e-5)
    assert_allclose(q.variance, reference.var(), rtol=1e-5)
    assert stats.kstest(jax.jit(jax.vmap(q.sample))(KEYS)[:, 0], stats.logistic(0.7 / 0.4, 1 / 0.4).cdf).pvalue > 1e-3


def test_straight_through_is_one_hot_forward_and_soft_backward():
    temperature = jnp.float32(0.9)
    key, weights = jax.random.key(5), jnp.array([1.0, -2.0, 3.0])

    def hard(logits):
        return weights @ StraightThroughCategorical(logits, temperature).sample(key)

    def soft(logits):
        return weights @ RelaxedCategorical(logits, temperature).sample(key)

    assert_allclose(jax.grad(hard)(LOGITS), jax.grad(soft)(LOGITS), rtol=1e-5)
    family = StraightThroughCategorical(LOGITS, temperature)
    draws, scores = jax.jit(jax.vmap(family.sample_and_log_prob))(KEYS)
    assert np.all(np.sort(draws, -1) == [0, 0, 1])
    assert stats.chisquare(draws.sum(0), DRAWS * scipy.special.softmax(np.asarray(LOGITS, float))).pvalue > 1e-3
    chex.assert_trees_all_close(scores, jax.vmap(Categorical(LOGITS).log_prob)(jnp.argmax(draws, -1)), rtol=1e-5)


@pytest.mark.parametrize("family", [RelaxedCategorical, RelaxedBernoulli, StraightThroughCategorical])
def test_refuses_a_temperature_that_is_not_positive(family):
    with unchecked(), pytest.raises(ValueError, match="wanted a positive number"):
        family(LOGITS, 0.0)
    with unchecked(), pytest.raises(ValueError, match=r"temperature of shape \(3,\); wanted a scalar"):
        family(LOGITS, jnp.ones(3))
    jax.jit(lambda t: family(LOGITS, t).sample(jax.random.key(0)))(1.0)
