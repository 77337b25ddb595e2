"""Importance-weighted bounds."""

from typing import Any

import jax
import jax.numpy as jnp

from vae.objectives.core import batch_mean, over_batch, plain
from vae.objectives.estimators import Estimator, frozen_posterior, reparameterised, scored
from vae.types import Batch, Carried, Key, Objective, Params, Settings


def importance_weighted(samples: int, estimator: Estimator = reparameterised) -> Objective:
    """The importance-weighted bound with K samples.

        loss = - mean over the batch of log [ 1/K sum_k p(x, z_k) / q(z_k | x) ] + penalty,    z_k ~ q(z | x)

    K = 1 is the ELBO with a sampled rate. The reported terms are those of the ELBO, averaged over the samples; the bound itself
    is the metric "bound". (Burda et al. 2016, eq. 8.)

    Raises TypeError for a posterior without a density, ValueError for fewer than one sample.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; wanted at least 1 importance sample.")

    def loss(params: Params, carried: Carried, key: Key, batch: Batch, settings: Settings, model: Any):
        def example(key, x, context):
            draw = scored(model.infer(params, carried.model, x, context, settings), x)
            frozen_draw = scored(model.infer(frozen_posterior(params), carried.model, x, context, settings), x)
            drawn = estimator(draw, frozen_draw, jax.random.split(key, samples))
            terms, statistics = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), (drawn.terms, drawn.statistics))
            return jax.nn.logsumexp(drawn.log_weight) - jnp.log(samples), terms, statistics

        bound, terms, statistics = over_batch(example, key, batch)
        aux = {"statistics": statistics, "metrics": {"bound": batch_mean(bound, batch.weight)}}
        return batch_mean(terms.penalty - bound, batch.weight), (terms, aux)

    return plain(loss)
