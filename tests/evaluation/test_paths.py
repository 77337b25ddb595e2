"""Ways through latent spaces: where they start, end and stay, how fast they go, and which one a family has."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae
from vae.distributions import AtSample, Categorical, Normal, PointMass, PowerSpherical, UniformCircle, VonMises, standard_normal
from vae.evaluation import paths
from vae.evaluation.generate import interpolate
from vae.evaluation.paths import between, paths_of
from vae.models import latent_group

PLACES = jnp.linspace(0.0, 1.0, 9)
A, B = jax.random.normal(jax.random.key(0), (2, 3, 5))
CODEBOOK = jax.random.normal(jax.random.key(1), (7, 5))
CODES = jnp.array([[0, 3, 2], [6, 3, 5]])
WAYS = {
    "straight": (paths.straight, A, B),
    "norm preserving": (paths.norm_preserving, A, B),
    "great circle": (paths.great_circle, *(v / jnp.linalg.norm(v, axis=-1, keepdims=True) for v in (A, B))),
    "shorter arc": (paths.shorter_arc, A, B),
    "probabilities": (paths.line_of_probabilities, jax.nn.log_softmax(A), jax.nn.log_softmax(B)),
    "stepwise": (paths.stepwise, *CODES),
    "stepwise in vectors": (partial(paths.stepwise, vectors=True), *jax.nn.one_hot(CODES, 7)),
    "nearest codes": (paths.nearest_codes(CODEBOOK), *CODES),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_way_starts_and_ends_where_it_is_to_and_comes_back_the_same(name):
    path, start, end = WAYS[name]
    way, back = path(start, end, PLACES), path(end, start, PLACES)
    assert way.shape == (9, *start.shape)
    assert way.dtype == start.dtype
    np.testing.assert_allclose(way[0], start, atol=1e-6)
    np.testing.assert_allclose(way[-1], end, atol=1e-6)
    if "stepwise" not in name:  # the order of the components is one for both ways
        np.testing.assert_allclose(back[::-1], way, atol=2e-6)
    np.testing.assert_array_equal(jax.vmap(lambda a, b: path(a, b, PLACES))(start[None], end[None])[0], way)


def test_a_great_circle_stays_on_the_sphere_at_a_constant_speed():
    way = np.asarray(paths.great_circle(A, B, PLACES))
    np.testing.assert_allclose(np.linalg.norm(way, axis=-1), 1.0, atol=1e-6)
    step = np.arccos(np.sum(way[1:] * way[:-1], axis=-1))
    whole = np.arccos(np.sum(A * B, axis=-1) / np.linalg.norm(A, axis=-1) / np.linalg.norm(B, axis=-1))
    np.testing.assert_allclose(step, np.broadcast_to(whole / 8, step.shape), rtol=1e-3)


@pytest.mark.parametrize("end", [A, -A, 3.0 * A, -3.0 * A, A.at[0].add(1e-4)])
def test_a_great_circle_between_opposite_or_equal_directions_is_one_too(end):
    way = np.asarray(paths.great_circle(A, end, PLACES))
    np.testing.assert_allclose(np.linalg.norm(way, axis=-1), 1.0, atol=1e-6)
    np.testing.assert_allclose(way[-1], end / jnp.linalg.norm(end, axis=-1, keepdims=True), atol=1e-6)


def test_the_norm_goes_evenly_from_that_of_one_code_to_that_of_the_other():
    """In 100 dimensions the middle of a straight line between two draws is sqrt(2) too close to the mean."""
    draws = jax.random.normal(jax.random.key(2), (2, 50, 100))
    ends = np.linalg.norm(draws, axis=-1)
    round_way = np.linalg.norm(paths.norm_preserving(*draws, jnp.array([0.5])), axis=-1)[0]
    np.testing.assert_allclose(round_way, ends.mean(axis=0), rtol=1e-5)
    line = np.linalg.norm(paths.straight(*draws, jnp.array([0.5])), axis=-1)[0]
    assert np.mean(line / ends.mean(axis=0)) == pytest.approx(np.sqrt(0.5), abs=0.02)


def test_an_arc_is_never_longer_than_half_a_turn_and_crosses_pi():
    start, end = jnp.array([3.0, -3.0, 0.1]), jnp.array([-3.0, 3.0, 0.4])
    way = np.asarray(paths.shorter_arc(start, end, PLACES))
    turned = np.abs(np.angle(np.exp(1j * np.diff(way, axis=0))))
    np.testing.assert_allclose(turned.sum(axis=0), [2 * np.pi - 6, 2 * np.pi - 6, 0.3], rtol=1e-4)
    assert np.all((way >= -np.pi) & (way < np.pi))


def test_probabilities_go_straight_in_their_simplex():
    start, end = jax.nn.log_softmax(A), jax.nn.log_softmax(B)
    found = jnp.exp(paths.line_of_probabilities(start, end, PLACES))
    np.testing.assert_allclose(found, paths.straight(jnp.exp(start), jnp.exp(end), PLACES), atol=1e-6)


def test_classes_change_one_after_another():
    way = np.asarray(paths.stepwise(jnp.zeros((2, 4), int), jnp.ones((2, 4), int), PLACES))
    np.testing.assert_array_equal(way.sum(axis=(1, 2)), np.arange(9))
    np.testing.assert_array_equal(paths.stepwise(jnp.array(3), jnp.array(5), PLACES), [3] * 5 + [5] * 4)


def test_a_code_between_two_is_the_nearest_to_their_line():
    line = np.asarray(paths.straight(CODEBOOK[CODES[0]], CODEBOOK[CODES[1]], PLACES))
    distances = np.square(line[..., None, :] - np.asarray(CODEBOOK)).sum(axis=-1)
    np.testing.assert_array_equal(paths.nearest_codes(CODEBOOK)(*CODES, PLACES), distances.argmin(axis=-1))


def group(posterior, prior):
    return latent_group(posterior, prior, jax.random.key(0))


def test_the_way_is_that_of_the_family():
    ones = jnp.ones(2)
    sphere = group(PowerSpherical(jnp.array([1.0, 0.0]), jnp.ones(())), vae.distributions.UniformSphere(2))
    found = [
        paths.path_of(each)
        for each in (
            sphere,
            group(VonMises(ones, ones), AtSample(UniformCircle((2,)))),
            group(Normal(ones, ones), UniformCircle((2,))),
            group(Normal(ones, ones), standard_normal(2)),
        )
    ]
    assert found == [paths.great_circle, paths.shorter_arc, paths.shorter_arc, paths.straight]
    stepped = paths.path_of(group(PointMass(jnp.array([1, 2])), Categorical(jnp.zeros((2, 3)))))
    np.testing.assert_array_equal(stepped(jnp.array([1, 2]), jnp.array([0, 1]), PLACES[-1:]), [[0, 1]])
    assert paths.path_of(sphere, {PowerSpherical: paths.straight}) is paths.straight


def test_an_interpolation_takes_the_way_of_its_latent_space():
    data = vae.Data((4,), "real")
    model = vae.models.mlp(data, latent_dim=3, hidden=[4], latents="power_spherical")
    trained = vae.Trained(model, *model.init(jax.random.key(0)), spec=data)
    start, end = A[:2, :3], B[:2, :3]
    assert paths_of(trained) == (paths.great_circle,)
    (codes,) = between(trained, (start,), (end,), 5)
    np.testing.assert_allclose(jnp.linalg.norm(codes, axis=-1), 1.0, atol=1e-6)
    images = interpolate(trained, (start,), (end,), 5)
    np.testing.assert_allclose(images[1, 2], trained.decode((codes[1, 2],)).mean, rtol=1e-5, atol=1e-6)
    lines = between(trained, (start,), (end,), 5, [paths.straight])[0]
    np.testing.assert_allclose(lines[:, 2], 0.5 * (start + end), rtol=1e-6)
    with pytest.raises(ValueError, match="got 2 paths for 1 latent groups"):
        between(trained, (start,), (end,), 5, [paths.straight] * 2)
    with pytest.raises(ValueError, match="steps is 1; wanted at least 2"):
        between(trained, (start,), (end,), 1)


def test_a_great_circle_of_one_dimension_is_a_line_and_nearly_opposite_points_stay_on_the_sphere():
    places = jnp.linspace(0.0, 1.0, 5)
    np.testing.assert_allclose(paths.norm_preserving(jnp.array([1.0]), jnp.array([-3.0]), places)[:, 0], [1, 0, -1, -2, -3])
    start = jax.random.normal(jax.random.key(0), (50,))
    start = start / jnp.linalg.norm(start)
    end = -start + 3e-7 * jax.random.normal(jax.random.key(1), (50,))
    np.testing.assert_allclose(jnp.linalg.norm(paths.great_circle(start, end, places), axis=-1), 1.0, atol=1e-4)
