"""Schedules against their formulas in NumPy, at the ends, in between and beyond."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae import schedules

STEPS = np.array([0, 1, 9, 10, 19, 20, 37, 39, 40, 41, 1000])
T = np.clip(STEPS / 40, 0, 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


CASES = {
    "constant": (schedules.constant(0.7), np.full(len(STEPS), 0.7), None),
    "linear": (schedules.linear(40), T, 40),
    "linear down": (schedules.linear(40, 2.0, 0.5), 2.0 - 1.5 * T, 40),
    "cosine": (schedules.cosine(40), 0.5 * (1 + np.cos(np.pi * T)), 40),
    "cosine between": (schedules.cosine(40, 3.0, 1.0), 1 + (1 + np.cos(np.pi * T)), 40),
    "exponential": (schedules.exponential(40, 1.0, 1e-3), 10.0 ** (-3 * T), 40),
    "sigmoid": (
        schedules.sigmoid(40, 8.0),
        (sigmoid(8 * (T - 0.5)) - sigmoid(-4.0)) / (sigmoid(4.0) - sigmoid(-4.0)),
        40,
    ),
    "cyclical": (schedules.cyclical(40, 2, 0.5), np.where(T < 1, np.minimum(T * 2 % 1 / 0.5, 1), 1), 40),
    "step decay": (schedules.step_decay((10, 20), 0.1), 0.1 ** ((STEPS >= 10) * 1.0 + (STEPS >= 20)), 20),
    "warm-up": (
        schedules.warm_up(10, schedules.cosine(30)),
        np.where(STEPS < 10, (STEPS + 1) / 10, 0.5 * (1 + np.cos(np.pi * np.clip((STEPS - 10) / 30, 0, 1)))),
        40,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_factors_and_horizons(name):
    schedule, want, horizon = CASES[name]
    np.testing.assert_allclose(jax.vmap(schedule)(jnp.asarray(STEPS)), want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose([float(schedule(int(step))) for step in STEPS[:3]], want[:3], rtol=1e-5, atol=1e-6)
    assert schedule.horizon == horizon
    assert schedule(jnp.array(3)).shape == ()


@pytest.mark.parametrize("name", CASES)
def test_nothing_changes_after_the_horizon(name):
    schedule, _, horizon = CASES[name]
    later = jax.vmap(schedule)(jnp.asarray([horizon or 0, (horizon or 0) + 1, 10**6, 2**31 - 1]))
    np.testing.assert_array_equal(later, np.full(4, later[0]))


shapes = st.sampled_from([schedules.linear, schedules.cosine, schedules.sigmoid, schedules.cyclical])


@given(shape=shapes, steps=st.integers(1, 10**6), share=st.floats(0, 1))
def test_shapes_stay_between_their_ends(shape, steps, share):
    value = float(shape(steps)(round(share * steps)))
    assert -1e-6 <= value <= 1 + 1e-6
    assert float(shape(steps)(steps)) == pytest.approx(0.0 if shape is schedules.cosine else 1.0, abs=1e-6)


@given(steps=st.integers(1, 1000), then=st.integers(1, 1000), step=st.integers(0, 3000))
def test_a_warm_up_rises_to_where_the_next_begins_and_delays_it(steps, then, step):
    after = schedules.cosine(then)
    schedule = schedules.warm_up(steps, after)
    assert schedule.horizon == steps + then
    assert float(schedule(steps - 1)) == pytest.approx(1.0, rel=1e-6)
    if step >= steps:
        assert float(schedule(step)) == pytest.approx(float(after(step - steps)), abs=1e-6)
    else:
        assert float(schedule(step)) > 0, "no step is wasted on a factor of zero"


def test_the_name_tells_two_schedules_apart():
    names = {schedule.name for schedule, _, _ in CASES.values()}
    assert len(names) == len(CASES)


def test_a_schedule_that_ends_after_training_is_refused():
    schedules.require_within("beta", schedules.linear(40), 40)
    schedules.require_within("beta", schedules.constant(), 1)
    schedules.require_within("beta", lambda step: 1.0, 1)
    with pytest.raises(ValueError, match=r"schedule of beta ends at step 41, after training does at step 40"):
        schedules.require_within("beta", schedules.linear(41), 40)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.linear(0), "horizon of 0 steps"),
        (lambda: schedules.warm_up(0, schedules.constant()), "horizon of 0 steps"),
        (lambda: schedules.exponential(10, 1.0, 0.0), "wanted both positive"),
        (lambda: schedules.cyclical(10, 0), "0 cycles"),
        (lambda: schedules.cyclical(10, 2, 0.0), "rise of 0.0"),
        (lambda: schedules.step_decay(()), "wanted at least one step"),
        (lambda: schedules.step_decay((0, 5)), "wanted at least one step"),
    ],
)
def test_horizons_without_meaning_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
