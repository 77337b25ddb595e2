"""The work directory of a run: what it holds, who may write to it, and whether a command is the run that it holds."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vae.training.provenance import finite, read_json, write_json

FORMAT = 1
CONFIG, PROVENANCE, METRICS, SUMMARY = "config.json", "provenance.json", "metrics.jsonl", "summary.json"
CHECKPOINTS, FIGURES, EVENTS, LOCK = "checkpoints", "figures", "tensorboard", ".lock"


class RunError(ValueError):
    """A work directory that cannot be used, in one sentence."""


@contextlib.contextmanager
def open_run(workdir: str | Path, config: dict[str, Any]) -> Iterator[Path]:
    """Hold a directory as the work directory of the run that `config` describes: a new one, or the run that it already is.

    Raises RunError for a directory that cannot be written, holds something that is not a run, holds another run, or is held by
    another process; nothing in it has changed then. Another run is named by the first field that differs, with its old and its
    new value. `steps` alone may rise: a schedule that depends on it differs itself.

    A new run that fails before it has recorded anything leaves no claim on the directory: what it made is removed.
    """
    workdir = Path(workdir)
    config = finite({"format": FORMAT, **config})
    if not (workdir / CONFIG).exists():
        _require_empty(workdir)
    with _locked(workdir):
        new = not (workdir / CONFIG).exists()
        if not new:
            require_same_run(workdir, read_json(workdir / CONFIG), config)
        try:
            write_json(workdir / CONFIG, config)
            yield workdir
        except Exception:
            if new and not _has_begun(workdir):
                _remove_own(workdir)
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


def _remove_own(workdir: Path) -> None:
    """Remove what a run makes, and the directory itself where nothing else is in it."""
    for name in (CONFIG, PROVENANCE, METRICS, LOCK):
        (workdir / name).unlink(missing_ok=True)
    for name in (CHECKPOINTS, FIGURES, EVENTS):
        shutil.rmtree(workdir / name, ignore_errors=True)
    with contextlib.suppress(OSError):
        workdir.rmdir()


def require_same_run(workdir: Path, old: dict, new: dict) -> None:
    """Raise RunError where two configurations differ in anything but a raised number of steps."""
    before, now = flatten(old), flatten(new)
    for name in [*before, *(n for n in now if n not in before)]:
        was, is_now = before.get(name), now.get(name)
        raised = name.rpartition(".")[2] == "steps" and was is not None and is_now is not None and is_now >= was
        if was != is_now and not raised:
            raise RunError(
                f"{workdir} holds another run: {name} is {was!r} there, {is_now!r} now; use the old value or another workdir."
            )


def read_config(workdir: str | Path) -> dict[str, Any]:
    """The configuration of a run; RunError for a directory that holds none."""
    path = Path(workdir) / CONFIG
    if not path.is_file():
        raise RunError(f"{workdir} is not a run: it has no {CONFIG}; give the work directory of a training run.")
    return read_json(path)


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


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}, in order; the names of the experiment's own fields stand bare, as its flags do."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        inner = "" if not prefix and name == "experiment" else f"{prefix}{name}."
        flat |= flatten(value, inner) if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
