"""Sweeps over seeds and settings: many runs of one experiment as one compiled program, and what they say side by side."""

import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae.objectives import REMEDIES, CollapseWatch, collapse_after
from vae.trained import Trained
from vae.training.checking import checked_host, level_of, seed_of, whole
from vae.training.experiment import Experiment, Host
from vae.training.loop import Feeds, chunk_length, has_convolution, spans
from vae.training.planning import Plan, key_of, planned, score_of, start_of, user_metrics
from vae.training.progress import progress_bar
from vae.training.reading import require_read
from vae.training.records import Record
from vae.training.run import due, examples_per_step, warmed_up, window_record
from vae.training.state import TrainState
from vae.training.sweep_tables import figure_of, table_of
from vae.training.validation import validator
from vae.types import Key

logger = logging.getLogger("vae")


class Member(NamedTuple):
    """One run of a sweep: its seed, the settings that it has of its own, and what it recorded."""

    seed: Any
    settings: dict[str, float]
    records: list[Record]

    @property
    def name(self) -> str:
        """The member in words."""
        key = isinstance(self.seed, jax.Array)
        seed = f"key {' '.join(map(str, jax.random.key_data(self.seed).tolist()))}" if key else f"seed {self.seed}"
        return ", ".join([*(f"{name} {value:g}" for name, value in self.settings.items()), seed])


class Swept(NamedTuple):
    """The runs of a sweep, the seeds innermost.

    members: what each run was and recorded.
    states:  train states after the last step, with a leading axis of runs.
    best:    those of each run's best validation; the last ones where nothing was validated.
    plan:    the experiment that all of them share.
    """

    members: list[Member]
    states: TrainState
    best: TrainState
    plan: Plan

    def trained(self, index: int, which: str = "latest") -> Trained:
        """One run's model, as `fit` would have given it; `which` is "latest" or "best"."""
        return self.plan.trained(run_of({"latest": self.states, "best": self.best}[which], index))

    def table(self, metric: str | None = None) -> str:
        """A Markdown table: per setting, the mean over seeds of each number of the last validation, +- its standard error."""
        return table_of(self.members, metric)

    def figure(self, metric: str | None = None) -> Any:
        """The selected metric against each swept setting, a dot per seed; a matplotlib figure."""
        return figure_of(self.members, metric or self.plan.select.metric)

    def __repr__(self) -> str:
        return f"Swept({len(self.members)} runs of {self.plan.experiment.steps:,} steps)\n{self.table()}"

    def _repr_markdown_(self) -> str:
        return self.table()


def side_by_side(chunk: Callable) -> Callable:
    """All runs at once, by `jax.vmap`: for an accelerator that one run does not fill."""
    return jax.vmap(chunk, in_axes=(0, None))


def one_after_another(chunk: Callable) -> Callable:
    """One run after another, by `jax.lax.map`: on a CPU vmapped products are slower than as many single ones."""
    return lambda states, data: jax.lax.map(lambda state: chunk(state, data), states)


def sweep(
    experiment: Experiment,
    seeds: int | Sequence[int | Key] = 3,
    settings: Mapping[str, Sequence[float]] | None = None,
    zip: Mapping[str, Sequence[float]] | None = None,
    host: Host | None = None,
    lift: Callable | None = None,
) -> Swept:
    """Train an experiment at every combination of settings and seeds, in one program; a run is the same as alone, to rounding.

    seeds:    how many, counted from the experiment's own; or which ones, numbers or keys. A seed has one start, order of data
              and noise at all settings, so that settings are compared in pairs.
    settings: levels by name, crossed with each other and with the seeds.
    zip:      levels by name that change together, as many of each; crossed with the rest.
    host:     as for `fit`; `stop`, `figures` and `save_every` have no meaning here, where nothing is kept on disk.
    lift:     how runs are laid out, `side_by_side` or `one_after_another`; by default the latter on a CPU.

    >>> swept = vae.sweep(experiment, seeds=3, settings={"beta": [1.0, 4.0]}, host=vae.Host(progress=False))
    >>> len(swept.members), swept.members[0].name, len(swept.table("elbo").splitlines())
    (6, 'beta 1, seed 0', 4)

    Raises ValueError for a setting that nothing reads, for levels that cannot be, and for zipped lists of different lengths.
    """
    host = checked_host(host)
    lift = lift or (one_after_another if jax.default_backend() == "cpu" else side_by_side)
    levels = combinations(settings or {}, zip or {})
    plan = planned(experiment._replace(settings={**experiment.settings, **levels[0]}), lift)
    require_resident(plan.splits.train)
    validate = validator(plan.objective, plan.splits.validation, plan.claim)
    require_read(plan)
    members = [Member(seed, level, []) for level in levels for seed in seeds_of(experiment, seeds)]
    states = start_all(plan, members)
    return train_all(plan, host, validate, members, states)


def require_resident(train: Feeds) -> None:
    """Refuse data that are gathered on the host: every run has an order of its own."""
    if not all(feed.resident for feed in (train.values() if isinstance(train, Mapping) else (train,))):
        raise ValueError(
            "a sweep got data that are streamed from the host; wanted them on the device: feed(..., resident=True)."
        )


def combinations(settings: Mapping[str, Sequence[float]], zipped: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Every combination of levels, the last name changing fastest and the zipped ones slowest."""
    for name, values in {**settings, **zipped}.items():
        if np.ndim(values) != 1 or len(values) == 0:
            raise ValueError(f"the sweep got {name} = {values!r}; wanted a list of one level or more.")
        levels = {float(level_of(name, value)) for value in values}
        if name in settings and len(levels) < len(values):
            raise ValueError(f"the sweep got {name} = {values!r}; wanted each level once: give more seeds for more runs.")
    if twice := sorted(set(settings) & set(zipped)):
        raise ValueError(f"{', '.join(twice)} stands in settings and in zip; wanted each name in one of them.")
    lengths = {name: len(values) for name, values in zipped.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"zipped lists have lengths {lengths}; wanted equal ones, since their levels change together.")
    together = [dict(zip_names(zipped, i)) for i in range(next(iter(lengths.values()), 1))]
    crossed = [dict(pairs) for pairs in itertools.product(*([(n, float(v)) for v in vs] for n, vs in settings.items()))]
    return [{**pair, **level} for pair in together for level in crossed]


def zip_names(zipped: Mapping[str, Sequence[float]], index: int) -> list[tuple[str, float]]:
    """The level of every zipped name at one place."""
    return [(name, float(values[index])) for name, values in zipped.items()]


def seeds_of(experiment: Experiment, seeds: int | Sequence[int | Key]) -> list:
    """The seeds of a sweep: those given, or so many from the experiment's own on."""
    if not isinstance(seeds, int | np.integer):
        if len(seeds) == 0:
            raise ValueError("the sweep got no seeds; wanted a number of them, or a list.")
        return [seed_of(seed) for seed in seeds]
    count = whole("seeds", seeds)
    if not isinstance(experiment.seed, int | np.integer):
        raise ValueError("the experiment's seed is a key, from which none can be counted; wanted a number, or a list of seeds.")
    return [seed_of(int(experiment.seed) + i) for i in range(count)]


def start_all(plan: Plan, members: Sequence[Member]) -> TrainState:
    """The first state of every member, with a leading axis of runs."""
    shared = plan.experiment.settings
    names = [*shared, *(name for name in members[0].settings if name not in shared)]
    rows = [{**shared, **member.settings} for member in members]
    levels = {name: jnp.asarray([row[name] for row in rows], jnp.float32) for name in names}
    keys = jnp.stack([key_of(member.seed) for member in members])
    return jax.vmap(lambda key, level: start_of(plan.experiment, plan.model, plan.objective, key, level))(keys, levels)


def train_all(plan: Plan, host: Host, validate: Any, members: list[Member], states: TrainState) -> Swept:
    """Train all members to the last step, with records, validations and warnings for each."""
    steps, validate_every = plan.experiment.steps, plan.validate_every
    every = (host.log_every, validate_every)
    chunk = chunk_length(host.chunk, every, lambda: has_convolution(plan.program.step, *plan.traced_with()))
    watches = [CollapseWatch(warmed_up(plan)) for _ in members]
    best, scores = jax.tree.map(jnp.copy, states), np.full(len(members), -np.inf)
    done, window, start, advised = 0, [], time.perf_counter(), False
    with progress_bar(0, steps, enabled=host.progress) as advance:
        for length in spans(0, steps, every, chunk):
            states, metrics = plan.program.run(states, done, length)
            window.append(jax.device_get(metrics))
            done += length
            if due(done, steps, host.log_every):
                records = records_of(plan, window, done)
                watches, seen = noted(members, records, watches)
                advised = warn_of_collapses(seen, advised)
                speed = len(members) * done * examples_per_step(plan) / (time.perf_counter() - start)
                advance(done, {**records[0], "images_per_second": speed})
                window = []
            if due(done, steps, validate_every):
                best, scores = validated(plan, validate, members, states, best, scores, done)
    return Swept(members, states, best if np.any(np.isfinite(scores)) else states, plan)


def records_of(plan: Plan, window: list, step: int) -> list[Record]:
    """The record of every member of the steps since the last one."""
    columns = {name: np.concatenate([chunk[name] for chunk in window], axis=1) for name in window[0]}
    runs = len(columns["skipped"])
    return [window_record(step, {name: values[i] for name, values in columns.items()}, 0.0) for i in range(runs)]


def noted(
    members: Sequence[Member], records: Sequence[Record], watches: Sequence[CollapseWatch]
) -> tuple[list[CollapseWatch], list[str]]:
    """Keep every member's record; the watches after it, and what they say, by the member's name."""
    after = [collapse_after(watch, record) for watch, record in zip(watches, records, strict=True)]
    for member, record in zip(members, records, strict=True):
        member.records.append({name: value for name, value in record.items() if name != "images_per_second"})
        if record["skipped_steps"]:
            logger.warning(f"{member.name}: {record['skipped_steps']} steps up to {record['step']} had no finite gradient.")
    said = [f"{member.name}: {sentence}" for member, (_, sentence) in zip(members, after, strict=True) if sentence]
    return [watch for watch, _ in after], said


def warn_of_collapses(said: Sequence[str], advised: bool) -> bool:
    """Log what was said of members at one record as one warning, with the advice in the first; whether it was given by now."""
    if said:
        logger.warning("\n".join([*said, *([] if advised else [REMEDIES])]))
    return advised or bool(said)


def validated(plan: Plan, validate: Any, members: list[Member], states: TrainState, best: Any, scores: Any, step: int) -> tuple:
    """Validate every member; the states of those that are better than before take the place of their best ones."""
    better = np.zeros(len(members), bool)
    for i, member in enumerate(members):
        trained = plan.trained(run_of(states, i))
        record: Record = {"step": step, "split": "validation"} | ({} if validate is None else validate(trained))
        record |= user_metrics(plan.experiment, trained)
        score = score_of(record, plan.select)
        if len(record) > 2:
            member.records.append(record)
        better[i] = score is not None and np.isfinite(score) and score >= scores[i]  # the newer of equals, as a run keeps it
        scores[i] = score if better[i] else scores[i]

    def chosen(new, old):
        return jnp.where(jnp.asarray(better).reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(chosen, states, best), scores


def run_of(states: TrainState, index: int) -> TrainState:
    """One run of a sweep."""
    return jax.tree.map(lambda leaf: leaf[index], states)
