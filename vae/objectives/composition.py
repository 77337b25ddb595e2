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
from jaxtyping import Array

from vae.objectives.core import ExampleView, over_batch
from vae.objectives.monitors import Monitor, observations
from vae.objectives.observed import with_observed
from vae.objectives.penalties import Losses, Regulariser, for_players, own_params, penalties_of, require_distinct
from vae.rates import Rates, analytic, rate_name
from vae.settings import Settings
from vae.types import Carried, Key, Objective, Params, PyTree, Summand

MODEL_PENALTY = Summand("penalty of the model", reduction="mean over the batch")


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
        return own_params(regularisers, key), start

    def loss(params: Params, carried: Carried, key: Key, batch: Any, settings: Settings, model: Any):
        example_key, penalty_key = jax.random.split(key)

        def example(key, x, context, values=()):
            score_key, each_key = jax.random.split(key)
            seen = with_observed(model, values)
            numbers, terms, statistics, trace = score(params, carried.model, score_key, x, context, settings, seen)
            view = ExampleView(x, trace, lambda key: model.prior(params, carried.model, key, context))
            keys = jax.random.split(each_key, max(len(regularisers), 1))
            collected = tuple(r.each(view, k) for r, k in zip(regularisers, keys, strict=False))
            watched = tuple(monitor.each(view) for monitor in monitors)
            return numbers, terms, statistics, collected, jax.lax.stop_gradient(watched)

        numbers, terms, statistics, collected, watched = over_batch(example, example_key, batch)
        reduced = reduce(numbers, terms, batch.weight, settings, carried.objective)
        penalty, own, penalties = penalties_of(regularisers, params, collected, batch.weight, settings, penalty_key)
        observed = observations(monitors, watched, terms, batch.weight, rate_name(rates))
        metrics = reduced.metrics | penalties | observed.metrics
        aux = observed.quantities | {"statistics": statistics, "metrics": metrics, "state": reduced.state}
        return for_players(reduced.losses, penalty, own), (terms, aux)

    texts = tuple(Summand(r.text, r.name, r.level, "once per batch", r.unit) for r in regularisers)
    return Objective(init, loss, lambda state, aux, key: aux["state"], summands + texts, own_rates)
