"""Hamiltonian Monte Carlo against what mechanics and a Gaussian say of it."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae.evaluation import hmc

STD = {"a": np.array([0.5, 1.0, 2.0], np.float32), "b": np.float32(0.3)}
START = {"a": jnp.array([0.4, -1.0, 1.5]), "b": jnp.array(0.2)}
MOMENTUM = {"a": jnp.array([-0.3, 0.8, 1.1]), "b": jnp.array(-0.7)}


def gaussian(position):
    """N(0, diag(STD)^2), up to a constant."""
    return -0.5 * sum(jax.tree.leaves(jax.tree.map(lambda z, s: jnp.sum(jnp.square(z / s)), position, STD)))


def quartic(position):
    """Far from Gaussian and coupled: the step size shows in the energy to second order."""
    a, b = position["a"], position["b"]
    return -0.25 * jnp.sum(a**4) - 0.5 * jnp.sum(jnp.square(a - b)) - jnp.cos(b)


@partial(jax.jit, static_argnames=("log_density", "steps"))
def travelled(log_density, position, momentum, step_size, steps):
    return hmc.leapfrog(log_density, hmc.phase_point(log_density, position, momentum), step_size, steps)


def test_leapfrog_is_the_loop_over_its_definition():
    """In NumPy with float64: three kicks and drifts of a Gaussian, the second half kick with the gradient at the new place."""
    flat = [np.concatenate([np.ravel(tree[k]) for k in "ab"]).astype(np.float64) for tree in (START, MOMENTUM, STD)]
    z, r, std = flat
    for _ in range(3):
        r = r - 0.5 * 0.1 * z / std**2
        z = z + 0.1 * r
        r = r - 0.5 * 0.1 * z / std**2
    end = travelled(gaussian, START, MOMENTUM, 0.1, 3)
    np.testing.assert_allclose(np.append(end.position["a"], end.position["b"]), z, rtol=1e-5)
    np.testing.assert_allclose(np.append(end.momentum["a"], end.momentum["b"]), r, rtol=1e-5)
    assert float(end.log_density) == pytest.approx(-0.5 * np.sum((z / std) ** 2), rel=1e-5)
    np.testing.assert_allclose(end.gradient["a"], -(z / std**2)[:3], rtol=1e-5)


def test_energy_is_the_momentum_and_the_log_density():
    point = hmc.phase_point(gaussian, START, MOMENTUM)
    kinetic = 0.5 * sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(MOMENTUM))
    assert float(hmc.energy(point)) == pytest.approx(kinetic - float(gaussian(START)), rel=1e-6)


def test_energy_drifts_with_the_square_of_the_step_size():
    """Over the same time. A wrong half step is first order, which would halve the drift at half the step, not quarter it."""

    def drift(step_size, steps):
        start = hmc.phase_point(quartic, START, MOMENTUM)
        return float(hmc.energy(travelled(quartic, START, MOMENTUM, step_size, steps)) - hmc.energy(start))

    coarse, middle, fine = drift(0.2, 8), drift(0.1, 16), drift(0.05, 32)
    assert abs(coarse) > 100 * 1e-6, "large beside what float32 rounds"
    assert coarse / middle == pytest.approx(4.0, rel=0.3)
    assert middle / fine == pytest.approx(4.0, rel=0.2)


def test_energy_does_not_wander_off_on_a_long_way():
    near, far = (travelled(gaussian, START, MOMENTUM, 0.05, steps) for steps in (16, 4000))
    energy = float(hmc.energy(hmc.phase_point(gaussian, START, MOMENTUM)))
    assert abs(float(hmc.energy(near)) - energy) < 0.02 * energy
    assert abs(float(hmc.energy(far)) - energy) < 0.02 * energy


def test_leapfrog_goes_back_where_it_came_from_when_the_momentum_is_turned():
    end = travelled(quartic, START, MOMENTUM, 0.1, 16)
    back = travelled(quartic, end.position, jax.tree.map(jnp.negative, end.momentum), 0.1, 16)
    chex.assert_trees_all_close(back.position, START, atol=1e-5)
    chex.assert_trees_all_close(jax.tree.map(jnp.negative, back.momentum), MOMENTUM, atol=1e-5)


def test_leapfrog_keeps_volume():
    """The determinant of its Jacobian is 1, by automatic differentiation of the whole map of 8 numbers."""

    def flat_map(phase):
        position, momentum = ({"a": part[:3], "b": part[3]} for part in (phase[:4], phase[4:]))
        end = hmc.leapfrog(quartic, hmc.phase_point(quartic, position, momentum), 0.2, 8)
        return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves((end.position, end.momentum))])

    phase = jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves((START, MOMENTUM))])
    jacobian = np.asarray(jax.jit(jax.jacfwd(flat_map))(phase), np.float64)
    assert np.linalg.det(jacobian) == pytest.approx(1.0, abs=1e-4)
    assert np.abs(jacobian - np.eye(8)).max() > 0.5, "the map is no trifle"


# The transition


@partial(jax.jit, static_argnames=("log_density", "steps", "moves"))
def moved(log_density, positions, key, step_size, steps=5, moves=1):
    """`moves` transitions of every chain, and the acceptance of the last."""

    def move(positions, key):
        keys = jax.random.split(key, jax.tree.leaves(positions)[0].shape[0])
        found = jax.vmap(lambda k, z: hmc.transition(log_density, k, z, step_size, steps))(keys, positions)
        return found.position, found.acceptance

    positions, acceptance = jax.lax.scan(move, positions, jax.random.split(key, moves))
    return positions, acceptance[-1]


def exact_draws(seed, number):
    noise = np.random.default_rng(seed).normal(size=(number, 4)).astype(np.float32)
    return {"a": jnp.asarray(noise[:, :3] * STD["a"]), "b": jnp.asarray(noise[:, 3] * STD["b"])}


@pytest.mark.parametrize("step_size", [0.15, 0.5])
def test_a_gaussian_stays_as_it_is(step_size):
    """First, second and fourth moments of exact draws after transitions, at a small step and at one that is often refused."""
    number = 20_000
    positions, acceptance = moved(gaussian, exact_draws(1, number), jax.random.key(2), step_size, moves=3)
    if step_size == 0.5:
        assert 0.4 < acceptance.mean() < 0.95, "some are refused, so that the test sees the acceptance at work"
    for name, std in STD.items():
        scaled = np.asarray(positions[name], np.float64) / std
        np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=4 / np.sqrt(number))
        np.testing.assert_allclose((scaled**2).mean(axis=0), 1.0, atol=4 * np.sqrt(2 / number))
        np.testing.assert_allclose((scaled**4).mean(axis=0), 3.0, atol=4 * np.sqrt(96 / number))


def test_chains_from_one_place_find_the_gaussian():
    number = 4000
    same = {"a": jnp.tile(jnp.array([[3.0, 3.0, -3.0]]), (number, 1)), "b": jnp.full((number,), 2.0)}
    positions, _ = moved(gaussian, same, jax.random.key(3), 0.4, moves=60)
    for name, std in STD.items():
        scaled = np.asarray(positions[name], np.float64) / std
        np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=4 / np.sqrt(number))
        np.testing.assert_allclose((scaled**2).mean(axis=0), 1.0, atol=4 * np.sqrt(2 / number))


def test_acceptance_is_the_fall_in_energy_and_decides_between_the_two_ends():
    key = jax.random.key(4)
    found = jax.jit(jax.vmap(lambda k: hmc.transition(gaussian, k, START, 0.55, 5)))(jax.random.split(key, 2000))
    stayed = np.all(np.asarray(found.position["a"]) == np.asarray(START["a"]), axis=1)
    acceptance = np.asarray(found.acceptance, np.float64)
    assert np.all((acceptance >= 0) & (acceptance <= 1))
    assert not np.any(stayed[acceptance == 1])
    refused = acceptance < 1
    expected = (1 - acceptance).sum()
    assert 100 < expected < refused.sum()
    spread = np.sqrt((acceptance * (1 - acceptance)).sum())
    assert abs(stayed.sum() - expected) < 4 * spread


@pytest.mark.parametrize("outside", [jnp.nan, -jnp.inf])
def test_a_proposal_without_a_density_is_refused(outside):
    def half_line(position):
        return jnp.where(position > 0, -position, outside)

    positions, acceptance = moved(half_line, jnp.full((500,), 0.05), jax.random.key(5), 1.0)
    assert np.all(np.isfinite(acceptance))
    assert np.all(np.asarray(positions) > 0)
    assert np.any(np.asarray(positions) == np.float32(0.05))
    assert np.any(np.asarray(positions) != np.float32(0.05))
