"""What the runs of a sweep say side by side: means over seeds with their errors, as a table and as a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae.evaluation.arrays import standard_error
from vae.evaluation.comparison import markdown_table
from vae.training.records import numbers

EXCLUDED = ("skipped_steps",)


def last_numbers(member: Any) -> dict[str, float]:
    """The single numbers of a member's last validation; of its last training record where it has none."""
    validated = [record for record in member.records if record["split"] == "validation"]
    records = validated or member.records
    return {name: value for name, value in numbers(records[-1]).items() if name not in EXCLUDED} if records else {}


def by_settings(members: Sequence[Any]) -> dict[tuple, list]:
    """The members of each combination of settings, in order."""
    groups: dict[tuple, list] = {}
    for member in members:
        groups.setdefault(tuple(member.settings.items()), []).append(member)
    return groups


def mean_and_error(values: Sequence[float]) -> str:
    """The mean over seeds, +- its standard error where there are two or more."""
    text = f"{np.mean(values):.3f}"
    return text if len(values) < 2 else f"{text} ± {standard_error(values):.3f}"


def table_of(members: Sequence[Any], metric: str | None = None) -> str:
    """A Markdown table with a row for each combination of settings.

    metric: the only number to show; None for all that every member has.
    """
    found = [last_numbers(member) for member in members]
    if metric is not None and metric not in found[0]:
        raise ValueError(f"the runs have no number {metric!r}; wanted one of {', '.join(found[0])}.")
    shown = [metric] if metric else [name for name in found[0] if all(name in each for each in found)]
    of = {id(member): each for member, each in zip(members, found, strict=True)}
    rows = []
    for settings, group in by_settings(members).items():
        cells = [mean_and_error([of[id(member)][name] for member in group]) for name in shown]
        rows.append([*(f"{level:g}" for _, level in settings), str(len(group)), *cells])
    return markdown_table([*members[0].settings, "seeds", *shown], rows)


def figure_of(members: Sequence[Any], metric: str) -> Any:
    """The metric of every combination of settings: a bar of one standard error over seeds, and a mark for each seed."""
    from vae.visualise.comparisons import intervals

    rows = [
        row_of(dict(settings), [last_numbers(member)[metric] for member in group])
        for settings, group in by_settings(members).items()
    ]
    return intervals({metric: rows}, "Runs of a sweep", note="bars: one standard error over seeds")


def row_of(settings: Mapping[str, float], values: Sequence[float]) -> Any:
    """One combination of settings as a row of the figure."""
    from vae.visualise.comparisons import Interval

    label = ", ".join(f"{name} {level:g}" for name, level in settings.items()) or "all"
    error = float(standard_error(values)) if len(values) > 1 else 0.0
    return Interval(label, float(np.mean(values)), error, tuple(values))
