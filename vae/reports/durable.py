"""Comparisons that survive an interruption: every run and its measurements are kept as they finish, in a folder of their own.

A run is kept by `fit`, which goes on with it where it was stopped. Beside it lies what was measured of it, with what decides
those numbers: the run's digests, the digest of the program that measures, the test data, the counts and the versions.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from signal import SIGINT, Signals
from typing import Any, NamedTuple

import jax
import numpy as np

from vae.evaluation.comparison import Measured, measurement_program
from vae.reports.measuring import Ruler, measured_by, variant_named
from vae.trained import Trained
from vae.training.digest import tree_sha256
from vae.training.experiment import Experiment, Host
from vae.training.fitting import config_of, fit
from vae.training.identity import program_digests, seed_as_json
from vae.training.interrupt import exit_code
from vae.training.planning import planned
from vae.training.provenance import read_json, write_json
from vae.training.sameness import differences
from vae.training.stopping import never
from vae.training.workdir import CONFIG, RunError, read_config
from vae.types import Key, Model

MEASUREMENTS = "measured.json"
"""What was measured of a run, in its work directory."""
PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
"""Names that are safe as they are, also where a file system does not tell a small letter from a capital one."""

logger = logging.getLogger("vae")


class StoppedError(SystemExit):
    """A signal came before a comparison's end; what is finished is kept, and the same call goes on."""


def folder_of(workdir: Path, name: str, seed: int | Key) -> Path:
    """Where a run of a variant is kept: a folder that its name can be read from, of its own whatever the name."""
    words = seed_as_json(seed)
    return workdir / safe_name(name) / f"seed-{words if isinstance(words, int) else '-'.join(map(str, words))}"


def safe_name(name: str) -> str:
    """A variant's name as that of a folder; a digest tells apart what spaces and capitals did.

    >>> safe_name("elbo")
    'elbo'
    >>> safe_name("IWAE, k = 5").rpartition("-")[0]
    'iwae-k-5'
    """
    if PLAIN.fullmatch(name):
        return name
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "variant"
    return f"{words}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def kept_measurements(
    variants: Mapping[str, Experiment], seeds: Sequence[int | Key], ruler: Ruler, host: Host | None, workdir: str | Path
) -> Iterator[tuple[str, Callable[[], Trained], Measured]]:
    """(name, () -> run of the first seed, measurements) of every variant once its last seed is measured; the runs, a seed of
    all variants after another.

    An interrupted comparison therefore holds whole ones of fewer seeds.
    """
    workdir, host = Path(workdir), (host or Host())._replace(stop=never)  # to the last step, as in a sweep
    told = {name: told_of(name, variant, ruler, host) for name, variant in variants.items()}
    for name in variants:
        for seed in seeds:
            require_kept_alike(name, folder_of(workdir, name, seed), of_seed(told[name].config, seed))
    rows: dict[str, list[Measured]] = {name: [] for name in variants}
    for seed in seeds:
        for name, variant in variants.items():
            rows[name].append(member(variant._replace(seed=seed), folder_of(workdir, name, seed), told[name], ruler, host))
            if len(rows[name]) == len(seeds):
                first = partial(finished, variant._replace(seed=seeds[0]), folder_of(workdir, name, seeds[0]), host)
                yield name, first, jax.tree.map(lambda *each: np.stack(each), *rows[name])


def finished(experiment: Experiment, folder: Path, host: Host) -> Trained:
    """A run that has come to its end, read from its folder."""
    return fit(experiment, folder, host).trained


class Told(NamedTuple):
    """What is known of a variant before it is trained, the same for all seeds.

    config:      what `fit` writes of its run.
    measurement: what decides the numbers that are measured, beside the run.
    model:       one object for all seeds, so that the measurement is traced once.
    """

    config: dict[str, Any]
    measurement: dict[str, Any]
    model: Model


def told_of(name: str, variant: Experiment, ruler: Ruler, host: Host) -> Told:
    """What is known of a variant; its step and its measurement are traced, nothing is computed."""
    with variant_named(name):
        plan = planned(variant)
        config = config_of(plan, host)
        trained = jax.eval_shape(plan.trained, jax.eval_shape(plan.start))
    examples, whole = ruler.examples, ruler.whole
    program = measurement_program(trained, examples, samples=ruler.samples, rates=ruler.rates)
    measurement = {
        "program": program_digests(program)["step"],
        "examples": tree_sha256({"x": whole.x, "context": whole.context, "labels": whole.labels}),
        "samples": ruler.samples,
        "limit": len(jax.tree.leaves(examples.x)[0]),
        "scores": sorted(ruler.scores),
        "versions": config["versions"],
    }
    return Told(config, measurement, plan.model)


def of_seed(config: Mapping[str, Any], seed: int | Key) -> dict[str, Any]:
    """What is written of the same run from another seed."""
    return {**config, "run": {**config["run"], "seed": seed_as_json(seed)}}


def require_kept_alike(name: str, folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse, before anything is trained, a folder that holds another run; the error begins with the variant's name.

    What cannot be compared, since the versions of the packages differ, `fit` warns of.
    """
    if not (folder / CONFIG).exists():
        return
    refused, _ = differences(read_config(folder), json.loads(json.dumps(config)))
    if refused:
        raise RunError(f"{name}: {folder} holds another run: {'; '.join(refused)}; use the old value or another workdir.")


def member(experiment: Experiment, folder: Path, told: Told, ruler: Ruler, host: Host) -> Measured:
    """What is kept of a run, if it is of the same run and measured alike; else train or go on, measure, keep."""
    run = of_seed(told.config, experiment.seed)["run"]
    wanted = json.loads(json.dumps({"run": run, "digests": told.config["digests"], **told.measurement}))
    path = folder / MEASUREMENTS
    found = read_json(path) if path.exists() else None
    if found is not None and found["of"] == wanted:
        return from_json(found["numbers"])
    if found is not None:
        logger.warning(f"{folder} is measured again: {'; '.join(changes(found['of'], wanted))}.")
    fitted = fit(experiment, folder, host)
    if fitted.signal is not None:
        stop(fitted.signal, folder)
    numbers = jax.tree.map(lambda leaf: leaf[0], measured_by(ruler, [fitted.trained.replace(model=told.model)]))
    write_json(path, {"of": wanted, "numbers": as_json(numbers)})
    return numbers


def stop(number: int, folder: Path) -> None:
    """Leave after a signal, as Python does: KeyboardInterrupt for Ctrl-C, else an exit with the signal's code."""
    logger.warning(f"{folder} is stopped by signal {number}; the same call goes on with it.")
    if Signals(number) == SIGINT:
        raise KeyboardInterrupt
    raise StoppedError(exit_code(number))


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """In what two measurements differ, in words: the values of what a person gave, the names of what is digested."""
    given = ("samples", "limit", "scores")
    before, now = ({**of["run"], **{name: of[name] for name in given}} for of in (old, new))
    changed = [f"{name} was {before.get(name)} and is {now[name]}" for name in now if before.get(name) != now[name]]
    words = {"examples": "the test examples are others", "versions": "the packages have other versions"}
    digested = [sentence for name, sentence in words.items() if old.get(name) != new.get(name)]
    return changed + digested or ["it is another program that measures"]


def as_json(numbers: Measured) -> dict[str, Any]:
    """The numbers of one run as lists; a float64 survives the way through JSON unchanged, NaN and infinities as text."""
    return jax.tree.map(lambda leaf: [x if np.isfinite(x) else str(x) for x in np.ravel(leaf).tolist()], numbers._asdict())


def from_json(numbers: Mapping[str, Any]) -> Measured:
    """`as_json`, read back."""
    rows = {name: np.array(list(map(float, values))) for name, values in numbers.items() if name != "scores"}
    return Measured(**rows, scores={name: np.asarray(float(value)) for name, (value,) in numbers["scores"].items()})
