"""`fit`: train a model, keep what is needed to go on, and report on the way."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from vae.data.feeds import Feed, feed
from vae.evaluation.evidence import rates_of
from vae.objectives import Rate, analytic
from vae.reference import Reference, resolve
from vae.schedules import require_within
from vae.training.journal import open_journal
from vae.training.loop import chunk_length, has_convolution, make_program, on_stored, stored_example
from vae.training.records import Record, Writer
from vae.training.run import Evaluation, Run, train
from vae.training.state import TrainState, initial_state, usable_params
from vae.training.step import by_player, make_train_step
from vae.training.stopping import Stop, never
from vae.types import Batch, Key, Model, Objective, PyTree


class Fitted(NamedTuple):
    """What `fit` returns.

    model:   the model, built where a reference to it was given.
    state:   the train state after the last step taken.
    records: every record of the run, those of before an interruption included.
    signal:  the signal that interrupted it; None for a run that came to its end.
    """

    model: Model
    state: TrainState
    records: list[Record]
    signal: int | None

    @property
    def params(self) -> PyTree:
        """The parameters to use: the moving average where one is kept."""
        return usable_params(self.state)


def fit(
    model: Model | Reference,
    objective: Objective,
    optimiser: optax.GradientTransformation | Mapping[str, optax.GradientTransformation],
    data: Feed | PyTree,
    key: Key,
    *,
    steps: int,
    batch_size: int = 128,
    validation: Batch | None = None,
    workdir: str | Path | None = None,
    settings: Mapping[str, float] | None = None,
    schedules: Mapping[str, Callable] | None = None,
    average_decay: float | None = None,
    rates: Rate | Sequence[Rate] = analytic,
    chunk: int | None = None,
    log_every: int = 100,
    checkpoint_every: int | None = None,
    metrics: Mapping[str, Callable] | None = None,
    figures: Mapping[str, Callable] | None = None,
    stop: Stop = never,
    writers: Sequence[Writer] = (),
    initial_params: PyTree | None = None,
    experiment: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Fitted:
    """Train a model, or go on with the run that `workdir` holds.

    model:            a Model, or a `Reference` to a function from `Data` to a Model, so that `vae.load` can build it again.
    objective:        what is minimised.
    optimiser:        an optax transformation, or one per player ("posterior", "generative", "objective").
    data:             a `Feed`, or a pytree of arrays with a leading axis of examples.
    key:              decides everything random: the same key gives the same run.
    steps:            number of steps in all, those of before an interruption included.
    validation:       examples for the validation ELBO (at beta 1, on fixed noise), by which the best checkpoint is chosen.
    workdir:          where checkpoints and records go; None keeps nothing. One that holds this run is resumed, bit for bit.
    settings:         levels of the traced numbers; "beta" weighs the rate, "learning_rate" multiplies the optimiser's updates.
    schedules:        shapes by setting, see `vae.schedules`.
    average_decay:    decay of a moving average of the parameters; where given, the average is what is evaluated.
    rates:            how each group is charged in the validation ELBO.
    chunk:            steps per compiled program, shortened to divide the periods; never shows in the numbers. None chooses.
    log_every:        steps between records.
    checkpoint_every: steps between checkpoints, each with a validation; None means ten in the whole run.
    metrics:          your own validation metrics, name -> function(model, params, model_state) -> number.
    figures:          your own figures, name -> function(model, params, model_state) -> matplotlib Figure; drawn at checkpoints.
    stop:             records -> whether to stop early, asked after each validation, such as `vae.training.patience`.
    writers:          further places for the records.
    initial_params:   parameters to start from instead of `model.init`'s.
    experiment:       JSON that identifies the run; a resumed run must agree in it.
    provenance:       JSON to keep beside the run's own provenance.
    progress:         whether a progress bar is drawn.

    Raises RunError for a work directory that cannot be used, DivergedError when many steps in a row had no finite gradient,
    ValueError for settings out of range.
    """
    source = data if isinstance(data, Feed) else feed(data)
    checkpoint_every = max(1, steps // 10) if checkpoint_every is None else checkpoint_every
    _require_positive(steps=steps, batch_size=batch_size, log_every=log_every, checkpoint_every=checkpoint_every)
    if batch_size > source.size:
        raise ValueError(f"batch_size is {batch_size}, more than the {source.size} training examples; choose a smaller one.")
    for name, level in (settings or {}).items():
        if not np.isfinite(level):
            raise ValueError(f"the setting {name} is {level}; wanted a finite number.")
    for name, schedule in (schedules or {}).items():
        require_within(name, schedule, steps)
    built = resolve(model, source.spec) if isinstance(model, Reference) else model
    transformation = by_player(optimiser) if isinstance(optimiser, Mapping) else optimiser
    train_step = make_train_step(built, objective, transformation, schedules, average_decay)
    start = partial(initial_state, built, objective, transformation, key, settings, average=average_decay is not None)
    identity = {
        "experiment": dict(experiment or {}),
        "model": model._asdict() if isinstance(model, Reference) else None,
        "data": {"shape": source.spec.shape, "space": source.spec.space, "size": source.size},
        "fit": {
            "steps": steps,
            "batch_size": batch_size,
            "key": np.asarray(jax.random.key_data(key)).tolist(),
            "settings": dict(settings or {}),
            "schedules": {name: str(getattr(s, "name", s)) for name, s in (schedules or {}).items()},
            "average_decay": average_decay,
        },
    }
    with open_journal(workdir, identity, provenance or {}, writers) as journal:
        state, pending = journal.restore(start, initial_params)
        convolves = partial(has_convolution, partial(on_stored, train_step, source), state, stored_example(source, batch_size))
        run = Run(
            program=make_program(train_step, source, batch_size),
            evaluation=Evaluation(built, validation, rates_of(rates), metrics or {}, figures or {}),
            steps=steps,
            batch_size=batch_size,
            log_every=log_every,
            checkpoint_every=checkpoint_every,
            chunk=chunk_length(chunk, (log_every, checkpoint_every), convolves),
            stop=stop,
            warmed_up=max(steps // 10, getattr((schedules or {}).get("beta"), "horizon", None) or 0),
            progress=progress,
        )
        state, signal = train(run, journal, state, pending)
        return Fitted(built, state, journal.records, signal)


def _require_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; wanted at least 1.")
