import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from vae.training.sweep import one_after_another, run_of, side_by_side, sweep

from vae.data.feeds import feed
from vae.objectives import elbo
from vae.training.loop import make_program
from vae.training.state import initial_state
from vae.training.step import make_train_step

X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
KEYS = jax.random.split(jax.random.key(1), 3)
SETTINGS = {"beta": jnp.array([0.5, 1.0, 2.0]), "learning_rate": jnp.array([1e-2, 1e-2, 3e-3])}


@pytest.mark.parametrize("lift", [side_by_side, one_after_another])
def test_every_run_of_a_sweep_is_the_run_alone(lift):
    model, objective, optimiser, data = toys.linear_gaussian(), elbo(), optax.adam(1.0), feed(X)
    chex.clear_trace_counter()
    traced = chex.assert_max_traces(objective.loss, n=1)
    counted = objective._replace(loss=traced)
    swept = sweep(model, counted, optimiser, data, KEYS, steps=20, batch_size=8, settings=SETTINGS, log_every=10, lift=lift)
    program = make_program(make_train_step(model, objective, optimiser), data, 8)
    for i in range(3):
        settings = {name: float(values[i]) for name, values in SETTINGS.items()}
        state, metrics = program.run(initial_state(model, objective, optimiser, KEYS[i], settings), 0, 20)
        chex.assert_trees_all_close(run_of(swept.states, i).params, state.params, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(swept.metrics["elbo"][i].mean(), np.mean(metrics["elbo"]), rtol=1e-5)
    assert swept.steps.tolist() == [10, 20]


def test_a_setting_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"beta has shape \(2,\); wanted \(3,\)"):
        sweep(toys.linear_gaussian(), elbo(), optax.adam(1.0), feed(X), KEYS, steps=1, settings={"beta": jnp.ones(2)})
