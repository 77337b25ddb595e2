"""The host's side of training: from chunk to chunk, with records, validations and checkpoints at their steps."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vae.objectives import REMEDIES, CollapseWatch, collapse_after, collapse_after_all
from vae.training.experiment import Host
from vae.training.interrupt import interruptions
from vae.training.journal import Journal, Pending
from vae.training.loop import chunk_length, has_convolution, spans
from vae.training.planning import Plan, score_of, user_metrics
from vae.training.progress import progress_bar
from vae.training.records import Record
from vae.training.state import TrainState
from vae.training.step import settings_at
from vae.training.validation import Validate

LONGEST_SKIP = 100
"""Steps in a row without a finite gradient after which a run is stopped."""

logger = logging.getLogger("vae")


class DivergedError(ValueError):
    """Training that cannot go on, in one sentence."""


class Run(NamedTuple):
    """What stays fixed while a run trains: what it is, how it is looked at, and how it is validated."""

    plan: Plan
    host: Host
    validate: Validate | None


def train(run: Run, journal: Journal, state: TrainState, pending: Pending) -> tuple[TrainState, int | None]:
    """Train from the state's step to the last; return the state and the signal that came in between, if one did.

    pending: metrics of the steps since the last record, of a run that was interrupted between two records.
    """
    plan, host, steps = run.plan, run.host, run.plan.experiment.steps
    step = int(state.step)
    if step >= steps or (journal.records and host.stop(journal.records)):
        return state, None
    journal.begin(step)
    watch = collapse_after_all(CollapseWatch(warmed_up(plan)), journal.records)
    lengths = list(spans(step, steps, periods(run), length_of_chunk(run)))
    plan.program.compile(state, step, lengths[0])
    window: list[Any] = [{name: np.asarray(values) for name, values in pending.items()}] if pending else []
    clock, timed = time.perf_counter(), 0
    with interruptions() as stop, progress_bar(step, steps, enabled=host.progress) as advance:
        for length in lengths:
            state, metrics = plan.program.run(state, step, length)
            window.append(metrics)
            step, timed = step + length, timed + length
            if step % host.log_every == 0 or step == steps:
                columns = on_host(window)
                record = window_record(step, columns, timed * examples_per_step(plan) / (time.perf_counter() - clock))
                journal.write(record)
                advance(step, record)
                watch = warn_of_collapse(watch, record)
                require_progress(columns, step, min(LONGEST_SKIP, steps))
                window, timed, clock = [], 0, time.perf_counter()
            if due(step, steps, plan.validate_every):
                checkpoint(run, journal, state, step, on_host(window))
                if host.stop(journal.records):
                    break
                clock, timed = time.perf_counter(), 0
            elif stop.requested or due(step, steps, host.save_every):
                save(run, journal, state, step, None, on_host(window))
            if stop.requested:
                break
    return state, None if stop.signal is None or step == steps else int(stop.signal)


def checkpoint(run: Run, journal: Journal, state: TrainState, step: int, columns: dict[str, np.ndarray]) -> None:
    """Validate, save with the selected metric as the score, and draw the user's figures."""
    trained = run.plan.trained(state)
    record: Record = {"step": step, "split": "validation"}
    if run.validate is not None:
        record |= run.validate(trained)
    record |= user_metrics(run.plan.experiment, trained)
    if len(record) > 2:
        journal.write(record)
    save(run, journal, state, step, score_of(record, run.plan.select), columns)
    for name, figure in run.host.figures.items():
        journal.draw(name, figure(trained))


def save(run: Run, journal: Journal, state: TrainState, step: int, score: float | None, columns: dict[str, Any]) -> None:
    """Save a checkpoint with what is not in the state: the unfinished window, and the settings of its step."""
    if journal.checkpoints is not None:
        settings = settings_at(state.settings, run.plan.experiment.schedules, state.step)
        journal.save(step, state, score, {"pending": as_json(columns), "settings": as_json(jax.device_get(settings))})


def due(step: int, steps: int, period: int | None) -> bool:
    """Whether something of a period is done after this step; at the last one in any case, where there is a period."""
    return period is not None and (step % period == 0 or step == steps)


def periods(run: Run) -> tuple[int, ...]:
    """Steps that no chunk crosses a multiple of."""
    given = (run.host.log_every, run.plan.validate_every, run.host.save_every)
    return tuple(period for period in given if period is not None)


def length_of_chunk(run: Run) -> int:
    """Steps per compiled program."""
    return chunk_length(run.host.chunk, periods(run), lambda: has_convolution(run.plan.program.step, *run.plan.traced_with()))


def warmed_up(plan: Plan) -> int:
    """The step from which a small rate is no longer the warm-up's."""
    horizon = getattr(plan.experiment.schedules.get("beta"), "horizon", None) or 0
    return max(plan.experiment.steps // 10, horizon)


def examples_per_step(plan: Plan) -> int:
    """Of all feeds together."""
    size = plan.experiment.batch_size
    return sum(size.values()) if isinstance(size, Mapping) else size


def warn_of_collapse(watch: CollapseWatch, record: Record) -> CollapseWatch:
    """Log the sentence that says that the posterior has collapsed onto the prior, and what helps."""
    watch, sentence = collapse_after(watch, record)
    if sentence:
        logger.warning(f"{sentence} {REMEDIES}" if watch.said else sentence)
    return watch


def on_host(window: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The metrics of a window's steps, one array per name with a leading axis of steps."""
    chunks = jax.device_get(window)
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]} if chunks else {}


def window_record(step: int, columns: dict[str, np.ndarray], images_per_second: float) -> Record:
    """Means over the steps of a window that were not skipped; `skipped_steps` counts the others."""
    ran = columns["skipped"] == 0
    means = {
        name: values[ran].astype(np.float64).mean(axis=0).tolist() if ran.any() else None
        for name, values in columns.items()
        if name != "skipped"
    }
    record = {"step": step, "split": "train", **means}
    return record | {"skipped_steps": int((~ran).sum()), "images_per_second": round(images_per_second, 1)}


def require_progress(columns: dict[str, np.ndarray], step: int, most: int) -> None:
    """Raise DivergedError where `most` steps in a row, or more, had no finite gradient."""
    if (longest := int(columns["skipped"].max())) >= most:
        raise DivergedError(
            f"the gradient was not finite in {longest} steps in a row up to step {step}; "
            "the parameters are those of the last good step: lower the learning rate, clip the gradient or look at the data."
        )


def as_json(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics as lists; a float32 survives the way through JSON unchanged."""
    return {name: values.tolist() for name, values in columns.items()}
