"""A loss in words: the equation with every weight, reduction and unit, and what other libraries would have to be told."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from vae.spec import Data
from vae.types import Objective, Summand

Weights = Mapping[str, float]


def describe(
    objective: Objective,
    *,
    settings: Weights | None = None,
    schedules: Mapping[str, Callable] | None = None,
    data: Data | None = None,
    std: float = 1.0,
    batch_size: int | None = None,
    examples: int | None = None,
    file: IO[str] | None = None,
) -> None:
    """Print the loss as an equation; see `description`, which returns the text."""
    text = description(
        objective, settings=settings, schedules=schedules, data=data, std=std, batch_size=batch_size, examples=examples
    )
    print(text, file=file)


def description(
    objective: Objective,
    *,
    settings: Weights | None = None,
    schedules: Mapping[str, Callable] | None = None,
    data: Data | None = None,
    std: float = 1.0,
    batch_size: int | None = None,
    examples: int | None = None,
) -> str:
    """The loss that an objective composes, every weight as this run has it, and the weights that give the same loss elsewhere.

    settings, schedules: as given to `vae.fit`.
    data:                its shape says over how many numbers other libraries average; without it nothing is translated.
    std:                 of a Gaussian likelihood, if that is what the model has.
    batch_size, examples: of the run; with both, PyTorch-VAE's own choice batch_size / examples is translated back.

    Raises ValueError for an objective without `summands`.
    """
    if not objective.summands:
        raise ValueError("the objective has no summands, so there is nothing to describe; fill in Objective.summands.")
    levels = dict(settings or {})
    equation = ["loss = " + "\n     ".join(_term(summand) for summand in objective.summands if summand.unit)]
    notes = [summand.text for summand in objective.summands if not summand.unit]
    rows = [("term", "weight", "reduction", "unit")]
    rows += [_row(summand, levels, schedules or {}) for summand in objective.summands if summand.unit]
    parts = ["\n".join(equation + notes), _table(rows)]
    if data is not None:
        parts.append(_elsewhere(objective.summands, levels, math.prod(data.shape), std, batch_size, examples))
    return "\n\n".join(parts)


def _term(summand: Summand) -> str:
    return f"{summand.sign} {summand.weight + ' * ' if summand.weight else ''}{summand.text}"


def _row(summand: Summand, levels: Weights, schedules: Mapping[str, Callable]) -> tuple[str, str, str, str]:
    """One term: what it is, its weight in this run, how it is reduced, its unit."""
    named = ((summand.weight, summand.level),) if summand.weight else ()
    weights = ", ".join(_number(name, default, levels, schedules) for name, default in named + summand.numbers)
    return summand.text, weights or "1", summand.reduction, summand.unit


def _number(name: str, default: float, levels: Weights, schedules: Mapping[str, Callable]) -> str:
    """A setting with its value in this run, and its schedule."""
    given = f"{levels[name]:g}" if name in levels else f"{default:g} (default)"
    schedule = f" times {getattr(schedules[name], 'name', 'a schedule')}" if name in schedules else ""
    return f"{name} = {given}{schedule}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _level(summand: Summand, levels: Weights) -> float:
    return float(levels.get(summand.weight, summand.level))


def _elsewhere(
    summands: Sequence[Summand], levels: Weights, numbers: int, std: float, batch_size: int | None, examples: int | None
) -> str:
    """The weights that other libraries need for the same optimum.

    pythae sums the reconstruction over the event: binary cross-entropy, or half the squared error. PyTorch-VAE averages it over
    the batch and the D numbers of an event beside a KL that is summed: the squared error. So this loss is theirs times

        pythae:      1 (Bernoulli), 1 / std^2 (Gaussian)
        PyTorch-VAE: D (Bernoulli, by their convention), D / (2 std^2) (Gaussian)

    and their weight is ours divided by that.
    """
    likelihood = [_level(summand, levels) for summand in summands if summand.weight == "likelihood"]
    if not likelihood or likelihood[0] == 0:
        return "This loss has no log-likelihood of its own, so no weight beside a reconstruction error is equal to it."
    scales = {
        "Bernoulli": (1.0, float(numbers)),
        f"Gaussian, std {std:g}": (std**-2, 0.5 * numbers * std**-2),
    }
    rows = [("the same weight in", "likelihood", "pythae", "PyTorch-VAE")]
    for summand in (s for s in summands if s.weight and s.weight != "likelihood"):
        for family, divisors in scales.items():
            weight = _level(summand, levels) / likelihood[0]
            summed, averaged = (f"{weight / divisor:.4g}" for divisor in divisors)
            rows.append((summand.weight, family, summed, averaged))
    lines = [
        f"Elsewhere, for an event of {numbers} numbers. pythae sums the reconstruction error over the event: cross-entropy, or",
        "0.5 times the squared error (releases without that 0.5 need twice the Gaussian weight). PyTorch-VAE averages it over",
        "the event, beside a KL summed over the latents; its weight is called kld_weight.",
        _table(rows),
    ]
    if batch_size and examples:
        back = batch_size / examples * numbers * 0.5 * std**-2
        lines.append(
            f"PyTorch-VAE's own kld_weight, batch / examples = {batch_size / examples:.4g}, is beta = {back:.4g} here "
            f"(Gaussian, std {std:g})."
        )
    return "\n".join(lines)
