"""What a run leaves behind while it trains: records, checkpoints and figures; nothing, where it has no directory."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from vae.training import workdir as files
from vae.training.checkpoint import Checkpoints
from vae.training.provenance import git_state, provenance, read_json, write_json
from vae.training.records import JsonLines, Record, TensorBoard, Writer, records_until, write_all
from vae.training.state import TrainState, as_levels

Pending = dict[str, list]


@dataclass
class Journal:
    """The records of a run, the writers that take them, and its checkpoints.

    directory:   the work directory, None where nothing is kept.
    checkpoints: None where nothing is kept.
    extra:       writers of the user's own.
    provenance:  what the user knows of where the run comes from.
    records:     all records up to now.
    """

    directory: Path | None
    checkpoints: Checkpoints | None
    extra: Sequence[Writer]
    provenance: Mapping[str, Any]
    records: list[Record] = field(default_factory=list)
    writers: tuple[Writer, ...] = ()

    def restore(self, start: Callable[[], TrainState], settings: Mapping[str, Any]) -> tuple[TrainState, Pending]:
        """The state to go on from and the metrics of its unfinished window: those of the latest whole checkpoint, or the first.

        The settings are those given, which for the same run are those saved. Records of later steps are dropped, since
        their steps are about to be taken again.
        """
        state, pending = None, {}
        if self.checkpoints is not None and self.checkpoints.latest_step() is not None:
            template = jax.eval_shape(start)._replace(settings={})
            restored = self.checkpoints.restore(template, partial=True)
            state, pending = restored.state._replace(settings=as_levels(settings)), restored.notes.get("pending", {})
        state = start() if state is None else state
        if self.directory is not None:
            self.records = records_until(self.directory / files.METRICS, int(state.step))
        return state, pending

    def begin(self, step: int) -> None:
        """Say that steps are about to be taken from `step` on: note it in the provenance, and open the writers.

        A run that is finished already is not touched by being started again.
        """
        if self.directory is None:
            return
        record_start(self.directory / files.PROVENANCE, step, self.provenance)
        self.writers = (JsonLines(self.directory / files.METRICS, step), TensorBoard(self.directory / files.EVENTS, step))

    def write(self, record: Record) -> None:
        """Keep a record and give it to every writer."""
        self.records.append(record)
        write_all((*self.writers, *self.extra), record)

    def save(self, step: int, state: TrainState, score: float | None, notes: Mapping[str, Any]) -> None:
        """Save a checkpoint, once per step."""
        if self.checkpoints is not None and self.checkpoints.latest_step() != step:
            self.checkpoints.save(step, state, score=score, notes=notes)

    def draw(self, name: str, figure: Any) -> None:
        """Save a figure under its name."""
        if self.directory is not None:
            from vae.visualise import save

            save(figure, self.directory / files.FIGURES / f"{name}.png")

    def close(self) -> None:
        """Close every writer."""
        for writer in (*self.writers, *self.extra):
            writer.close()


@contextlib.contextmanager
def open_journal(
    workdir: str | Path | None,
    config: Mapping[str, Any] | None,
    extra_provenance: Mapping[str, Any] | None,
    writers: Sequence[Writer] = (),
    resume: str = "same",
) -> Iterator[Journal]:
    """The journal of the run that `config` describes, closed and waited for however the block is left.

    workdir: None for a run that keeps nothing.
    """
    with contextlib.ExitStack() as stack:
        directory = checkpoints = None
        extra = dict(extra_provenance or {})
        if workdir is not None:
            opened = stack.enter_context(files.open_run(workdir, dict(config or {}), resume))
            directory = opened.directory
            extra |= {"differences": opened.notes} if opened.notes else {}
            (directory / files.FIGURES).mkdir(exist_ok=True)
            checkpoints = stack.enter_context(Checkpoints(directory / files.CHECKPOINTS))
        journal = Journal(directory, checkpoints, writers, extra)
        stack.callback(journal.close)
        yield journal


def record_start(path: Path, step: int, extra: Mapping[str, Any]) -> None:
    """Write where a run comes from; for one that is resumed, add when, at which step and with which code."""
    if step == 0 or not path.exists():
        facts = {"data_sha256": None, "evaluation_protocol": None} | dict(extra)
        write_json(path, provenance(sys.argv, **facts) | {"resumed": []})
        return
    found = read_json(path)
    again = {"step": step, "command": sys.argv, **git_state(), "started_utc": datetime.now(UTC).isoformat(timespec="seconds")}
    again |= {"differences": extra["differences"]} if "differences" in extra else {}
    write_json(path, found | {"resumed": [*found.get("resumed", []), again]})
