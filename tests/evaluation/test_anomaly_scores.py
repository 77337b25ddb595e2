"""On linear-Gaussian models, where every score has a closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import (
    LOADINGS,
    NOISE,
    A,
    S,
    T,
    linear_gaussian,
    linear_gaussian_evidence,
    two_group_evidence,
    two_groups,
    vector_quantised,
)

from vae.evaluation.anomaly_scores import hierarchical_log_likelihood_ratio, likelihood_regret, model_scores, scores_by_name
from vae.objectives import log_ratio
from vae.trained import Trained

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
SCALARS = np.array([[-2.0], [0.3], [1.5]], np.float32)
PRECISION = 1.0 + (LOADINGS**2).sum(axis=0) / NOISE**2
# One compiled program for all regrets; the step size falls to zero, so that the optimum is reached and kept.
FIT = {
    "steps": 300,
    "samples": 16,
    "score_samples": 4000,
    "optimiser": optax.adam(optax.cosine_decay_schedule(3e-2, 300)),
    "batch_size": 7,
}
EXACT_MEAN = X @ LOADINGS / NOISE**2 / PRECISION


@pytest.fixture(scope="module")
def model():
    return linear_gaussian()


@pytest.fixture(scope="module")
def params(model):
    return model.init(KEY)[0]


def test_the_negative_elbo_of_an_exact_posterior_is_the_evidence(model, params):
    scores = model_scores(Trained(model, params), X, KEY, rates=log_ratio)
    np.testing.assert_allclose(scores.negative_elbo, -linear_gaussian_evidence(X), rtol=1e-5)


def test_rates_and_reconstruction_are_the_closed_forms(model, params):
    scores = model_scores(Trained(model, params), X, KEY, samples=400)
    rate = 0.5 * np.sum(EXACT_MEAN**2 + 1 / PRECISION - 1 + np.log(PRECISION), axis=1)
    residual = X - EXACT_MEAN @ LOADINGS.T
    spread = np.trace(LOADINGS @ np.diag(1 / PRECISION) @ LOADINGS.T)
    expected = -0.5 * (np.sum(residual**2, axis=1) + spread) / NOISE**2 - 2 * np.log(2 * np.pi * NOISE**2)
    assert scores.rates.shape == (7, 1)
    np.testing.assert_allclose(scores.rates[:, 0], rate, rtol=1e-4)
    np.testing.assert_allclose(scores.reconstruction, -expected, atol=0.4)
    np.testing.assert_allclose(scores.negative_elbo, scores.rates.sum(axis=1) + scores.reconstruction, rtol=1e-5)


def test_each_group_has_its_rate():
    model = two_groups(bottom_up=True)
    params = model.init(KEY)[0]
    scores = model_scores(Trained(model, params), SCALARS, KEY, samples=2, rates=log_ratio)
    assert scores.rates.shape == (3, 2)
    np.testing.assert_allclose(scores.negative_elbo, -two_group_evidence(SCALARS[:, 0]), rtol=1e-5)
    np.testing.assert_allclose(scores.negative_elbo, scores.rates.sum(axis=1) + scores.reconstruction, rtol=1e-5)


def test_regret_is_zero_where_the_posterior_is_exact(model, params):
    regret = likelihood_regret(Trained(model, params), X, KEY, **FIT)
    np.testing.assert_allclose(regret, 0.0, atol=0.01)


def test_regret_is_the_divergence_from_the_exact_posterior(model, params):
    # The optimum over one example's posterior is the exact one, and ELBO = log p(x) - KL(q || exact).
    off = {"weights": params["posterior"]["weights"] + 0.15, "log_std": params["posterior"]["log_std"] + jnp.array([0.5, -0.4])}
    regret = likelihood_regret(Trained(model, params | {"posterior": off}), X, KEY, **FIT)
    shift = X @ (np.asarray(off["weights"]) - np.asarray(params["posterior"]["weights"])).T
    widening = np.array([0.5, -0.4])
    divergence = 0.5 * np.sum(np.exp(2 * widening) + shift**2 * PRECISION - 1 - 2 * widening, axis=1)
    np.testing.assert_allclose(regret, divergence, atol=5 * np.sqrt(2 * divergence.max() / 4000))


def expected_ratio(x, bottom_up):
    """L - L^{>1} of the exact posterior: log p(x) - E log p(x | z1) + E log q(z2 | .) / p(z2), with z1 from the prior."""
    evidence_variance = A**2 + T**2 + S**2
    mean, variance = A * x / evidence_variance, 1 - A**2 / evidence_variance  # of z2 given x
    squared_error = (x - A * mean) ** 2 + A**2 * variance + T**2
    likelihood = -0.5 * np.log(2 * np.pi * S**2) - 0.5 * squared_error / S**2
    spread = T**2 / (A**2 + T**2) if bottom_up else variance  # of z2 given z1, or given x
    rate = 0.5 * (mean**2 + variance - 1 - np.log(spread))
    return two_group_evidence(x) - (likelihood - rate)


@pytest.mark.parametrize("bottom_up", [False, True])
def test_the_hierarchical_ratio_is_the_closed_form_in_both_orders(bottom_up):
    model = two_groups(bottom_up)
    params = model.init(KEY)[0]
    ratio = hierarchical_log_likelihood_ratio(Trained(model, params), SCALARS, KEY, lowest=1, samples=20_000)
    np.testing.assert_allclose(ratio, expected_ratio(SCALARS[:, 0], bottom_up), rtol=0.05)
    assert np.all(ratio > 0), "what the data say of the low group is lost"


def test_bad_input_is_refused_in_one_sentence(model, params):
    with pytest.raises(ValueError, match="lowest is 1 for a model of 1 latent groups"):
        hierarchical_log_likelihood_ratio(Trained(model, params), X, KEY, lowest=1)
    with pytest.raises(ValueError, match="samples is 0; wanted at least 1"):
        model_scores(Trained(model, params), X, KEY, samples=0)
    with pytest.raises(ValueError, match="got 100 steps of 0 samples and 128 to score; wanted at least 0, 1 and 1"):
        likelihood_regret(Trained(model, params), X, KEY, samples=0)


def test_a_model_without_groups_has_no_rates():
    model = vector_quantised()
    params, state = model.init(KEY)
    scores = model_scores(Trained(model, params, state), X, KEY)
    assert scores.rates.shape == (7, 0)
    np.testing.assert_allclose(scores.negative_elbo, scores.reconstruction)


@pytest.mark.slow
@pytest.mark.parametrize("bottom_up", [False, True])
def test_every_score_by_its_name(bottom_up):
    """Of an exact posterior in two groups, whose ratio with the lower one from the prior has a closed form."""
    model = two_groups(bottom_up)
    trained = Trained(model, model.init(KEY)[0])
    found = scores_by_name(trained, SCALARS, KEY, samples=3_000, importance_samples=2, rates=log_ratio)
    assert list(found) == ["NLL", "KL 1", "KL 2", "LLR>1"]
    np.testing.assert_allclose(found["NLL"], -two_group_evidence(SCALARS[:, 0]), rtol=1e-5)
    # z_2 given x is N(mean, v); of z_1, drawn from N(A z_2, T^2), one draw stands inside the logarithm of N(x; z_1, S^2)
    noise, x = T**2 + S**2, SCALARS[:, 0].astype(float)
    v = 1 / (1 + A**2 / noise)
    mean, kl = v * A * x / noise, 0.5 * ((v * A * x / noise) ** 2 + v - 1 - np.log(v))
    expected = -0.5 * np.log(2 * np.pi * S**2) - 0.5 * ((x - A * mean) ** 2 + A**2 * v + T**2) / S**2 - kl
    np.testing.assert_allclose(found["LLR>1"], two_group_evidence(x) - expected, rtol=0.1, atol=0.1)
    if not bottom_up:  # the other order charges the ancestor at what it is inferred from
        np.testing.assert_allclose(found["KL 1"], kl, atol=0.1)


def test_one_group_has_its_likelihood_and_its_rate(model, params):
    found = scores_by_name(Trained(model, params), X, KEY, samples=2, importance_samples=2)
    assert list(found) == ["NLL", "KL"]
    np.testing.assert_allclose(found["NLL"], -linear_gaussian_evidence(X), rtol=1e-5)
