"""Which settings a run reads: judged by dataflow through its traced step and its validation, whoever reads them."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import partial_eval

from vae.training.experiment import Plan
from vae.types import PyTree, settings_asked_for


def require_read(plan: Plan, validate: Callable[[Mapping[str, Any]], PyTree] | None, swept: Collection[str] = ()) -> None:
    """Refuse a setting that changes nothing.

    validate: settings -> what the validation finds; None for a run without one. Traced only if the step leaves one unread.
    swept:    settings that a sweep adds to those of the experiment.

    Raises ValueError naming the settings that nothing reads, and those that something does.
    """
    names = {*plan.experiment.settings, *swept}
    with settings_asked_for() as asked:
        read = read_by_step(plan)
        if validate is not None and not names <= read:
            read |= read_by(validate, plan.experiment.settings)
    if unread := sorted(names - read):
        known = ", ".join(sorted(read | asked - set(unread))) or "no setting"
        raise ValueError(f"nothing in this run reads {', '.join(unread)}; it reads {known}: correct the name or leave it out.")


def read_by_step(plan: Plan) -> set[str]:
    """The settings on which anything depends that a step changes or reports."""
    state, stored = plan.traced_with()
    traced = plan.program.step.trace(state, stored)
    given = jax.tree.map(lambda leaf: False, (state, stored))
    named = (given[0]._replace(settings={name: name for name in state.settings}), given[1])
    after, metrics = jax.tree.map(lambda leaf: True, traced.out_info)
    wanted = (after._replace(settings=jax.tree.map(lambda leaf: False, after.settings)), metrics)
    return live_inputs(traced.jaxpr.jaxpr, jax.tree.leaves(named), jax.tree.leaves(wanted))


def read_by(function: Callable[[Mapping[str, Any]], PyTree], settings: Mapping[str, Any]) -> set[str]:
    """The settings on which the value of a function of them depends."""
    levels = {name: jnp.asarray(level, jnp.float32) for name, level in settings.items()}
    program, value = jax.make_jaxpr(function, return_shape=True)(levels)
    return live_inputs(program.jaxpr, sorted(levels), [True] * len(jax.tree.leaves(value)))


def live_inputs(program: Any, names: list, wanted: list[bool]) -> set[str]:
    """The names of those inputs of a program on which a wanted output depends; other inputs are called False."""
    _, used = partial_eval.dce_jaxpr(program, wanted)
    return {name for name, live in zip(names, used, strict=True) if live and name is not False}
