"""Which settings a run reads: judged by dataflow through its traced step and its validation, whoever reads them."""

from typing import Any

import jax
from jax.interpreters import partial_eval

from vae.data.feeds import Feed
from vae.settings import settings_asked_for
from vae.training.planning import Plan, start_of, user_metrics
from vae.training.state import as_levels
from vae.training.validation import validation_program


def require_read(plan: Plan) -> None:
    """Refuse a setting that changes nothing: no step, no start, nothing in evaluation, and no metric.

    Raises ValueError naming the settings that nothing reads, and those that something does.
    """
    names = set(plan.experiment.settings)
    with settings_asked_for() as asked:
        read = read_by_step(plan)
        for further in (read_by_start, read_in_evaluation, asked_by_metrics):
            read |= set() if names <= read else further(plan)
    if unread := sorted(names - read):
        known = ", ".join(sorted(read | asked - set(unread))) or "no setting"
        raise ValueError(f"nothing in this run reads {', '.join(unread)}; it reads {known}: correct the name or leave it out.")


def read_by_start(plan: Plan) -> set[str]:
    """The settings on which the first state depends, beside the levels that it holds."""
    levels = as_levels(plan.experiment.settings)

    def start(levels):
        return start_of(plan.experiment, plan.model, plan.objective, plan.key, levels)._replace(settings={})

    program, state = jax.make_jaxpr(start, return_shape=True)(levels)
    return live_inputs(program.jaxpr, sorted(levels), [True] * len(jax.tree.leaves(state)))


def read_in_evaluation(plan: Plan) -> set[str]:
    """The settings on which the terms of an evaluation depend; traced on the validation, else on training data."""
    feed = plan.splits.validation or plan.splits.train
    if not isinstance(feed, Feed):
        return set()
    trained = jax.eval_shape(plan.trained, jax.eval_shape(plan.start))
    program = validation_program(plan.objective, feed, trained)
    named = jax.tree.map(lambda leaf: False, trained).replace(settings={name: name for name in trained.settings})
    names = jax.tree.leaves(named)
    others = [False] * (len(program.jaxpr.invars) - len(names))
    return live_inputs(program.jaxpr, names + others, [True] * len(program.jaxpr.outvars))


def asked_by_metrics(plan: Plan) -> set[str]:
    """The settings that the experiment's own metrics ask for, of the first state; they are not traced, but called."""
    with settings_asked_for() as asked:
        if plan.experiment.metrics:
            user_metrics(plan.experiment, plan.trained(plan.start()))
    return asked


def read_by_step(plan: Plan) -> set[str]:
    """The settings on which anything depends that a step changes or reports."""
    state, stored = plan.traced_with()
    traced = plan.program.step.trace(state, stored)
    given = jax.tree.map(lambda leaf: False, (state, stored))
    named = (given[0]._replace(settings={name: name for name in state.settings}), given[1])
    after, metrics = jax.tree.map(lambda leaf: True, traced.out_info)
    wanted = (after._replace(settings=jax.tree.map(lambda leaf: False, after.settings)), metrics)
    return live_inputs(traced.jaxpr.jaxpr, jax.tree.leaves(named), jax.tree.leaves(wanted))


def live_inputs(program: Any, names: list, wanted: list[bool]) -> set[str]:
    """The names of those inputs of a program on which a wanted output depends; other inputs are called False."""
    _, used = partial_eval.dce_jaxpr(program, wanted)
    return {name for name, live in zip(names, used, strict=True) if live and name is not False}
