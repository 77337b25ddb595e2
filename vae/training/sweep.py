"""Sweeps over seeds and settings: many runs of one structure as one compiled program."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from vae.data.feeds import Feed
from vae.reference import Reference, resolve
from vae.schedules import require_within
from vae.training.loop import DEFAULT_CHUNK, make_program, spans
from vae.training.state import TrainState, initial_state
from vae.training.step import make_train_step
from vae.types import Key, Model, Objective


class Swept(NamedTuple):
    """The runs of a sweep.

    states:  train states with a leading axis of runs; `run_of(states, i)` is one of them.
    steps:   (records,) the steps at which metrics were averaged.
    metrics: by name, (runs, records) means over the steps since the record before.
    """

    states: TrainState
    steps: np.ndarray
    metrics: dict[str, np.ndarray]


def side_by_side(chunk: Callable) -> Callable:
    """All runs at once, by `jax.vmap`: for an accelerator that one run does not fill."""
    return jax.vmap(chunk, in_axes=(0, None))


def one_after_another(chunk: Callable) -> Callable:
    """One run after another, by `jax.lax.map`: on a CPU vmapped products are slower than as many single ones."""
    return lambda states, data: jax.lax.map(lambda state: chunk(state, data), states)


def sweep(
    model: Model | Reference,
    objective: Objective,
    optimiser: optax.GradientTransformation,
    data: Feed,
    keys: Key,
    *,
    steps: int,
    batch_size: int = 128,
    settings: Mapping[str, Array] | None = None,
    schedules: Mapping[str, Callable] | None = None,
    average_decay: float | None = None,
    log_every: int = DEFAULT_CHUNK,
    lift: Callable | None = None,
) -> Swept:
    """Train one run per key, each with its own settings, in one program; a run is the same as alone, up to rounding.

    keys:     (runs,) keys; equal keys give equal starts, orders and noise, so that settings are compared in pairs.
    settings: levels by name, each of shape (runs,).
    lift:     how runs are laid out, `side_by_side` or `one_after_another`; by default the latter on a CPU.

    The other arguments are those of `fit`, which keeps checkpoints and records on disk; a sweep keeps nothing.
    Raises ValueError where a setting has another number of runs than there are keys.
    """
    runs = len(keys)
    levels = {name: jnp.asarray(values, jnp.float32) for name, values in (settings or {}).items()}
    for name, values in levels.items():
        if values.shape != (runs,):
            raise ValueError(f"the setting {name} has shape {values.shape}; wanted ({runs},), one level per key.")
    for name, schedule in (schedules or {}).items():
        require_within(name, schedule, steps)
    model = resolve(model, data.spec) if isinstance(model, Reference) else model
    lift = lift or (one_after_another if jax.default_backend() == "cpu" else side_by_side)

    def start(key, settings):
        return initial_state(model, objective, optimiser, key, settings, average=average_decay is not None)

    states = jax.vmap(start)(keys, levels)
    train_step = make_train_step(model, objective, optimiser, schedules, average_decay)
    program = make_program(train_step, data, batch_size, lift)
    done, at, means = 0, [], []
    for length in spans(0, steps, (log_every,), log_every):
        states, metrics = program.run(states, done, length)
        done += length
        at.append(done)
        means.append({name: np.asarray(values).mean(axis=1) for name, values in metrics.items() if values.ndim == 2})
    columns = {name: np.stack([record[name] for record in means], axis=1) for name in means[0]}
    return Swept(states=states, steps=np.asarray(at), metrics=columns)


def run_of(states: TrainState, index: int) -> TrainState:
    """One run of a sweep."""
    return jax.tree.map(lambda leaf: leaf[index], states)
