import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import entropy, norm
from sklearn.mixture import GaussianMixture
from toys import LOADINGS, NOISE, linear_gaussian

from vae.distributions import Categorical, Normal, standard_normal
from vae.divergences import kl_divergence
from vae.evaluation.aggregate import (
    aggregate_posterior,
    aggregate_terms,
    codebook_perplexity,
    fit_mixture,
    posteriors_of,
)
from vae.trained import Trained

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
KEEP = {"samples": 4, "batch_size": 16}  # one compiled program for several tests
MEANS, LOG_STDS = RNG.normal(size=(6, 1)), RNG.normal(-0.7, 0.3, size=(6, 1))


def normals(means, log_stds):
    return jax.vmap(Normal)(jnp.asarray(means, jnp.float32), jnp.asarray(log_stds, jnp.float32))


SCATTERED = normals(RNG.normal(size=(30, 2)), RNG.normal(-1, 0.5, size=(30, 2)))
PRIOR = standard_normal(2)


def density(z):
    return np.mean(norm.pdf(z, MEANS[:, 0], np.exp(LOG_STDS[:, 0])))


def test_the_parts_add_up_to_the_rate_for_every_example():
    terms = aggregate_terms(SCATTERED, PRIOR, KEY, **KEEP)
    np.testing.assert_allclose(terms.mutual_information + terms.marginal_kl, terms.rate, atol=1e-4)


def test_the_rate_is_the_divergence_from_the_prior():
    terms = aggregate_terms(SCATTERED, PRIOR, KEY, samples=2000, batch_size=60_000)
    analytic = jax.vmap(lambda q: kl_divergence(q, PRIOR))(SCATTERED)
    np.testing.assert_allclose(terms.rate, analytic, atol=5 * 2.5 / np.sqrt(2000))
    assert float(np.mean(terms.rate)) == pytest.approx(float(np.mean(analytic)), abs=5 * 2.5 / np.sqrt(60_000))


def test_the_parts_are_those_by_quadrature():
    terms = aggregate_terms(normals(MEANS, LOG_STDS), standard_normal(1), KEY, samples=20_000, batch_size=20_000)
    marginal = quad(lambda z: density(z) * (np.log(density(z)) - norm.logpdf(z)), -8, 8, limit=200)[0]
    own_entropies = norm.entropy(0, np.exp(LOG_STDS[:, 0])).mean()
    information = quad(lambda z: -density(z) * np.log(density(z)), -8, 8, limit=200)[0] - own_entropies
    assert float(np.mean(terms.mutual_information)) == pytest.approx(information, abs=0.01)
    assert float(np.mean(terms.marginal_kl)) == pytest.approx(marginal, abs=0.01)


def test_log_densities_are_those_of_a_loop():
    posteriors = normals(MEANS, LOG_STDS)
    for z in (-3.0, 0.1, 2.0):
        by_hand = logsumexp(norm.logpdf(z, MEANS[:, 0], np.exp(LOG_STDS[:, 0]))) - np.log(6)
        assert aggregate_posterior(posteriors).log_prob(jnp.array([z])) == pytest.approx(by_hand, abs=1e-5)


def test_information_runs_from_nothing_to_the_log_of_the_number():
    apart = normals(20.0 * np.arange(60).reshape(30, 2), np.zeros((30, 2)))
    together = normals(np.full((30, 2), 0.7), np.full((30, 2), -0.2))
    np.testing.assert_allclose(aggregate_terms(apart, PRIOR, KEY, **KEEP).mutual_information, np.log(30), atol=1e-3)
    same = aggregate_terms(together, PRIOR, KEY, **KEEP)
    np.testing.assert_allclose(same.mutual_information, 0.0, atol=1e-5)
    np.testing.assert_allclose(same.marginal_kl, same.rate, atol=1e-5)


def test_the_batch_size_does_not_show():
    small = aggregate_terms(SCATTERED, PRIOR, KEY, **KEEP)
    whole = aggregate_terms(SCATTERED, PRIOR, KEY, samples=4, batch_size=1000)
    np.testing.assert_allclose(small.mutual_information, whole.mutual_information, atol=1e-5)


def test_other_families_are_measured_too():
    probabilities = RNG.dirichlet(np.ones(4), size=9)
    posteriors = jax.vmap(Categorical)(jnp.asarray(np.log(probabilities), jnp.float32))
    terms = aggregate_terms(posteriors, Categorical(jnp.zeros(4)), KEY, samples=5000, batch_size=45_000)
    aggregate = probabilities.mean(axis=0)
    information = entropy(aggregate) - entropy(probabilities, axis=1).mean()
    assert float(np.mean(terms.mutual_information)) == pytest.approx(information, abs=0.02)
    assert float(np.mean(terms.marginal_kl)) == pytest.approx(np.log(4) - entropy(aggregate), abs=0.02)


def test_a_perfect_model_has_the_information_of_theory_and_its_aggregate_is_the_prior():
    # x from the model and the exact posterior: I(x; z) = 1/2 ln det(I + W'W / s^2), q(z) = p(z).
    model = linear_gaussian()
    params, _ = model.init(KEY)
    latents = RNG.normal(size=(3000, 2))
    x = (latents @ LOADINGS.T + NOISE * RNG.normal(size=(3000, 4))).astype(np.float32)
    posteriors = posteriors_of(Trained(model, params), x, KEY)
    precision = 1.0 + (LOADINGS**2).sum(axis=0) / NOISE**2
    np.testing.assert_allclose(posteriors.mean, x @ LOADINGS / NOISE**2 / precision, atol=1e-4)
    terms = aggregate_terms(posteriors, standard_normal(2), KEY)
    error = float(np.std(terms.mutual_information)) / np.sqrt(3000)
    # That of 3,000 examples is short of it by less than the divergence that their scatter leaves.
    assert float(np.mean(terms.mutual_information)) == pytest.approx(0.5 * np.log(precision).sum(), abs=4 * error)
    assert abs(np.mean(terms.marginal_kl)) < 0.03


def test_perplexity_is_the_exponential_of_the_entropy():
    indices = RNG.integers(0, 5, size=(20, 10)) ** 2 // 4
    assert codebook_perplexity(indices, 8) == pytest.approx(np.exp(entropy(np.bincount(indices.ravel()))))
    assert codebook_perplexity(np.arange(64).reshape(8, 8), 64) == pytest.approx(64.0)
    assert codebook_perplexity(np.full(9, 3), 64) == pytest.approx(1.0)


def test_the_fitted_mixture_is_that_of_scikit_learn_and_samples_from_it():
    values = np.concatenate([RNG.normal(size=(400, 2)) @ [[1.0, 0.8], [0.0, 0.4]], RNG.normal(size=(200, 2)) * 0.3 + 4])
    mixture = fit_mixture(values, 2, seed=0)
    fitted = GaussianMixture(2, max_iter=500, random_state=0).fit(values)
    points = values[::40].astype(np.float32)
    log_probs = jax.jit(jax.vmap(mixture.log_prob))(points)
    np.testing.assert_allclose(log_probs, fitted.score_samples(points), atol=1e-4)
    samples = jax.jit(jax.vmap(mixture.sample))(jax.random.split(KEY, 4000))
    np.testing.assert_allclose(np.mean(samples, axis=0), values.mean(axis=0), atol=5 * 2.1 / np.sqrt(4000))
    np.testing.assert_allclose(np.cov(np.asarray(samples).T), np.cov(values.T), atol=0.3)


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"indices run from 0 to 8; wanted 0 \.\.\. 7 for 8 codes"):
        codebook_perplexity([0, 8], 8)
    with pytest.raises(TypeError, match="indices is float64; wanted integers"):
        codebook_perplexity([0.0, 1.0], 8)
    with pytest.raises(ValueError, match="components is 5 for 3 values"):
        fit_mixture(np.eye(3), 5, seed=0)
    with pytest.raises(ValueError, match="samples is 0; wanted at least 1"):
        aggregate_terms(normals(MEANS, LOG_STDS), standard_normal(1), KEY, samples=0)
