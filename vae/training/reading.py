"""Which settings a run reads: judged by dataflow through its traced step and its validation, whoever reads them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import partial_eval

from vae.data.feeds import Feed
from vae.training.planning import Plan
from vae.training.state import usable_params
from vae.training.validation import terms_of_feed
from vae.types import PyTree, Settings, Trained, settings_asked_for


def require_read(plan: Plan) -> None:
    """Refuse a setting that changes nothing, neither a step nor what the validation finds.

    Raises ValueError naming the settings that nothing reads, and those that something does.
    """
    names = set(plan.experiment.settings)
    with settings_asked_for() as asked:
        read = read_by_step(plan)
        if plan.splits.validation is not None and not names <= read:
            read |= read_by(partial(validated_at, plan, plan.splits.validation), plan.experiment.settings)
    if unread := sorted(names - read):
        known = ", ".join(sorted(read | asked - set(unread))) or "no setting"
        raise ValueError(f"nothing in this run reads {', '.join(unread)}; it reads {known}: correct the name or leave it out.")


def validated_at(plan: Plan, validation: Feed, settings: Mapping[str, Any]) -> PyTree:
    """The terms of the validation as a function of the settings; to be traced, not computed."""
    state = jax.eval_shape(plan.start)
    kept = (usable_params(state), state.model_state)
    params, model_state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), kept)
    trained = Trained(plan.model, params, model_state, Settings(settings), plan.spec)
    return next(terms_of_feed(plan.objective, validation)(trained))


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
