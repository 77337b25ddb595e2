"""Where the numbers of a run go: JSON lines, TensorBoard, Weights & Biases."""

import contextlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vae.training.provenance import finite

Record = dict[str, Any]


@runtime_checkable
class Writer(Protocol):
    """Somewhere that records go."""

    def write(self, record: Record) -> None:
        """Take one record: {"step": ..., "split": ..., numbers by name}."""
        ...

    def close(self) -> None:
        """Put everything in its place."""
        ...


class JsonLines:
    """One JSON object per line. Lines after `step` are dropped first: a resumed run writes them again, equal or not at all."""

    def __init__(self, path: Path, step: int):
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(_line(record) for record in records_until(path, step)))
        temporary.replace(path)
        self.file = path.open("a")

    def write(self, record: Record) -> None:
        """Append a line, and see that it leaves this process."""
        self.file.write(_line(record))
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class TensorBoard:
    """Event files, written without TensorFlow; steps after `step` of an interrupted run are purged."""

    def __init__(self, directory: Path, step: int):
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(str(directory), purge_step=step + 1 if step else None)

    def write(self, record: Record) -> None:
        """One scalar per number, under the record's split."""
        for name, value in numbers(record).items():
            self.writer.add_scalar(f"{record['split']}/{name}", value, record["step"])

    def close(self) -> None:
        """Flush and close the event file."""
        self.writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases (optional extra `wandb`), continued under the same id when it is resumed."""

    def __init__(self, project: str, name: str, config: Record):
        try:
            import wandb
        except ImportError as error:
            raise ValueError("Weights & Biases is not installed; wanted the extra: pip install 'vae[wandb]'.") from error
        self.run = wandb.init(project=project, name=name, id=name, resume="allow", config=config)

    def write(self, record: Record) -> None:
        """One point per number, under the record's split."""
        self.run.log({f"{record['split']}/{k}": v for k, v in numbers(record).items()}, step=record["step"])

    def close(self) -> None:
        """Finish the run."""
        self.run.finish()


def read_records(path: Path) -> list[Record]:
    """The records of a JSON-lines file; [] where there is none. A last line cut off by a kill is left out."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            records.append(json.loads(line))
    return records


def records_until(path: Path, step: int) -> list[Record]:
    """The records of a file up to a step, that one included."""
    return [record for record in read_records(path) if record["step"] <= step]


def numbers(record: Record) -> dict[str, int | float]:
    """What can be drawn of a record: its finite numbers, by name."""
    return {k: v for k, v in record.items() if k not in ("step", "split") and isinstance(v, int | float) and math.isfinite(v)}


def write_all(writers: Iterable[Writer], record: Record) -> None:
    """Give a record to every writer."""
    for writer in writers:
        writer.write(record)


def _line(record: Record) -> str:
    return json.dumps(finite(record), allow_nan=False) + "\n"
