"""The beta family against SciPy in float64: densities, draws and exact gradients of expectations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special, stats

from vae.distributions import Beta

PAIRS = np.array([(0.05, 1.0), (0.5, 0.6), (1.0, 1.0), (2.0, 30.0), (500.0, 20.0), (1e4, 1e4)], np.float32)
TINY = np.array([(1e-3, 1e-3)], np.float32)


def test_log_prob_moments_and_entropy_are_scipys_up_to_a_million():
    parameters = 10.0 ** np.random.default_rng(0).uniform(-3, 6, (80, 2))
    alpha, beta = parameters.T.astype(np.float32)
    a, b = alpha.astype(float), beta.astype(float)
    value = np.clip(special.expit(np.log(a / b) + np.linspace(-2, 2, 80) / np.sqrt(1 + a * b / (a + b))), 1e-6, 1 - 1e-6)
    value = value.astype(np.float32)
    x, reference = value.astype(float), stats.beta(a, b)
    family = Beta(jnp.array(alpha), jnp.array(beta))
    # One bit of the value moves the log density by |a - s x| / (1 - x) bits, which no form of the density can undo.
    allowed = 4e-5 + 2e-6 * np.abs(reference.logpdf(x)) + 2e-7 * np.abs(a - (a + b) * x) / (1 - x)
    assert np.all(np.abs(family.element_log_prob(jnp.array(value)) - reference.logpdf(x)) < allowed)
    assert_allclose(family.mean, reference.mean(), rtol=1e-6)
    assert_allclose(family.variance, reference.var(), rtol=1e-6)
    entropy = jax.vmap(lambda a, b: Beta(a, b).entropy())(jnp.array(alpha), jnp.array(beta))
    moderate = a + b < 1e3  # beyond, SciPy's own sum cancels
    assert_allclose(entropy[moderate], reference.entropy()[moderate], rtol=3e-6, atol=4e-5)
    gaussian = 0.5 * np.log(2 * np.pi * np.e * reference.var())
    narrow = np.minimum(a, b) > 1e4
    assert_allclose(entropy[narrow], gaussian[narrow], atol=1e-4)


def test_log_prob_at_and_beyond_the_ends():
    family = Beta(jnp.array([0.5, 1.0, 2.0, 3.0, 3.0, 3.0]), jnp.array([2.0, 4.0, 2.0, 0.5, 1.0, 2.0]))
    value = jnp.array([0.0, 0.0, -0.1, 1.0, 1.0, 1.0])
    expected = [np.inf, np.log(4.0), -np.inf, np.inf, np.log(3.0), -np.inf]
    assert_allclose(family.element_log_prob(value), expected, rtol=1e-6)


def test_mode_inside_and_at_the_ends():
    family = Beta(jnp.array([3.0, 2.0, 0.5, 1.0]), jnp.array([2.0, 0.5, 2.0, 3.0]))
    assert_allclose(family.mode, [2 / 3, 1.0, 0.0, 0.0], rtol=1e-6)


@pytest.fixture(scope="module")
def draws():
    """20,000 draws at every pair, with their slopes in both parameters and their log density; (pairs, draws)."""

    def draw(parameters, key):
        return Beta(parameters[0], parameters[1]).sample_and_log_prob(key)

    keys = jax.random.split(jax.random.key(0), 20_000)
    program = jax.vmap(jax.vmap(jax.value_and_grad(draw, has_aux=True), in_axes=(None, 0)), in_axes=(0, None))
    (values, log_q), slopes = jax.jit(program)(jnp.array(np.concatenate([PAIRS, TINY])), keys)
    return tuple(np.asarray(leaf, float) for leaf in (values, log_q, slopes))


def test_samples_and_gradients_of_expectations_are_exact(draws):
    """d E x = (b, -a) / s^2 and d E logit(x) = (trigamma(a), -trigamma(b)), draws that were moved inside among them."""
    values, _, slopes = draws
    for (a, b), value, slope in zip(PAIRS.astype(float), values, slopes):
        assert stats.kstest(value, stats.beta(a, b).cdf).pvalue > 1e-3
        logit_slope = slope / (value * (1 - value))[:, None], np.array([special.polygamma(1, a), -special.polygamma(1, b)])
        for estimate, exact in [(slope, np.array([b, -a]) / (a + b) ** 2), logit_slope]:
            assert np.all(np.abs(estimate.mean(0) - exact) < 4.5 * estimate.std(0) / np.sqrt(len(estimate)))


def test_tiny_concentrations_draw_from_both_ends_with_a_finite_density(draws):
    value, log_q, slope = (leaf[-1] for leaf in draws)
    assert np.isfinite(log_q).all()
    assert np.isfinite(slope).all()
    assert np.all((value > 0) & (value < 1))
    assert abs(np.mean(value > 0.5) - 0.5) < 0.02


@pytest.mark.parametrize("field", ["concentration1", "concentration0"])
def test_parameters_that_are_not_positive_are_refused(field):
    parameters = {"concentration1": jnp.ones(2), "concentration0": jnp.ones(2), field: jnp.array([1.0, -2.0])}
    with pytest.raises(ValueError, match=rf"Beta got a {field} of -2\.0; wanted finite values > 0"):
        Beta(**parameters)
