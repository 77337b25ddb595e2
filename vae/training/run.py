"""The host's side of training: from chunk to chunk, with records, validations and checkpoints at their steps."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vae.evaluation.evidence import elbo_terms
from vae.objectives import batch_mean, collapse_warning, total_rate
from vae.training.interrupt import interruptions
from vae.training.journal import Journal, Pending
from vae.training.loop import Program, spans
from vae.training.progress import progress_bar
from vae.training.records import Record
from vae.training.state import TrainState, usable_params
from vae.training.stopping import Stop
from vae.types import Batch, Model, PyTree, Trained

VALIDATION_KEY = 20_131_220
"""Seed of the validation noise; fixed, so that the best checkpoint does not depend on luck or on the run's seed."""

LONGEST_SKIP = 100
"""Steps in a row without a finite gradient after which a run is stopped."""


logger = logging.getLogger("vae")


class DivergedError(ValueError):
    """Training that cannot go on, in one sentence."""


class Evaluation(NamedTuple):
    """What is asked of the model at each checkpoint; see `fit`."""

    model: Model
    validation: Batch | None
    rates: Any
    metrics: Mapping[str, Callable]
    figures: Mapping[str, Callable]


class Run(NamedTuple):
    """What stays fixed while a run trains; see `fit`."""

    program: Program
    evaluation: Evaluation
    steps: int
    batch_size: int
    log_every: int
    checkpoint_every: int
    chunk: int
    stop: Stop
    warmed_up: int
    progress: bool


def train(run: Run, journal: Journal, state: TrainState, pending: Pending) -> tuple[TrainState, int | None]:
    """Train from the state's step to the last; return the state and the signal that came in between, if one did.

    pending: metrics of the steps since the last record, of a run that was interrupted between two records.
    """
    step = int(state.step)
    if step >= run.steps or run.stop(journal.records):
        return state, None
    journal.begin(step)
    lengths = list(spans(step, run.steps, (run.log_every, run.checkpoint_every), run.chunk))
    run.program.compile(state, step, lengths[0])
    window: list[Any] = [{name: np.asarray(values) for name, values in pending.items()}] if pending else []
    clock, timed = time.perf_counter(), 0
    with interruptions() as stop, progress_bar(step, run.steps, enabled=run.progress) as advance:
        for length in lengths:
            state, metrics = run.program.run(state, step, length)
            window.append(metrics)
            step, timed = step + length, timed + length
            if step % run.log_every == 0 or step == run.steps:
                columns = on_host(window)
                record = window_record(step, columns, timed * run.batch_size / (time.perf_counter() - clock))
                journal.write(record)
                advance(step, record)
                warn_of_collapse(journal, run.warmed_up)
                require_progress(columns, step, min(LONGEST_SKIP, run.steps))
                window, timed, clock = [], 0, time.perf_counter()
            if step % run.checkpoint_every == 0 or step == run.steps:
                checkpoint(run.evaluation, journal, state, step, on_host(window))
                if run.stop(journal.records):
                    break
                clock, timed = time.perf_counter(), 0
            if stop.requested:
                journal.save(step, state, None, as_json(on_host(window)))
                break
    return state, None if stop.signal is None or step == run.steps else int(stop.signal)


def checkpoint(evaluation: Evaluation, journal: Journal, state: TrainState, step: int, columns: dict[str, np.ndarray]) -> None:
    """Validate, save with the validation ELBO as the score, and draw the user's figures."""
    model, params = evaluation.model, usable_params(state)
    record: Record = {"step": step, "split": "validation"}
    if evaluation.validation is not None:
        record |= validation_means(model, params, state.model_state, evaluation.validation, evaluation.rates)
    record |= {name: float(metric(model, params, state.model_state)) for name, metric in evaluation.metrics.items()}
    if len(record) > 2:
        journal.write(record)
    journal.save(step, state, record.get("elbo"), as_json(columns))
    for name, figure in evaluation.figures.items():
        journal.draw(name, figure(model, params, state.model_state))


def warn_of_collapse(journal: Journal, warmed_up: int) -> None:
    """Log the sentence that says that the posterior has collapsed onto the prior, once per run."""
    train = [record for record in journal.records if record["split"] == "train"]
    if sentence := collapse_warning(train, warmed_up=warmed_up):
        logger.warning(sentence)


def validation_means(model: Model, params: PyTree, model_state: PyTree, batch: Batch, rates: Any) -> dict[str, float]:
    """ELBO, log-likelihood and KL of the validation examples, in nats, on the same noise every time."""
    key = jax.random.key(VALIDATION_KEY)
    terms = elbo_terms(Trained(model, params, model_state), batch.x, key, context=batch.context, rates=rates)
    rate = total_rate(terms)
    means = {"elbo": terms.log_likelihood - rate, "log_likelihood": terms.log_likelihood, "kl": rate}
    return {name: float(batch_mean(values, batch.weight)) for name, values in means.items()}


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


def as_json(columns: dict[str, np.ndarray]) -> Pending:
    """Metrics as lists; a float32 survives the way through JSON unchanged."""
    return {name: values.tolist() for name, values in columns.items()}
