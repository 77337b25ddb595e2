"""The work directory of a run: what it holds, who may write to it, and whether a command is the run that it holds."""

import contextlib
import fcntl
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vae.training.provenance import finite, read_json, write_json
from vae.training.sameness import differences

FORMAT = 3
BERNOULLI_BY_DEFAULT = ("vae.models.presets:mlp", "vae.models.presets:convolutional")
"""Models whose likelihood was Bernoulli up to format 2, where the run did not name one; since then the data choose it."""
CONFIG, PROVENANCE, METRICS, SUMMARY = "config.json", "provenance.json", "metrics.jsonl", "summary.json"
CHECKPOINTS, FIGURES, EVENTS, LOCK = "checkpoints", "figures", "tensorboard", ".lock"


class RunError(ValueError):
    """A work directory that cannot be used, in one sentence."""


class Opened(NamedTuple):
    """A work directory that is held.

    directory: of the run.
    new:       whether nothing was there before.
    notes:     in what the run that is there differs from the one that is asked for, where it was let pass.
    """

    directory: Path
    new: bool
    notes: list[str]


@contextlib.contextmanager
def open_run(workdir: str | Path, config: dict[str, Any], resume: str = "same") -> Iterator[Opened]:
    """Hold a directory as the work directory of the run that `config` describes: a new one, or the run that it already is.

    resume: "same" refuses another run, "anyway" goes on with what is there.

    Raises RunError for a directory that cannot be written, holds something that is not a run, holds another run, or is held by
    another process; nothing in it has changed then. Another run is told by what it computes; the sentence says what differs.
    `steps` alone may rise. What cannot be compared, since the versions of the packages differ, is warned of.

    A new run that fails before it has recorded anything leaves no claim on the directory: what it made is removed. A run that
    cannot go on with what is there, its checkpoint being of another shape, leaves the configuration that was there.
    """
    workdir = Path(workdir)
    config = finite({"format": FORMAT, **config})
    if not (workdir / CONFIG).exists():
        _require_empty(workdir)
    with _locked(workdir):
        new = not (workdir / CONFIG).exists()
        notes = [] if new else require_same_run(workdir, read_config(workdir), config, resume)
        before = {} if new else {name: _bytes_of(workdir / name) for name in (CONFIG, PROVENANCE)}
        try:
            write_json(workdir / CONFIG, config)
            yield Opened(workdir, new, notes)
        except Exception:
            if new and not _has_begun(workdir):
                _remove_own(workdir)
            if before and before[PROVENANCE] == _bytes_of(workdir / PROVENANCE):  # which is written before the first step
                (workdir / CONFIG).write_bytes(before[CONFIG])
            raise


def _require_empty(workdir: Path) -> None:
    """Raise RunError for a directory with anything in it; one that does not exist is empty."""
    others = sorted(p.name for p in workdir.iterdir() if p.name != LOCK) if workdir.is_dir() else []
    if others:
        raise RunError(
            f"{workdir} is not a run: it has no {CONFIG} but holds {others[0]!r}; choose a new or an empty directory."
        )


def _has_begun(workdir: Path) -> bool:
    """Whether there is a record or a checkpoint, so that there is something to lose."""
    metrics, checkpoints = workdir / METRICS, workdir / CHECKPOINTS
    return (metrics.exists() and metrics.stat().st_size > 0) or (checkpoints.is_dir() and any(checkpoints.iterdir()))


def _bytes_of(path: Path) -> bytes:
    """What a file holds, nothing where there is none."""
    return path.read_bytes() if path.is_file() else b""


def _remove_own(workdir: Path) -> None:
    """Remove what a run makes, and the directory itself where nothing else is in it."""
    for name in (CONFIG, PROVENANCE, METRICS, LOCK):
        (workdir / name).unlink(missing_ok=True)
    for name in (CHECKPOINTS, FIGURES, EVENTS):
        shutil.rmtree(workdir / name, ignore_errors=True)
    with contextlib.suppress(OSError):
        workdir.rmdir()


def require_same_run(workdir: Path, old: dict, new: dict, resume: str = "same") -> list[str]:
    """What differs between two configurations and is let pass, with a warning; RunError where it is another run."""
    if resume not in ("same", "anyway"):
        raise ValueError(f"resume is {resume!r}; wanted 'same' or 'anyway'.")
    refused, warned = differences(old, new)
    if refused and resume == "same":
        raise RunError(
            f"{workdir} holds another run: {'; '.join(refused)}; use the old value or another workdir, "
            'or resume it anyway (resume="anyway", on the command line --resume anyway).'
        )
    if warned:
        sentence = f"whether the run in {workdir} is the same cannot be told: {'; '.join(warned)}."
        warnings.warn(sentence, RuntimeWarning, stacklevel=6)
    return refused + warned


def read_config(workdir: str | Path) -> dict[str, Any]:
    """The configuration of a run in the present format; RunError for a directory that holds none."""
    path = Path(workdir) / CONFIG
    if not path.is_file():
        raise RunError(f"{workdir} is not a run: it has no {CONFIG}; give the work directory of a training run.")
    return migrated(read_json(path), path)


def migrated(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """A configuration of an earlier format in the present one; RunError for one of a later version.

    Format 1 kept the flags of the script under "experiment" and the numbers of the run under "fit", and no digests. Up to
    format 2 a preset's model was a Bernoulli one where no likelihood was named, and experiments.train had no std but 1.
    """
    found = config.get("format")
    if found == FORMAT:
        return config
    if found == 2:
        return {**config, "format": FORMAT, "origin": with_std(config["origin"]), "model": with_bernoulli(config["model"])}
    if found != 1:
        raise RunError(f"{path} has format {found!r}, this version reads up to {FORMAT}; update vae to use that run.")
    flags = {name: value for name, value in config["experiment"].items() if name not in ("data_sha256", "init_from")}
    script = {
        "function": "experiments.train:experiment",
        "config": "experiments.train:Config",
        "arguments": flags,
        "report": None,
    }
    run = {name: value for name, value in config["fit"].items() if name not in ("schedules", "key")}
    run["seed"] = seed_of_words(config["fit"]["key"])
    data = {name: value for name, value in config["data"].items() if name != "size"}
    return {
        "format": FORMAT,
        "origin": with_std(script) if flags else None,
        "model": with_bernoulli(config["model"]),
        "run": run,
        "data": data,
        "precision": {},
        "digests": None,
        "versions": {},
    }


def with_bernoulli(model: dict[str, Any] | None) -> dict[str, Any] | None:
    """The reference to a preset's model with the likelihood that it had where it names none; any other as it is."""
    if model is None or model["function"] not in BERNOULLI_BY_DEFAULT:
        return model
    return {**model, "arguments": {"likelihood": "bernoulli", **model["arguments"]}}


def with_std(origin: dict[str, Any] | None) -> dict[str, Any] | None:
    """The flags of experiments.train with the standard deviation that its likelihood "normal" had; any others as they are."""
    if (
        origin is None
        or origin["function"] != "experiments.train:experiment"
        or origin["arguments"].get("likelihood") != "normal"
    ):
        return origin
    return {**origin, "arguments": {"std": 1.0, **origin["arguments"]}}


def seed_of_words(words: list[int]) -> int | list[int]:
    """The seed whose key has these words; the words themselves where it is no plain one."""
    return (words[0] << 32) + words[1] if len(words) == 2 else words


@contextlib.contextmanager
def _locked(workdir: Path) -> Iterator[None]:
    """Hold the directory for this process; RunError where another one trains in it. The system frees it however we end."""
    with contextlib.ExitStack() as stack:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((workdir / LOCK).open("a"))
        except OSError as error:
            raise RunError(
                f"{workdir} cannot be written ({error.strerror}); choose a directory that you may write to."
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"another process is training in {workdir}; wait for it, or choose another workdir.") from error
        yield
