"""Another law of the codes: the exact evidence under it, its samples, and a second model as a prior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

import vae
from vae.distributions import MultivariateNormal
from vae.evaluation import generate
from vae.evaluation.evidence import importance_sampled_evidence
from vae.models import Generated, with_prior
from vae.testing.linear_gaussian_model import LOADINGS, NOISE, linear_gaussian

MEAN, FACTOR = np.array([0.5, -0.3]), np.array([[0.8, 0.0], [0.4, 0.6]])
PRIOR = MultivariateNormal(mean=jnp.asarray(MEAN, jnp.float32), scale_tril=jnp.asarray(FACTOR, jnp.float32))
COVARIANCE = LOADINGS @ FACTOR @ FACTOR.T @ LOADINGS.T + NOISE**2 * np.eye(5)
KEY = jax.random.key(0)
PLAIN = vae.Trained(linear_gaussian(), *linear_gaussian().init(KEY))


@pytest.fixture(scope="module")
def changed():
    return with_prior(PLAIN, PRIOR)


def test_the_evidence_is_that_under_the_new_prior(changed):
    x = np.random.default_rng(1).multivariate_normal(LOADINGS @ MEAN, COVARIANCE, 6)
    found = importance_sampled_evidence(changed, jnp.asarray(x, jnp.float32), KEY, samples=2_000)
    exact = multivariate_normal(LOADINGS @ MEAN, COVARIANCE).logpdf(x)
    assert np.all(np.abs(found.log_evidence - exact) < 5 * found.monte_carlo_error + 1e-4)
    assert np.all(found.monte_carlo_error < 0.1)


def test_samples_come_from_it_and_given_codes_are_kept(changed):
    (codes,) = generate.sample_prior(changed, KEY, 20_000)
    assert_allclose(np.mean(codes, axis=0), MEAN, atol=0.03)
    assert_allclose(np.cov(np.asarray(codes).T), FACTOR @ FACTOR.T, atol=0.03)
    assert_allclose(
        generate.decode_means(changed, (codes[:3],)), codes[:3] @ LOADINGS.T.astype(np.float32), rtol=1e-4, atol=1e-5
    )
    assert_allclose(changed.prior(KEY, (), (codes[0],))[0], codes[0])


def test_a_second_model_is_a_prior_that_is_sampled_through_both():
    """A linear-Gaussian model of two-dimensional codes under one of five-dimensional data: all moments are known."""
    loadings, noise = np.array([[0.9], [-0.5]]), 0.4
    model = linear_gaussian(loadings, noise)
    both = with_prior(PLAIN, Generated(vae.Trained(model, *model.init(KEY))))
    codes = generate.sample_prior(both, KEY, 20_000)
    assert_allclose(np.cov(np.asarray(codes[0]).T), loadings @ loadings.T + noise**2 * np.eye(2), atol=0.03)
    assert generate.sample_likelihood(both, codes, KEY).shape == (20_000, 5)
    with pytest.raises(TypeError, match=r"an integral over its codes.*fit_mixture"):
        importance_sampled_evidence(both, jnp.zeros((2, 5)), KEY, samples=3)
