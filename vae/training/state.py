"""The train state: everything that a step reads and writes, as one pytree."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from vae.settings import Settings
from vae.training.optimisers import Optimiser, at_settings
from vae.types import Key, Model, Objective, Params, PyTree


class TrainState(NamedTuple):
    """The state of a run; it is all that a checkpoint has to hold.

    step:            number of steps taken.
    key:             the run's key; every random number is a function of it and the step.
    params:          {"posterior": ..., "generative": ..., and "objective": ... where the objective has its own}.
    model_state:     what the model carries and does not differentiate (codebook averages, batch statistics).
    objective_state: what the objective carries (a controller's integral).
    optimiser_state: optax's.
    average:         exponential moving average of the parameters, () where none is kept.
    settings:        the levels of the traced numbers, by name; a sweep is a `jax.vmap` over these leaves.
    skipped:         steps in a row whose gradient was not finite and which therefore changed nothing but the step.
    """

    step: Int[Array, ""]
    key: Key
    params: Params
    model_state: PyTree
    objective_state: PyTree
    optimiser_state: PyTree
    average: PyTree
    settings: dict[str, Array]
    skipped: Int[Array, ""]


def initial_state(
    model: Model,
    objective: Objective,
    optimiser: Optimiser,
    key: Key,
    settings: Mapping[str, Any] | None = None,
    *,
    average: bool = False,
) -> TrainState:
    """The state before the first step, a function of the key alone; compiled as one program, which is quicker to start.

    average: whether a moving average of the parameters is kept.
    """

    def build(key: Key, settings: dict[str, Array]) -> TrainState:
        model_key, objective_key = jax.random.split(jax.random.fold_in(key, 0))
        params, model_state = model.init(model_key)
        own_params, objective_state = objective.init(objective_key)
        params = params | ({"objective": own_params} if jax.tree.leaves(own_params) else {})
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            key=key,
            params=params,
            model_state=model_state,
            objective_state=objective_state,
            optimiser_state=at_settings(optimiser, Settings(settings, training=True)).init(params),
            average=jax.tree.map(jnp.copy, params) if average else (),
            settings=settings,
            skipped=jnp.zeros((), jnp.int32),
        )

    return jax.jit(build)(key, as_levels(settings or {}))


def as_levels(settings: Mapping[str, Any]) -> dict[str, Array]:
    """The levels of the settings as a state holds them."""
    return {name: jnp.asarray(value, jnp.float32) for name, value in settings.items()}


def usable_params(state: TrainState) -> Params:
    """The parameters to evaluate: their moving average where one is kept."""
    return state.average if jax.tree.leaves(state.average) else state.params


def with_model_state(state: TrainState, model_state: PyTree) -> TrainState:
    """The state with what another model carried; ValueError where it does not fit."""
    was, given = (
        [(jax.tree_util.keystr(path), jnp.shape(leaf)) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]]
        for tree in (state.model_state, model_state)
    )
    if was != given:
        raise ValueError(f"the carried state to start from is {given}; wanted {was}: use the same model.")
    return state._replace(model_state=jax.tree.map(jnp.copy, model_state))


def with_params(state: TrainState, params: PyTree) -> TrainState:
    """The state with other parameters; ValueError names the first that does not fit."""
    wanted, given = (jax.tree_util.tree_flatten_with_path(tree)[0] for tree in (state.params, params))
    for (path, old), (other, new) in zip(wanted, given, strict=False):
        if path != other or old.shape != new.shape:
            raise ValueError(
                f"the parameters to start from do not fit: {jax.tree_util.keystr(path)} is {old.shape} in this model, "
                f"{jax.tree_util.keystr(other)} {new.shape} there; use the same networks and latent size."
            )
    if len(wanted) != len(given):
        raise ValueError(
            f"the parameters to start from have {len(given)} arrays, this model {len(wanted)}; use the same networks."
        )
    params = jax.tree.map(jnp.copy, params)
    average = jax.tree.map(jnp.copy, params) if jax.tree.leaves(state.average) else state.average
    return state._replace(params=params, average=average)
