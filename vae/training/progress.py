"""The progress bar."""

import contextlib
from collections.abc import Callable, Iterator

from vae.training.records import Record

Advance = Callable[[int, Record], None]


@contextlib.contextmanager
def progress_bar(first: int, last: int, *, enabled: bool = True) -> Iterator[Advance]:
    """advance(step, record) draws step, rate, ELBO, KL and the time left; nothing where not enabled."""
    if not enabled or first >= last:
        yield lambda step, record: None
        return
    from rich import progress
    from rich.table import Column

    columns = (
        progress.TextColumn("[bold]step"),
        progress.MofNCompleteColumn(),
        progress.BarColumn(bar_width=None, table_column=Column(ratio=1)),  # the numbers first, the bar takes what is left
        progress.TextColumn("{task.fields[numbers]}"),
        progress.TimeRemainingColumn(elapsed_when_finished=True),
    )
    with progress.Progress(*columns, expand=True) as bar:
        task = bar.add_task("train", total=last, completed=first, numbers="compiling")

        def advance(step: int, record: Record) -> None:
            bar.update(task, completed=step, numbers=headline(record))

        yield advance


def headline(record: Record) -> str:
    """The numbers beside the bar; where there is no ELBO the score stands there, and none for what was not finite."""
    names = {"ELBO": "elbo", "score": "score", "KL": "kl", "rate": "rate"}
    values = {label: record[name] for label, name in names.items() if name in record}
    shown = "  ".join(f"{label} {'none':>8}" if value is None else f"{label} {value:8.2f}" for label, value in values.items())
    return f"{shown}  {record['images_per_second']:8,.0f} images/s"
