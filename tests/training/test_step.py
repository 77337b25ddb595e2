"""The train step: settings, averages, players and what is reported; the hard cases are in test_contract."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

import vae
from vae.training.optimisers import by_player
from vae.training.state import usable_params
from vae.training.step import all_squares_finite, make_train_step, moving_average, settings_at
from vae.types import Batch

MODEL = toys.linear_gaussian()
X = jnp.asarray(np.random.default_rng(0).normal(size=(8, 4)), jnp.float32)
BATCH = Batch(x=X, context=(), weight=jnp.ones(8))


def moved(optimiser, settings, schedules=None, steps=1, **kwargs):
    state = vae.initial_state(MODEL, vae.elbo(), optimiser, jax.random.key(0), settings, average=bool(kwargs))
    step = jax.jit(make_train_step(MODEL, vae.elbo(), optimiser, schedules, **kwargs))
    path = [state]
    for _ in range(steps):
        state, metrics = step(state, BATCH)
        path.append(state)
    return path, metrics


def difference(a, b):
    return jax.tree.map(lambda a, b: np.asarray(b, np.float64) - np.asarray(a, np.float64), a.params, b.params)


def test_the_learning_rate_multiplies_the_update():
    (start, whole), _ = moved(optax.adam(1.0), {"learning_rate": 1e-2})
    halved = start._replace(settings={"learning_rate": jnp.float32(5e-3)})
    half, _ = jax.jit(make_train_step(MODEL, vae.elbo(), optax.adam(1.0)))(halved, BATCH)
    (_, plain), _ = moved(optax.adam(1e-2), {})
    twice = jax.tree.map(lambda d: 2 * d, difference(start, half))
    chex.assert_trees_all_close(difference(start, whole), twice, rtol=1e-3, atol=1e-6)
    chex.assert_trees_all_close(whole.params, plain.params, rtol=1e-6, atol=1e-7)


def test_a_schedule_multiplies_its_setting_at_each_step():
    schedule = vae.schedules.step_decay((1,), 0.5)
    path, _ = moved(optax.sgd(1.0), {"learning_rate": 1e-3}, {"learning_rate": schedule}, steps=2)
    flat, _ = moved(optax.sgd(1.0), {"learning_rate": 1e-3}, steps=2)
    chex.assert_trees_all_equal(path[1].params, flat[1].params)
    later, whole = difference(*path[1:]), difference(*flat[1:])
    chex.assert_trees_all_close(later, jax.tree.map(lambda d: 0.5 * d, whole), rtol=1e-2, atol=2e-7)
    np.testing.assert_array_equal(path[2].settings["learning_rate"], np.float32(1e-3))


def test_settings_at_a_step_and_a_schedule_without_a_level():
    levels = {"beta": jnp.array(4.0), "other": jnp.array(2.0)}
    found = settings_at(levels, {"beta": vae.schedules.linear(10)}, jnp.array(5))
    assert (float(found["beta"]), float(found["other"])) == (2.0, 2.0)
    with pytest.raises(ValueError, match=r"given for gamma, which no setting has a level for"):
        settings_at(levels, {"gamma": vae.schedules.constant()}, jnp.array(0))


def test_beta_weighs_the_rate_in_the_loss_and_not_in_the_elbo():
    _, four = moved(optax.sgd(0.0), {"beta": 4.0})
    _, one = moved(optax.sgd(0.0), {"beta": 1.0})
    assert four["elbo"] == one["elbo"] == pytest.approx(-float(one["loss"]), rel=1e-6)
    assert four["loss"] - one["loss"] == pytest.approx(3 * float(one["kl"]), rel=1e-5)
    assert one["elbo"] == pytest.approx(float(one["log_likelihood"] - one["kl"]), rel=1e-6)


def test_the_average_follows_the_parameters():
    path, _ = moved(optax.adam(0.1), {}, steps=3, average_decay=0.9)
    average = jax.tree.map(lambda p: np.asarray(p, np.float64), path[0].params)
    for state in path[1:]:
        average = jax.tree.map(lambda a, p: 0.9 * a + 0.1 * np.asarray(p, np.float64), average, state.params)
    chex.assert_trees_all_close(path[-1].average, jax.tree.map(np.float32, average), rtol=1e-5, atol=1e-6)
    assert usable_params(path[-1]) is path[-1].average
    plain, _ = moved(optax.adam(0.1), {})
    assert usable_params(plain[-1]) is plain[-1].params
    assert moving_average((), plain[-1].params, None) == ()


def test_each_player_may_have_an_optimiser():
    path, _ = moved(by_player({"posterior": optax.sgd(0.1), "generative": optax.sgd(0.0)}), {})
    alone, _ = moved(optax.sgd(0.1), {})
    chex.assert_trees_all_equal(path[1].params["generative"], path[0].params["generative"])
    chex.assert_trees_all_equal(path[1].params["posterior"], alone[1].params["posterior"])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e20, -1.85e19])
@pytest.mark.parametrize("leaf", ["scalar", "vector", "matrix", "kernel"])
def test_one_wrong_number_is_found_wherever_it_is(leaf, wrong):
    rng = np.random.default_rng(0)
    shapes = {"scalar": (), "vector": (5,), "matrix": (7, 3), "kernel": (2, 2, 3, 4)}
    tree = {name: 1e3 * rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    found = jax.jit(all_squares_finite)
    assert found(tree)
    for place in np.ndindex(shapes[leaf]):
        spoilt = np.array(tree[leaf])
        spoilt[place] = wrong
        assert not found(tree | {leaf: spoilt})


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_numbers_of_any_precision_may_be_finite_or_not(dtype):
    tree = {"numbers": jnp.full((3, 2), 1e4, dtype), "none": jnp.zeros((3, 0), dtype), "nothing": jnp.zeros(0, dtype)}
    assert all_squares_finite(tree)
    assert not all_squares_finite(tree | {"numbers": tree["numbers"].at[1, 1].set(jnp.inf)})


def test_the_noise_is_a_function_of_key_and_step():
    _, first = moved(optax.sgd(0.0), {})
    _, again = moved(optax.sgd(0.0), {})
    _, later = moved(optax.sgd(0.0), {}, steps=2)
    assert first["log_likelihood"] == again["log_likelihood"] != later["log_likelihood"]


@pytest.mark.slow
def test_jit_and_no_jit_agree():
    step = make_train_step(MODEL, vae.elbo(), optax.adam(0.1))
    state = vae.initial_state(MODEL, vae.elbo(), optax.adam(0.1), jax.random.key(0))
    compiled, _ = jax.jit(step)(state, BATCH)
    plain, _ = step(state, BATCH)
    chex.assert_trees_all_close(plain.params, compiled.params, rtol=1e-5, atol=1e-6)
