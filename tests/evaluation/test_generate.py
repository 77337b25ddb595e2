"""What a model draws, against the same thing one example at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import toys

from vae.evaluation import generate
from vae.types import Trained

MODEL = toys.linear_gaussian()
PARAMS, _ = MODEL.init(jax.random.key(0))
TRAINED = Trained(MODEL, PARAMS)
LOADINGS = np.asarray(PARAMS["generative"]["loadings"])
X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4)), jnp.float32)


def test_reconstructions_are_decoded_posterior_means():
    found = generate.reconstruct(TRAINED, X, jax.random.key(0))
    want = np.asarray(X) @ np.asarray(PARAMS["posterior"]["weights"]).T @ LOADINGS.T
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


def test_samples_of_the_prior_are_ancestral_and_follow_the_key():
    model = toys.two_groups(bottom_up=False)
    params, state = model.init(jax.random.key(0))
    z2, z1 = generate.sample_prior(Trained(model, params, state), jax.random.key(1), 20_000)
    assert z2.shape == z1.shape == (20_000, 1)
    covariance = np.cov(np.stack([z2[:, 0], z1[:, 0]]))
    want = [[1.0, toys.A], [toys.A, toys.A**2 + toys.T**2]]
    np.testing.assert_allclose(covariance, want, atol=0.05)  # 4 / sqrt(20000) = 0.03 times variances up to 1.3
    again = generate.sample_prior(Trained(model, params, state), jax.random.key(1), 20_000)
    np.testing.assert_array_equal(z2, again[0])


def test_samples_of_the_aggregate_posterior_have_its_moments():
    """q(z) = mean over x of N(W x, diag(s^2)): its covariance is that of the means plus s^2."""
    (z,) = generate.sample_aggregate(TRAINED, X, jax.random.key(2), 20_000)
    means = np.asarray(X) @ np.asarray(PARAMS["posterior"]["weights"]).T
    want = np.cov(means.T, bias=True) + np.diag(np.exp(2 * np.asarray(PARAMS["posterior"]["log_std"])))
    np.testing.assert_allclose(np.mean(z, axis=0), means.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(np.asarray(z).T), want, atol=0.05)


def test_a_traversal_moves_one_dimension_and_keeps_the_others():
    mean, values = jnp.array([0.5, -1.5]), jnp.array([-2.0, 0.0, 2.0])
    found = generate.traverse(TRAINED, mean, np.array([1, 0]), values)
    assert found.shape == (2, 3, 4)
    for row, dimension in enumerate((1, 0)):
        for column, value in enumerate((-2.0, 0.0, 2.0)):
            code = np.array([0.5, -1.5])
            code[dimension] = value
            np.testing.assert_allclose(found[row, column], LOADINGS @ code, rtol=1e-5, atol=1e-6)


def test_an_interpolation_starts_and_ends_at_its_codes():
    start, end = jnp.array([[0.0, 1.0], [2.0, 2.0]]), jnp.array([[1.0, 0.0], [-2.0, 4.0]])
    found = generate.interpolate(TRAINED, start, end, 5)
    assert found.shape == (2, 5, 4)
    for column, share in enumerate((0.0, 0.25, 0.5, 0.75, 1.0)):
        codes = (1 - share) * np.asarray(start) + share * np.asarray(end)
        np.testing.assert_allclose(found[:, column], codes @ LOADINGS.T, rtol=1e-5, atol=1e-5)
