"""Gradients that are far too long are left out, never for good; what was left out is in the records."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_run
from numpy.testing import assert_allclose, assert_array_equal

from vae.training import skip_large_gradients
from vae.training.skipping import left_out

PARAMS = {"a": jnp.ones(2), "b": jnp.zeros(())}
LONG, SHORT = {"a": jnp.array([30.0, 40.0]), "b": jnp.zeros(())}, {"a": jnp.array([0.3, 0.4]), "b": jnp.zeros(())}


def walked(optimiser, gradients):
    """The updates one after the other, and the last state."""
    state, updates = optimiser.init(PARAMS), []
    step = jax.jit(optimiser.update)
    for gradient in gradients:
        update, state = step(gradient, state, PARAMS)
        updates.append(np.asarray(update["a"]))
    return updates, state


def test_a_long_gradient_changes_nothing_and_a_short_one_is_as_before():
    adam = optax.adam(0.1)
    updates, state = walked(skip_large_gradients(adam, 5.0), [SHORT, LONG, SHORT])
    plain, plain_state = walked(adam, [SHORT, SHORT])
    assert_array_equal(updates[0], plain[0])
    assert_array_equal(updates[1], np.zeros(2))
    assert_array_equal(updates[2], plain[1])
    jax.tree.map(assert_array_equal, state.inner, plain_state)
    assert (int(state.in_a_row), int(state.in_all)) == (0, 1)


def test_it_cannot_freeze():
    """After two in a row the next is taken, no longer than the threshold: for ever, every third step."""
    updates, state = walked(skip_large_gradients(optax.sgd(1.0), 5.0, at_most=2), [LONG] * 6)
    lengths = [float(np.linalg.norm(update)) for update in updates]
    assert_allclose(lengths, [0, 0, 5, 0, 0, 5], rtol=1e-6)
    assert_allclose(updates[2], [-3.0, -4.0], rtol=1e-6)
    assert int(state.in_all) == 4


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_finite_is_never_taken(number):
    wrong = {"a": jnp.array([number, 1.0]), "b": jnp.zeros(())}
    updates, state = walked(skip_large_gradients(optax.adam(0.1), 5.0, at_most=1), [wrong] * 3 + [SHORT])
    assert_array_equal(updates[:3], np.zeros((3, 2)))
    jax.tree.map(assert_array_equal, state.inner, walked(optax.adam(0.1), [SHORT])[1])


def test_players_are_left_out_one_by_one():
    optimiser = optax.multi_transform(
        {"x": skip_large_gradients(optax.sgd(1.0), 5.0), "y": optax.sgd(1.0)}, {"a": "x", "b": "y"}
    )
    updates, state = walked(optimiser, [LONG])
    assert_array_equal(updates[0], np.zeros(2))
    assert left_out(state) == {"skipped_large_gradients": 1.0}
    assert left_out(optax.adam(0.1).init(PARAMS)) == {}


def test_a_run_records_the_share_and_goes_on():
    fitted = tiny_run.fit(optimiser=skip_large_gradients(optax.sgd(1e-3), 1e-6, at_most=1))
    shares = [record["skipped_large_gradients"] for record in fitted.records if record["split"] == "train"]
    assert shares == [0.5] * len(shares)


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match=r"largest norm of 0\.0; wanted a positive number"):
        skip_large_gradients(optax.adam(0.1), 0.0)
    with pytest.raises(ValueError, match="at_most=0; wanted at least 1"):
        skip_large_gradients(optax.adam(0.1), 1.0, at_most=0)
