"""Whether a model trains as the contract has it: finite gradients everywhere, a state that is carried, a run that resumes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from vae.distributions import is_reparameterised
from vae.objectives import analytic, elbo, importance_weighted, log_ratio, no_rate, score_function
from vae.testing.allowance import Allowance
from vae.testing.model_densities import equal
from vae.testing.passes import Tried, has_row, shapes
from vae.training.digest import host_array, is_typed_key
from vae.training.state import TrainState, initial_state
from vae.training.step import make_train_step
from vae.types import Batch, Key, Objective, PyTree, Trace

STEPS = 4
RATE = 0.01


def fitting_objective(trace: Trace) -> Objective:
    """An objective that has a meaning for every group of a trace; see `check_model`."""
    posteriors = [latent.posterior for latent in trace.latents]
    if not all(map(is_reparameterised, posteriors)):
        return importance_weighted(3, score_function, monitors=())
    rates = [analytic if has_row(latent) else no_rate if latent.log_q is None else log_ratio for latent in trace.latents]
    return elbo(rates=rates or analytic, monitors=())


def largest_gradient() -> optax.GradientTransformation:
    """Small bounded steps, with the largest gradient so far of every number as the state."""

    def update(gradients: PyTree, largest: PyTree, params: PyTree = None):
        moved = jax.tree.map(lambda g: -RATE * g / (1.0 + jnp.abs(g)), gradients)
        return moved, jax.tree.map(lambda old, g: jnp.maximum(old, jnp.abs(g)), largest, gradients)

    return optax.GradientTransformation(lambda params: jax.tree.map(jnp.zeros_like, params), update)


def check_training(allowance: Allowance, tried: Tried, objective: Objective, key: Key) -> None:
    """ "gradient" and "resume", by the train step that every run has."""
    optimiser = largest_gradient()
    start = initial_state(tried.model, objective, optimiser, key, tried.levels)
    start = start._replace(params=start.params | tried.params, model_state=tried.state)
    batch = Batch(tried.x, tried.context, jnp.ones(tried.examples))
    traced = [jax.jit(make_train_step(tried.model, objective, optimiser)).trace(start, batch) for _ in range(2)]
    again = str(traced[0].jaxpr) == str(traced[1].jaxpr)
    allowance.holds("resume", again, "a step that is traced again is another program: what changes must be in the state")
    step = traced[0].lower().compile()
    states = [start]
    for _ in range(STEPS):
        states.append(step(states[-1], batch)[0])
    resumed = through_host(states[STEPS // 2])
    for _ in range(STEPS - STEPS // 2):
        resumed = step(resumed, batch)[0]
    check_gradients(allowance, states[-1])
    same = equal(*(jax.tree.map(host_array, each) for each in (states[-1], resumed)))
    allowance.holds("resume", same, "four steps differ from two steps, the state through the host, and two more")


def check_state(allowance: Allowance, tried: Tried, key: Key) -> None:
    """ "carried state"."""

    def updated(keys: Array) -> PyTree:
        def statistics(key: Key, x: PyTree, context: PyTree) -> PyTree:
            return tried.infer(tried.params, tried.state, x, context, training=True)(key).statistics

        batched = jax.vmap(statistics, axis_name="batch")(keys, tried.x, tried.context)
        return tried.model.update(tried.state, batched, key)

    before, after = shapes(tried.state), shapes(jax.eval_shape(updated, jax.random.split(key, tried.examples)))
    allowance.holds("carried state", before == after, f"update gave {after}, wanted what it was given, {before}")


def check_gradients(allowance: Allowance, state: TrainState) -> None:
    """ "gradient"."""
    allowance.holds("gradient", int(state.skipped) == 0, "the gradient of a training step is not finite")
    for path, leaf in jax.tree_util.tree_flatten_with_path(state.optimiser_state)[0]:
        used = leaf.size == 0 or np.any(np.asarray(leaf) > 0)
        allowance.holds("gradient", used, f"no number of params{jax.tree_util.keystr(path)} got a gradient in {STEPS} steps")


def through_host(state: TrainState) -> TrainState:
    """The state as it is read back from bytes."""

    def read_back(leaf: Any) -> Array:
        host = host_array(leaf)
        array = jnp.asarray(np.frombuffer(host.tobytes(), host.dtype).reshape(host.shape))
        return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf)) if is_typed_key(leaf) else array

    return jax.tree.map(read_back, state)
