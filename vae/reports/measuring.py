"""What a comparison measures of every run, and how it says of which variant an error is."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae.evaluation.comparison import Measured, measure
from vae.evaluation.examples import Examples
from vae.rates import Rates
from vae.trained import Trained

Score = Callable[[Trained, Examples], Any]


class Ruler(NamedTuple):
    """What all runs of a comparison are measured by.

    examples: those of the bounds, the same for all.
    whole:    those that the scores see.
    samples:  importance samples per example.
    rates:    what a latent group costs.
    scores:   by name, functions of a run and the examples.
    """

    examples: Examples
    whole: Examples
    samples: int
    rates: Rates
    scores: Mapping[str, Score]


class Runs(Mapping[str, Trained]):
    """Trained runs by name, each made when it is asked for: what was kept on disk is read only where it is looked at."""

    def __init__(self, makers: Mapping[str, Callable[[], Trained]]):
        self._makers = dict(makers)

    def __getitem__(self, name: str) -> Trained:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def measured_by(ruler: Ruler, runs: Sequence[Trained]) -> Measured:
    """The numbers of some runs, with a leading axis of runs."""
    numbers = measure(runs, ruler.examples, samples=ruler.samples, rates=ruler.rates)
    return numbers._replace(scores=numbers.scores | scored(runs, ruler.whole, ruler.scores))


def scored(runs: Sequence[Trained], examples: Examples, scores: Mapping[str, Score]) -> dict[str, np.ndarray]:
    """The scores of every run, by name."""
    rows = [
        {key: number for name, score in scores.items() for key, number in by_name(name, score(run, examples)).items()}
        for run in runs
    ]
    return {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}


def by_name(name: str, value: Any) -> dict[str, float]:
    """A number by its name; those of a mapping by the name and their key."""
    if isinstance(value, Mapping):
        return {f"{name}_{key}": float(number) for key, number in value.items()}
    return {name: float(value)}


@contextlib.contextmanager
def variant_named(name: str) -> Iterator[None]:
    """Say of which variant an error is."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}: {error}") from error
