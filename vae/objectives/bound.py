"""The evidence lower bound and its weighted relatives."""

from collections.abc import Sequence
from typing import Any

import jax

from vae.objectives.core import Rate, analytic, batch_mean, over_batch, plain, terms_of, total_rate
from vae.types import Batch, Carried, Key, Objective, Params, Settings


def elbo(rates: Rate | Sequence[Rate] = analytic) -> Objective:
    """The negative evidence lower bound, with the weight `beta` of the rate among the settings (1 where it is not given).

        loss = mean over the batch of [ - log p(x | z) + beta * sum_groups rate_g + penalty ],   z ~ q(z | x)

    (Kingma & Welling 2014, eq. 3; beta: Higgins et al. 2017, eq. 4.) The likelihood is summed over pixels and the rate over
    latent dimensions, both in nats, so beta = 1 is the bound.
    """

    def loss(params: Params, carried: Carried, key: Key, batch: Batch, settings: Settings, model: Any):
        def example(key, x, context):
            draw_key, rate_key = jax.random.split(key)
            trace = model.infer(params, carried.model, x, context, settings)(draw_key)
            return terms_of(trace, x, rates, rate_key), trace.statistics

        terms, statistics = over_batch(example, key, batch)
        per_example = -terms.log_likelihood + settings.get("beta", 1.0) * total_rate(terms) + terms.penalty
        return batch_mean(per_example, batch.weight), (terms, {"statistics": statistics})

    return plain(loss)
