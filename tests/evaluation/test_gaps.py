"""The gaps of linear-Gaussian models, each of which has a closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from scipy.stats import multivariate_normal

from vae.evaluation import gaps
from vae.evaluation.annealing import AnnealedEvidence
from vae.evaluation.evidence import Evidence, importance_sampled_evidence
from vae.trained import Trained

EXAMPLES = 12
MODEL = toys.linear_gaussian()
PARAMS, _ = MODEL.init(jax.random.key(0))
X = np.random.default_rng(0).multivariate_normal(
    np.zeros(4), toys.LOADINGS @ toys.LOADINGS.T + toys.NOISE**2 * np.eye(4), size=EXAMPLES
)
PRECISION = 1.0 + (toys.LOADINGS**2).sum(axis=0) / toys.NOISE**2
SHIFT, WIDENING = 0.12, np.array([0.4, -0.3])
OFF = PARAMS | {
    "posterior": {
        "weights": PARAMS["posterior"]["weights"] + SHIFT,
        "log_std": PARAMS["posterior"]["log_std"] + jnp.asarray(WIDENING, jnp.float32),
    }
}
OBLIQUE = np.array([[1.2, 0.9], [-0.8, -0.3], [0.5, -0.4], [0.0, 0.4]])
CORRELATED = PARAMS | {"generative": {"loadings": jnp.asarray(OBLIQUE, jnp.float32)}}
"""Loadings that are not orthogonal: the exact posterior is correlated, which no diagonal one can be."""


def evidence(loadings):
    return multivariate_normal(np.zeros(4), loadings @ loadings.T + toys.NOISE**2 * np.eye(4)).logpdf(X)


def known(value):
    """An exact number in the place of an estimate by annealing."""
    value = jnp.asarray(value, jnp.float32)
    return AnnealedEvidence(value, jnp.zeros_like(value), *[jnp.ones_like(value)] * 3)


def weighted(params, samples):
    return importance_sampled_evidence(Trained(MODEL, params), jnp.asarray(X, jnp.float32), jax.random.key(2), samples=samples)


@pytest.fixture(scope="module")
def fitted():
    """The bounds of any parameters before and after the fit, compiled once."""
    x, key = jnp.asarray(X, jnp.float32), jax.random.key(1)
    optimiser = optax.adam(optax.cosine_decay_schedule(2e-2, 400))  # six parameters take larger steps than a network
    settings = {"optimiser": optimiser, "steps": 400, "samples": 8, "score_samples": 1000}
    return lambda params: gaps.fitted_bounds(Trained(MODEL, params), x, key, **settings)


def test_an_exact_posterior_has_no_gaps(fitted):
    exact = evidence(toys.LOADINGS)
    found = gaps.inference_gaps(known(exact), fitted(PARAMS), weighted(PARAMS, 50))
    np.testing.assert_allclose(found.elbo.value, exact, atol=1e-4)
    for gap in (found.approximation, found.amortisation, found.estimator):
        np.testing.assert_allclose(gap.value, 0.0, atol=2e-4)
        assert np.all(np.asarray(gap.error) < 1e-3)


def test_a_wrong_encoder_is_all_amortisation(fitted):
    """The exact posterior is in the family, so that the fit finds it; what it gains is KL(q || p(z | x)) in closed form."""
    exact = evidence(toys.LOADINGS)
    found = gaps.inference_gaps(known(exact), fitted(OFF), weighted(OFF, 50))
    shift = (X.sum(axis=1) * SHIFT)[:, None]
    divergence = 0.5 * np.sum(np.exp(2 * WIDENING) + shift**2 * PRECISION - 1 - 2 * WIDENING, axis=1)
    assert divergence.min() > 0.1
    np.testing.assert_allclose(found.fitted.value, exact, atol=2e-3)
    np.testing.assert_allclose(found.approximation.value, 0.0, atol=2e-3)
    standardised = (np.asarray(found.amortisation.value) - divergence) / np.asarray(found.amortisation.error)
    assert np.abs(standardised).max() < 4
    assert found.amortisation.error.max() < 0.1 * divergence.max()


def test_a_family_that_is_too_small_is_all_approximation(fitted):
    """The best diagonal Gaussian has the precisions' diagonal L_ii: KL(q* || p(z | x)) = 1/2 (sum log L_ii - log det L)."""
    precision = np.eye(2) + OBLIQUE.T @ OBLIQUE / toys.NOISE**2
    divergence = 0.5 * (np.log(np.diagonal(precision)).sum() - np.linalg.slogdet(precision)[1])
    assert divergence > 0.1
    found = gaps.inference_gaps(known(evidence(OBLIQUE)), fitted(CORRELATED), weighted(CORRELATED, 50))
    standardised = (np.asarray(found.approximation.value) - divergence) / np.asarray(found.approximation.error)
    assert np.sqrt(np.mean(standardised**2)) < 2, "with the errors it claims"
    assert np.all(np.asarray(found.amortisation.value) > -3 * np.asarray(found.amortisation.error))
    assert np.mean(found.estimator.value) < np.mean(found.approximation.value + found.amortisation.value)


def test_gaps_are_differences_and_their_errors_add_in_squares():
    bounds = gaps.FittedBounds(
        elbo=gaps.Estimate(jnp.array([-9.0, -8.0]), jnp.array([0.3, 0.3])),
        fitted=gaps.Estimate(jnp.array([-7.0, -7.5]), jnp.array([0.4, 0.0])),
        amortisation=gaps.Estimate(jnp.array([2.0, 0.5]), jnp.array([0.1, 0.2])),
    )
    annealed = AnnealedEvidence(jnp.array([-5.0, -6.0]), jnp.array([0.3, 0.6]), *[jnp.ones(2)] * 3)
    importance = Evidence(jnp.array([-5.5, -7.0]), jnp.array([0.4, 0.8]), jnp.ones(2))
    found = gaps.inference_gaps(annealed, bounds, importance)
    np.testing.assert_allclose(found.approximation.value, [2.0, 1.5])
    np.testing.assert_allclose(found.approximation.error, [0.5, 0.6], rtol=1e-6)
    np.testing.assert_allclose(found.estimator.value, [0.5, 1.0])
    np.testing.assert_allclose(found.estimator.error, [0.5, 1.0], rtol=1e-6)
    assert found.amortisation is bounds.amortisation
    summary = gaps.gap_summary(found)
    assert set(summary) == set(gaps.Gaps._fields)
    expected = {"mean": 1.25, "se_images": np.std([2.0, 0.5], ddof=1) / np.sqrt(2), "se_mc": np.hypot(0.1, 0.2) / 2}
    assert summary["amortisation"] == pytest.approx(expected)


def test_an_error_that_is_not_known_makes_the_summary_say_so():
    ones = jnp.ones(2)
    bounds = gaps.FittedBounds(*[gaps.Estimate(ones, ones)] * 3)
    annealed = AnnealedEvidence(ones, jnp.array([0.1, jnp.nan]), *[ones] * 3)
    summary = gaps.gap_summary(gaps.inference_gaps(annealed, bounds, Evidence(ones, ones, ones)))
    unknown = {name for name, row in summary.items() if np.isnan(row["se_mc"])}
    assert unknown == {"log_evidence", "approximation", "estimator"}


def test_the_error_of_a_mean_is_that_of_its_draws():
    draws = np.random.default_rng(3).normal(size=50)
    found = gaps._mean(jnp.asarray(draws, jnp.float32))
    assert float(found.value) == pytest.approx(draws.mean(), rel=1e-5)
    assert float(found.error) == pytest.approx(draws.std(ddof=1) / np.sqrt(50), rel=1e-5)
    assert np.isnan(gaps._mean(jnp.ones(1)).error)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="got 400 steps of 0 samples and 512 to score; wanted at least 0, 1 and 1"):
        gaps.fitted_bounds(Trained(MODEL, PARAMS), jnp.zeros((2, 4)), jax.random.key(0), samples=0)
    model = toys.labelled()
    params, state = model.init(jax.random.key(0))
    with pytest.raises(TypeError, match="the draws of the posterior Categorical pass no gradient back"):
        gaps.fitted_bounds(Trained(model, params, state), jnp.zeros((2, 4)), jax.random.key(0))
