"""How an objective is put together.

A loss is made of a score of each example, a reduction of the scores over the batch, and regularisers of the whole batch:

    score -> numbers, Terms, statistics, Trace   of one example, inside the vmap
    reduce -> BatchLoss                          of the batch
    regularisers                                 added to what every player of the model descends
    monitors                                     looked at, no part of the loss

A paper names one member of each.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.objectives.core import over_batch
from vae.rates import Rates, analytic, rate_name
from vae.types import Batch, Carried, Key, Objective, Params, PyTree, Settings, Summand, Trace

Losses = Array | dict[str, Array]


class ExampleView(NamedTuple):
    """What may be looked at of one example, inside the vmap.

    x:          the example.
    trace:      the model's pass through it.
    draw_prior: key -> values of every group, from the model's prior under this example's context.
    """

    x: PyTree
    trace: Trace
    draw_prior: Callable[[Key], tuple]


def no_params(key: Key) -> dict:
    """The parameters of what has none."""
    return {}


class Regulariser(NamedTuple):
    """A quantity of a whole batch that the loss penalises.

    name:     the setting that weighs it, and the metric that reports it.
    level:    its weight where the setting is not given.
    each:     (view, key) -> pytree, of one example, inside the vmap. Arrays that `penalty` needs and no distribution that
              holds parameters: that would be copied once per example.
    penalty:  (params, collected, weight, key) -> scalar, outside the vmap; `collected` has a leading batch axis.
    text:     the formula, for `vae.describe`.
    init:     key -> parameters of its own (a discriminator), {} for most.
    own_loss: (params, collected, weight, key) -> the scalar that those parameters descend; None where there are none.
    unit:     of the penalty.
    """

    name: str
    level: float
    each: Callable[[ExampleView, Key], PyTree]
    penalty: Callable[..., Float[Array, ""]]
    text: str
    init: Callable[[Key], PyTree] = no_params
    own_loss: Callable[..., Float[Array, ""]] | None = None
    unit: str = "nats per example"


class Observed(NamedTuple):
    """What a monitor saw of a batch.

    metrics:    numbers for the log, by the name they have there.
    quantities: fields of the objective's `aux`, for what wraps it.
    """

    metrics: dict[str, Array]
    quantities: dict[str, PyTree] = {}  # noqa: RUF012  (never changed)


class Monitor(NamedTuple):
    """A quantity of a whole batch that is only reported.

    each:    (view) -> pytree, of one example, inside the vmap.
    observe: (collected, terms, weight, rate) -> Observed, outside the vmap; `rate` is what the log calls the rates.
    """

    each: Callable[[ExampleView], PyTree]
    observe: Callable[..., Observed]


class BatchLoss(NamedTuple):
    """What is left of a batch's scores.

    losses:  a scalar, or one per player.
    state:   the carried state after this batch.
    metrics: numbers for the log.
    """

    losses: Losses
    state: PyTree
    metrics: dict[str, Array]


def compose(
    score: Callable,
    reduce: Callable,
    summands: tuple[Summand, ...],
    regularisers: Sequence[Regulariser] = (),
    monitors: Sequence[Monitor] = (),
    start: PyTree = (),
    rates: Rates = analytic,
) -> Objective:
    """The objective of these parts.

    score:  (params, model_state, key, x, context, settings, model) -> numbers, Terms, statistics, Trace
    reduce: (numbers, terms, weight, settings, state) -> BatchLoss
    start:  the carried state before the first step.
    rates:  those of the terms, see `Objective`.

    Raises ValueError where two regularisers have the same name.
    """
    require_distinct([regulariser.name for regulariser in regularisers])
    own_rates = tuple(rates) if isinstance(rates, Sequence) else rates

    def init(key: Key) -> tuple[Params, PyTree]:
        keys = jax.random.split(key, max(len(regularisers), 1))
        own = {r.name: r.init(k) for r, k in zip(regularisers, keys, strict=False)}
        return {name: params for name, params in own.items() if jax.tree.leaves(params)}, start

    def loss(params: Params, carried: Carried, key: Key, batch: Batch, settings: Settings, model: Any):
        example_key, penalty_key = jax.random.split(key)

        def example(key, x, context):
            score_key, each_key = jax.random.split(key)
            numbers, terms, statistics, trace = score(params, carried.model, score_key, x, context, settings, model)
            view = ExampleView(x, trace, lambda key: model.prior(params, carried.model, key, context))
            keys = jax.random.split(each_key, max(len(regularisers), 1))
            collected = tuple(r.each(view, k) for r, k in zip(regularisers, keys, strict=False))
            watched = tuple(monitor.each(view) for monitor in monitors)
            return numbers, terms, statistics, collected, jax.lax.stop_gradient(watched)

        numbers, terms, statistics, collected, watched = over_batch(example, example_key, batch)
        reduced = reduce(numbers, terms, batch.weight, settings, carried.objective)
        penalty, own, penalties = penalties_of(regularisers, params, collected, batch.weight, settings, penalty_key)
        aux = {"statistics": statistics, "metrics": reduced.metrics | penalties, "state": reduced.state}
        for monitor, w in zip(monitors, watched, strict=True):
            observed = monitor.observe(w, terms, batch.weight, rate_name(rates))
            aux |= observed.quantities | {"metrics": aux["metrics"] | observed.metrics}
        return for_players(reduced.losses, penalty, own), (terms, aux)

    texts = tuple(Summand(r.text, r.name, r.level, "once per batch", r.unit) for r in regularisers)
    return Objective(init, loss, lambda state, aux, key: aux["state"], summands + texts, own_rates)


def penalties_of(
    regularisers: Sequence[Regulariser], params: Params, collected: tuple, weight: Array, settings: Settings, key: Key
) -> tuple[Float[Array, ""], list[Array], dict[str, Array]]:
    """The weighted sum of the penalties, the regularisers' own losses, and each penalty before its weight."""
    total, own, penalties = jnp.zeros(()), [], {}
    keys = jax.random.split(key, max(len(collected), 1))
    for regulariser, found, k in zip(regularisers, collected, keys, strict=False):
        own_params = params.get("objective", {}).get(regulariser.name, {})
        penalty = regulariser.penalty(own_params, found, weight, k)
        total = total + settings.get(regulariser.name, regulariser.level) * penalty
        penalties[regulariser.name] = penalty
        if regulariser.own_loss is not None:
            own.append(regulariser.own_loss(own_params, found, weight, k))
    return total, own, penalties


def for_players(losses: Losses, penalty: Array, own: list[Array]) -> Losses:
    """Every player of the model pays the penalty; the player "objective" descends the regularisers' own losses."""
    if isinstance(losses, dict):
        paid = {player: value + penalty for player, value in losses.items()}
    elif own:
        paid = dict.fromkeys(("posterior", "generative"), losses + penalty)
    else:
        return losses + penalty
    return paid | ({"objective": jnp.sum(jnp.stack(own))} if own else {})


def require_distinct(names: list[str]) -> None:
    """Refuse two regularisers of one name: they would share a weight and hide each other's metric."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two regularisers are called {', '.join(twice)}; give one another name by _replace(name=...).")
