"""Functions of the step, each with its own horizon.

A schedule is a SHAPE, the factor by which a setting is multiplied at a step: `beta = settings["beta"] * schedule(step)`. The
level stays a traced leaf of the train state, so a sweep over levels shares one compiled program; the shape is part of that
program. `horizon(schedule)` is the step after which a shape no longer changes: a warm-up that ends after training does is
refused with its help.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


class Schedule(NamedTuple):
    """A shape and the step at which it ends; None where it never changes.

    Calling it gives the factor at a step, traced or not.
    """

    factor: Callable
    horizon: int | None
    name: str

    def __call__(self, step) -> Array:
        """The factor at `step`."""
        return self.factor(step)


def constant(value: float = 1.0) -> Schedule:
    """value, at every step."""
    return Schedule(lambda step: jnp.full((), value), None, f"constant({value})")


def linear(steps: int, start: float = 0.0, end: float = 1.0) -> Schedule:
    """From start to end in a straight line over `steps`, then end: start + (end - start) t with t = step / steps."""
    return _over(steps, lambda t: start + (end - start) * t, f"linear({steps}, {start}, {end})")


def cosine(steps: int, start: float = 1.0, end: float = 0.0) -> Schedule:
    """end + (start - end) (1 + cos(pi t)) / 2 with t = step / steps, then end. (Loshchilov & Hutter 2017, eq. 5.)"""
    return _over(steps, lambda t: end + (start - end) * 0.5 * (1.0 + jnp.cos(jnp.pi * t)), f"cosine({steps}, {start}, {end})")


def exponential(steps: int, start: float, end: float) -> Schedule:
    """start^(1 - t) end^t with t = step / steps: a straight line in the logarithm, then end."""
    if start <= 0 or end <= 0:
        raise ValueError(f"exponential got start {start} and end {end}; wanted both positive: use linear to reach zero.")
    return _over(steps, lambda t: start * jnp.exp(np.log(end / start) * t), f"exponential({steps}, {start}, {end})")


def sigmoid(steps: int, sharpness: float = 10.0) -> Schedule:
    """s(t) = 1 / (1 + exp(-sharpness (t - 1/2))), rescaled to run from exactly 0 to exactly 1, t = step / steps."""
    low, high = 1.0 / (1.0 + np.exp(sharpness / 2)), 1.0 / (1.0 + np.exp(-sharpness / 2))

    def shape(t):
        return (1.0 / (1.0 + jnp.exp(-sharpness * (t - 0.5))) - low) / (high - low)

    return _over(steps, shape, f"sigmoid({steps}, {sharpness})")


def cyclical(steps: int, cycles: int = 4, rise: float = 0.5) -> Schedule:
    """`cycles` ramps from 0 to 1 within `steps`, each rising over the share `rise` of its cycle, then 1.

    (Fu et al. 2019, eq. 6.)
    """
    if cycles < 1 or not 0 < rise <= 1:
        raise ValueError(f"cyclical got {cycles} cycles and a rise of {rise}; wanted at least 1 cycle and a rise in (0, 1].")

    def shape(t):
        return jnp.where(t >= 1.0, 1.0, jnp.minimum(jnp.mod(t * cycles, 1.0) / rise, 1.0))

    return _over(steps, shape, f"cyclical({steps}, {cycles}, {rise})")


def step_decay(boundaries: tuple[int, ...], factor: float = 0.1) -> Schedule:
    """factor^(number of boundaries passed): a staircase that steps down at each boundary."""
    edges = np.asarray(sorted(boundaries), np.int32)
    if edges.size == 0 or edges[0] < 1:
        raise ValueError(
            f"step_decay got the boundaries {tuple(boundaries)}; wanted at least one step, all of them at least 1."
        )
    return Schedule(
        lambda step: jnp.power(factor, jnp.sum(jnp.asarray(step) >= edges)),
        int(edges[-1]),
        f"step_decay({boundaries}, {factor})",
    )


def warm_up(steps: int, then: Schedule) -> Schedule:
    """A straight line from 1/steps up to `then`'s start over `steps`, followed by `then` counted from there.

    The first step is not wasted on a factor of zero.
    """
    _require_steps(steps)

    def factor(step):
        step = jnp.asarray(step)
        rising = (step + 1) / steps * then(0)
        return jnp.where(step < steps, rising, then(jnp.maximum(step - steps, 0)))

    return Schedule(factor, steps + (then.horizon or 0), f"warm_up({steps}, {then.name})")


def require_within(name: str, schedule: Callable, steps: int) -> None:
    """Refuse a schedule that ends after training does: the run would stop on its way without a word."""
    end = getattr(schedule, "horizon", None)
    if end is not None and end > steps:
        raise ValueError(
            f"the schedule of {name} ends at step {end}, after training does at step {steps}; "
            "shorten the schedule or raise the number of steps."
        )


def _over(steps: int, shape: Callable, name: str) -> Schedule:
    """The schedule shape(t) of the fraction t = step / steps, held at t = 1."""
    _require_steps(steps)
    return Schedule(lambda step: shape(jnp.clip(jnp.asarray(step) / steps, 0.0, 1.0)), steps, name)


def _require_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"a schedule got a horizon of {steps} steps; wanted at least 1.")
