"""What a family declares of itself is true: that its draws are reparameterised, and that it is a density."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import CLASSES, MEMBERS, THREE
from jax.flatten_util import ravel_pytree

from vae.distributions import (
    AtSample,
    Bernoulli,
    Dequantised,
    Masked,
    Mixture,
    OptimalSigmaNormal,
    Transformed,
    VonMises,
    is_density,
    is_reparameterised,
)

BIASED = {"SpikeAndSlab", "StraightThroughCategorical"}
"""Whose gradient is that of a relaxation, as they say."""
WITHOUT_PARAMETERS = {"UniformSphere", "UniformCircle"}
HELD = sorted({n for n, q in MEMBERS.items() if is_reparameterised(q)} - BIASED - WITHOUT_PARAMETERS - {"Deterministic"})
DRAWS = 20_000


@pytest.mark.parametrize("name", CLASSES)
def test_every_family_has_a_member_and_declares_whether_it_is_reparameterised(name):
    assert type(MEMBERS[name]) is CLASSES[name]
    assert "reparameterised" in vars(CLASSES[name])
    assert isinstance(is_reparameterised(MEMBERS[name]), bool)


def statistic(value):
    """A bounded function of a draw, neither odd nor even, in which the components meet."""
    flat = jnp.ravel(value)
    return jnp.mean(jnp.sin(1.3 * flat) + jnp.cos(0.7 * flat)) + jnp.sin(0.5 * jnp.sum(flat))


def as_numbers(member, value):
    """What the statistic is taken of: angles as points of the circle, since a draw is wrapped; bytes on the scale of one."""
    if isinstance(member, VonMises):
        return jnp.stack([jnp.cos(value), jnp.sin(value)])
    return value / 256.0 if isinstance(member, Dequantised) else value


def slopes(member):
    """The derivative of E[statistic] in every parameter, along draws and by the score function; (draws, parameters) each."""
    numbers, rest = jax.tree.flatten(member)
    free = [index for index, leaf in enumerate(numbers) if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)]
    start, unravel = ravel_pytree([jnp.asarray(numbers[index]) for index in free])

    def rebuilt(vector):
        changed = dict(zip(free, unravel(vector), strict=True))
        built = jax.tree.unflatten(rest, [changed.get(index, leaf) for index, leaf in enumerate(numbers)])
        return on_the_sphere(built)

    def one(key):
        value = member.sample(key)
        path = jax.grad(lambda vector: statistic(as_numbers(member, rebuilt(vector).sample(key))))(start)
        return statistic(as_numbers(member, value)), path, jax.grad(lambda vector: rebuilt(vector).log_prob(value))(start)

    numbers_of_draws = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), DRAWS))
    values, path, score = (np.asarray(leaf, np.float64) for leaf in numbers_of_draws)
    return path, (values - values.mean())[:, None] * score


def on_the_sphere(member):
    """A direction that is varied stays a unit vector."""
    if not hasattr(member, "direction"):
        return member
    return type(member)(member.direction / jnp.linalg.norm(member.direction), member.concentration)


@pytest.mark.slow_but("VonMises", "Gamma", "Transformed")
@pytest.mark.parametrize("name", HELD)
def test_the_derivative_along_a_draw_is_that_of_the_expectation_in_every_parameter(name):
    path, score = slopes(MEMBERS[name])
    difference = path - score
    error = difference.std(axis=0) / np.sqrt(DRAWS)
    assert np.all(np.isfinite(path))
    assert np.all(np.abs(difference.mean(axis=0)) < 4.5 * error + 1e-5)
    assert np.all(error < 0.1), "draws this noisy would let an error pass"


def test_the_derivative_along_a_draw_of_a_mixture_leaves_out_the_logits():
    path, score = slopes(MEMBERS["Mixture"])
    error = score.std(axis=0) / np.sqrt(DRAWS)
    assert not path[:, :3].any()
    assert np.any(np.abs(score.mean(axis=0))[:3] > 6 * error[:3])


def test_a_wrapper_says_what_its_base_says():
    normal, flow, bits = MEMBERS["Normal"], MEMBERS["Transformed"].flow, Bernoulli(THREE)
    observed = jnp.array([True, False, True])
    for build in (AtSample, Dequantised, lambda base: Masked(base, observed), lambda base: Transformed(base, flow)):
        assert is_reparameterised(build(normal))
        assert not is_reparameterised(build(bits))
    profile = OptimalSigmaNormal(THREE)
    stacked = Mixture(jnp.zeros(2), jax.vmap(OptimalSigmaNormal)(jnp.zeros((2, 3)), jnp.ones(2)))
    for wrapped in (AtSample(profile), Dequantised(profile), Transformed(profile, flow), stacked):
        assert not is_density(wrapped)
    assert [name for name, member in MEMBERS.items() if not is_density(member)] == ["OptimalSigmaNormal", "Deterministic"]


def test_silence_means_no_gradient_and_a_density():
    assert not is_reparameterised(object())
    assert is_density(object())
