"""The work directory of a run: what it holds, who may write to it, and whether a command is the run that it holds."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vae.training.provenance import finite, read_json, write_json

FORMAT = 1
CONFIG, PROVENANCE, METRICS, SUMMARY = "config.json", "provenance.json", "metrics.jsonl", "summary.json"
CHECKPOINTS, FIGURES, EVENTS, LOCK = "checkpoints", "figures", "tensorboard", ".lock"


class RunError(ValueError):
    """A work directory that cannot be used, in one sentence."""


def open_run(workdir: str | Path, config: dict[str, Any]) -> Path:
    """Make a directory the work directory of the run that `config` describes, or find that it already is.

    Raises RunError for a directory that cannot be written, holds something that is not a run, or holds another run; the last
    names each field that differs with its old and its new value. `steps` alone may rise: a schedule that depends on it differs
    itself.
    """
    workdir = Path(workdir)
    config = finite({"format": FORMAT, **config})
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        (workdir / LOCK).touch()
    except OSError as error:
        raise RunError(f"{workdir} cannot be written ({error.strerror}); choose a directory that you may write to.") from error
    if (workdir / CONFIG).exists():
        require_same_run(workdir, read_json(workdir / CONFIG), config)
    elif others := sorted(p.name for p in workdir.iterdir() if p.name != LOCK):
        (workdir / LOCK).unlink()
        raise RunError(
            f"{workdir} is not a run: it has no {CONFIG} but holds {others[0]!r}; choose a new or an empty directory."
        )
    write_json(workdir / CONFIG, config)
    return workdir


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
def locked(workdir: Path) -> Iterator[None]:
    """Hold the directory for this process; RunError where another one trains in it. The system frees it however we end."""
    with (workdir / LOCK).open("a") as file:
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
