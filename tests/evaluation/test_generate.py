"""What a model draws, against the same thing one example at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from conditional import CLASSES, SHAPE, conditional

from vae import models
from vae.evaluation import generate
from vae.spec import Data
from vae.trained import Trained

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


@pytest.mark.parametrize("bottom_up", [False, True])
def test_reconstructions_from_the_top_group_keep_it_and_draw_the_rest_from_the_prior(bottom_up):
    """E[x | z1] = z1, whose moments are those of A z2 + T noise with z2 ~ q(z2 | x), or those of q(z1 | x)."""
    model = toys.two_groups(bottom_up)
    trained = Trained(model, *model.init(jax.random.key(0)))
    x = jnp.full((20_000, 1), 1.3)
    slope = toys.A / (toys.A**2 + toys.T**2 + toys.S**2)
    top = generate.reconstruct_from_top(trained, x, jax.random.key(1), 1)
    z2_variance = 1 - toys.A * slope
    np.testing.assert_allclose(np.mean(top), toys.A * slope * 1.3, atol=0.04)
    np.testing.assert_allclose(np.var(top), toys.A**2 * z2_variance + toys.T**2, rtol=0.05)
    every = generate.reconstruct_from_top(trained, x, jax.random.key(1), 2)
    mean, variance = toys.gaussian_product(0.0, toys.A**2 + toys.T**2, 1.3, toys.S**2)
    np.testing.assert_allclose([np.mean(every), np.var(every)], [mean, variance], rtol=0.05)
    none = generate.reconstruct_from_top(trained, x, jax.random.key(1), 0)
    np.testing.assert_allclose(np.var(none), toys.A**2 + toys.T**2, rtol=0.05)
    with pytest.raises(ValueError, match="groups is 3, and the model has 2 latent groups"):
        generate.reconstruct_from_top(trained, x, jax.random.key(1), 3)


def test_a_prior_that_has_no_temperature_is_sampled_at_1():
    model = models.mlp(Data(shape=(4,), space="real"), latent_dim=2, hidden=(3,), likelihood="normal", latents="categorical")
    trained = Trained(model, *model.init(jax.random.key(0)))
    generate.sample_prior(trained, jax.random.key(1), 3, temperature=1.0)
    with pytest.raises(TypeError, match="have one: use 1"):
        generate.sample_prior(trained, jax.random.key(1), 3, temperature=0.5)


def test_samples_of_the_aggregate_posterior_have_its_moments():
    """q(z) = mean over x of N(W x, diag(s^2)): its covariance is that of the means plus s^2."""
    (z,) = generate.sample_aggregate(TRAINED, X, jax.random.key(2), 20_000)
    means = np.asarray(X) @ np.asarray(PARAMS["posterior"]["weights"]).T
    want = np.cov(means.T, bias=True) + np.diag(np.exp(2 * np.asarray(PARAMS["posterior"]["log_std"])))
    np.testing.assert_allclose(np.mean(z, axis=0), means.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(np.asarray(z).T), want, atol=0.05)


def test_a_traversal_moves_one_dimension_and_keeps_the_others():
    code, values = jnp.array([0.5, -1.5]), jnp.array([-2.0, 0.0, 2.0])
    found = generate.traverse(TRAINED, (code,), np.array([1, 0]), values)
    assert found.shape == (2, 3, 4)
    for row, dimension in enumerate((1, 0)):
        for column, value in enumerate((-2.0, 0.0, 2.0)):
            code = np.array([0.5, -1.5])
            code[dimension] = value
            np.testing.assert_allclose(found[row, column], LOADINGS @ code, rtol=1e-5, atol=1e-6)


def test_an_interpolation_starts_and_ends_at_its_codes():
    start, end = jnp.array([[0.0, 1.0], [2.0, 2.0]]), jnp.array([[1.0, 0.0], [-2.0, 4.0]])
    found = generate.interpolate(TRAINED, (start,), (end,), 5)
    assert found.shape == (2, 5, 4)
    for column, share in enumerate((0.0, 0.25, 0.5, 0.75, 1.0)):
        codes = (1 - share) * np.asarray(start) + share * np.asarray(end)
        np.testing.assert_allclose(found[:, column], codes @ LOADINGS.T, rtol=1e-5, atol=1e-5)


# With a context, with several groups, with none


def test_reconstructions_and_samples_are_under_the_context_of_their_example():
    trained, x = conditional(), jnp.asarray(np.random.default_rng(0).integers(0, 2, (6, *SHAPE)), jnp.float32)
    labels, key = jax.nn.one_hot(jnp.arange(6) % CLASSES, CLASSES), jax.random.key(3)
    found = generate.reconstruct(trained, x, key, context=labels)
    for row in (0, 4):
        mean = trained.infer(x[row], labels[row])(key).latents[0].posterior.mean
        np.testing.assert_allclose(found[row], trained.decode((mean,), labels[row]).mean, rtol=1e-5)
    (drawn,) = generate.sample_aggregate(trained, x, key, 4000, context=labels)
    rows = generate.drawn_examples(key, 4000, 6)
    mean = trained.infer(x[2], labels[2])(key).latents[0].posterior.mean
    np.testing.assert_allclose(np.mean(drawn[rows == 2], axis=0), mean, atol=0.3)


def test_a_traversal_and_a_line_hold_the_context():
    trained, label = conditional(), jax.nn.one_hot(jnp.arange(2), CLASSES)
    code = jnp.array([0.5, -1.0])
    found = generate.traverse(trained, (code,), np.array([1]), jnp.array([2.0, -1.0]), context=label[1])
    np.testing.assert_allclose(found[0, 1], trained.decode((code,), label[1]).mean, rtol=1e-5)
    ends = jnp.stack([code, -code])
    line = generate.interpolate(trained, (ends,), (2 * ends,), 3, context=label)
    for row in (0, 1):
        np.testing.assert_allclose(line[row, 0], trained.decode((ends[row],), label[row]).mean, rtol=1e-5)


def test_a_traversal_of_an_ancestor_draws_what_follows_with_the_same_noise():
    """x depends on z1 alone, whose prior has the mean A z2: moving z2 by 1 moves E[x | z] by A, whatever the noise."""
    model = toys.two_groups(bottom_up=False)
    trained, values = Trained(model, model.init(jax.random.key(0))[0]), jnp.array([-1.0, 0.0, 1.0])
    codes = (jnp.array([0.3]), jnp.array([0.2]))
    found = generate.traverse(trained, codes, np.array([0]), values, jax.random.key(1))
    np.testing.assert_allclose(np.diff(found[0, :, 0]), toys.A, rtol=1e-5)
    last = generate.traverse(trained, codes, np.array([0]), values, group=1)
    np.testing.assert_allclose(last[0, :, 0], values, rtol=1e-6)
    with pytest.raises(ValueError, match="group 0 has 1 groups after it, which are drawn given it; pass key="):
        generate.traverse(trained, codes, np.array([0]), values)


def test_all_groups_move_along_a_line():
    model = toys.two_groups(bottom_up=False)
    trained = Trained(model, model.init(jax.random.key(0))[0])
    start, end = (jnp.zeros((2, 1)), jnp.zeros((2, 1))), (jnp.ones((2, 1)), jnp.array([[1.0], [3.0]]))
    found = generate.interpolate(trained, start, end, 3)
    np.testing.assert_allclose(found[:, :, 0], [[0.0, 0.5, 1.0], [0.0, 1.5, 3.0]], rtol=1e-6)


def test_a_quantised_code_and_a_class_are_decoded_as_they_are():
    model = toys.vector_quantised()
    trained = Trained(model, *model.init(jax.random.key(0)))
    found = generate.reconstruct(trained, X, jax.random.key(0))
    np.testing.assert_allclose(found[2], trained.infer(X[2])(jax.random.key(5)).likelihood.mean, rtol=1e-5)
    model = toys.labelled()
    trained = Trained(model, model.init(jax.random.key(0))[0])
    label, code = generate.codes_of(trained, X, jax.random.key(0))
    assert jnp.issubdtype(label.dtype, jnp.integer), "the mean of a class is no class"
    found = generate.reconstruct(trained, X, jax.random.key(0))
    np.testing.assert_allclose(found[1], trained.decode((label[1], code[1])).mean, rtol=1e-5)


@pytest.mark.parametrize("latents", ["von_mises_fisher", "power_spherical"])
def test_a_code_on_a_sphere_is_on_it(latents):
    model = models.mlp(Data((4,), "real"), latent_dim=3, hidden=[], latents=latents)
    trained = Trained(model, *model.init(jax.random.key(0)))
    (codes,) = generate.codes_of(trained, X, jax.random.key(0))
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1.0, rtol=1e-5)
