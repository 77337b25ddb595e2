"""Timing on a machine that others use too: interleaved rounds, the fastest of them, and the median of ratios within a round.

Absolute times on a shared machine swing by a factor of two or three; a ratio of two times taken one after the other does not.
"""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

Run = Callable[[int], None]
"""run(steps): take that many steps, and return when they are done."""


class Times(NamedTuple):
    """Seconds per step of one contestant, one entry per round."""

    rounds: tuple[float, ...]

    @property
    def fastest(self) -> float:
        """The round with the least disturbance."""
        return min(self.rounds)

    @property
    def median(self) -> float:
        """The usual round."""
        return float(np.median(self.rounds))


class Ratio(NamedTuple):
    """How many times faster one contestant is than another.

    fastest: the ratio of their fastest rounds.
    median:  the median of the ratios of paired rounds.
    """

    fastest: float
    median: float


def seconds_of(run: Run, steps: int) -> float:
    """Wall time of a number of steps."""
    start = time.perf_counter()
    run(steps)
    return time.perf_counter() - start


def steps_for(run: Run, seconds: float, multiple: int = 1) -> int:
    """How many steps last about so long, a multiple of a chunk: from one chunk, after one that compiles."""
    run(multiple)
    each = seconds_of(run, multiple) / multiple
    return multiple * max(1, round(seconds / each / multiple))


def interleave(runs: Mapping[str, Run], steps: Mapping[str, int], rounds: int) -> dict[str, Times]:
    """Time all runs in turn, once per round, beginning each round with another one."""
    names, taken = list(runs), {name: [] for name in runs}
    for round_ in range(rounds):
        first = round_ % len(names)
        for name in (*names[first:], *names[:first]):
            taken[name].append(seconds_of(runs[name], steps[name]) / steps[name])
    return {name: Times(tuple(values)) for name, values in taken.items()}


def ratio(ours: Times, theirs: Times) -> Ratio:
    """By how much we are faster: their time over ours."""
    paired = np.asarray(theirs.rounds) / np.asarray(ours.rounds)
    return Ratio(fastest=theirs.fastest / ours.fastest, median=float(np.median(paired)))
