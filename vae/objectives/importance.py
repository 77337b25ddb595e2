"""Bounds from several samples of the latent variables: of the evidence, and for the gradients of either player.

Each is a function from the log weights of K samples to a number, handed to `multi_sample`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions import PointMass
from vae.objectives.composition import MODEL_PENALTY, BatchLoss, compose
from vae.objectives.core import batch_mean
from vae.objectives.estimators import Estimator, frozen, reparameterised, scored
from vae.objectives.monitors import Monitor, collapse
from vae.objectives.penalties import Regulariser
from vae.rates import log_ratio
from vae.requirements import require
from vae.settings import Settings
from vae.types import Latent, Objective, Summand

LogWeights = Float[Array, "samples"]
SettingsBound = Callable[[LogWeights, Settings], Float[Array, ""]]
WEIGHT = "w = p(x,z)/q(z|x)"


def log_mean_weight(log_weights: LogWeights, settings: Settings | None = None) -> Float[Array, ""]:
    """log 1/K sum_k w_k. (Burda et al. 2016, eq. 8.)"""
    return jax.nn.logsumexp(log_weights) - jnp.log(log_weights.shape[0])


def log_power_mean(log_weights: LogWeights, power: Any) -> Float[Array, ""]:
    """1/p log 1/K sum_k w_k^p, which is the mean of log w_k at p = 0.

    Where all p log(w_k / w_max) are small, log1p of the mean of expm1 keeps the digits that the division by p needs.
    """
    largest = jax.lax.stop_gradient(jnp.max(log_weights))
    safe = jnp.where(power == 0, 1.0, power)
    exponents = safe * (log_weights - largest)
    small = jnp.max(jnp.abs(exponents)) < 1.0
    near = jnp.log1p(jnp.mean(jnp.expm1(jnp.where(small, exponents, 0.0))))
    far = log_mean_weight(exponents)
    return jnp.where(power == 0, jnp.mean(log_weights), largest + jnp.where(small, near, far) / safe)


def importance_weighted(samples: int, estimator: Estimator = reparameterised, **options: Any) -> Objective:
    """The importance-weighted bound with K samples.

        loss = - mean over the batch of log [ 1/K sum_k p(x, z_k) / q(z_k | x) ] + penalty,    z_k ~ q(z | x)

    K = 1 is the ELBO with a sampled rate. (Burda et al. 2016, eq. 8.) Options and errors: see `multi_sample`.

    >>> iwae = vae.objectives.importance_weighted(50, vae.objectives.doubly_reparameterised)
    >>> iwae.summands[0].text
    'log 1/K sum_k w_k, K = 50, w = p(x,z)/q(z|x)'
    """
    text = f"log 1/K sum_k w_k, K = {samples}, {WEIGHT}"
    return multi_sample(log_mean_weight, samples, estimator, text=text, **options)


def multiply_importance_weighted(
    groups: int, samples: int, estimator: Estimator = reparameterised, **options: Any
) -> Objective:
    """The mean of M importance-weighted bounds, each with K samples of its own (MIWAE).

        loss = - mean over the batch of 1/M sum_m log [ 1/K sum_k w_mk ] + penalty

    groups:  M.
    samples: K in each group.
    (Rainforth et al. 2018, section 5.) Options and errors: see `multi_sample`.
    """
    text = f"1/M sum_m log 1/K sum_k w_mk, M = {groups}, K = {samples}, {WEIGHT}"
    return multi_sample(log_mean_weight, samples, estimator, groups=groups, text=text, **options)


def partially_importance_weighted(
    groups: int, samples: int, estimator: Estimator = reparameterised, **options: Any
) -> Objective:
    """Each player its own bound of the same M K samples (PIWAE): the posterior that of `multiply_importance_weighted`, whose
    gradient keeps its signal, and the generative model the tighter bound with all M K samples.

    groups:  M.
    samples: K in each group.
    (Rainforth et al. 2018, section 5.) Options and errors: see `multi_sample`.
    """
    text = f"1/M sum_m log 1/K sum_k w_mk for the posterior, log 1/MK sum_mk w_mk for the decoder, M = {groups}, K = {samples}"
    return multi_sample(
        log_mean_weight, samples, estimator, groups=groups, generative_bound=log_mean_weight, text=text, **options
    )


def combined_importance_weighted(
    samples: int, elbo_share: float = 0.05, estimator: Estimator = reparameterised, **options: Any
) -> Objective:
    """A convex combination of the ELBO and the importance-weighted bound (CIWAE).

        loss = - mean over the batch of { s 1/K sum_k log w_k + (1 - s) log [ 1/K sum_k w_k ] } + penalty

    elbo_share: setting "elbo_share", s in [0, 1]; 1 is the ELBO, 0 is IWAE.
    (Rainforth et al. 2018, section 5.) Options and errors: see `multi_sample`.
    """
    require(0 <= elbo_share <= 1, f"elbo_share is {elbo_share}; wanted a number in [0, 1].")

    def bound(log_weights, settings):
        share = settings.get("elbo_share", elbo_share)
        return share * jnp.mean(log_weights) + (1.0 - share) * log_mean_weight(log_weights)

    text = f"s 1/K sum_k log w_k + (1-s) log 1/K sum_k w_k, s = elbo_share, K = {samples}, {WEIGHT}"
    return multi_sample(bound, samples, estimator, text=text, numbers=(("elbo_share", elbo_share),), **options)


def renyi(samples: int, order: float = 0.5, estimator: Estimator = reparameterised, **options: Any) -> Objective:
    """The variational Renyi bound, estimated from K samples.

        loss = - mean over the batch of 1/(1 - a) log [ 1/K sum_k w_k^(1 - a) ] + penalty

    order: setting "renyi_order", a; 1 is the ELBO, 0 is IWAE, below 0 may exceed the evidence.
    (Li & Turner 2016, section 4.1.) Options and errors: see `multi_sample`.
    """

    def bound(log_weights, settings):
        return log_power_mean(log_weights, 1.0 - settings.get("renyi_order", order))

    text = f"1/(1-a) log 1/K sum_k w_k^(1-a), a = renyi_order, K = {samples}, {WEIGHT}"
    return multi_sample(bound, samples, estimator, text=text, numbers=(("renyi_order", order),), **options)


def multi_sample(
    bound: SettingsBound,
    samples: int,
    estimator: Estimator = reparameterised,
    *,
    groups: int = 1,
    generative_bound: SettingsBound | None = None,
    text: str = "bound(log w_1, ..., log w_K)",
    numbers: tuple[tuple[str, float], ...] = (),
    regularisers: Sequence[Regulariser] = (),
    monitors: Sequence[Monitor] = (collapse,),
) -> Objective:
    """The mean over M groups of a bound of K log weights each.

    bound:            (log_weights (K,), settings) -> number in nats, symmetric in the samples.
    samples:          K.
    estimator:        how the posterior's gradient is taken, see `vae.objectives.estimators`.
    groups:           M.
    generative_bound: the bound of all M K log weights that the generative player descends instead; None for the same.
    text, numbers:    the bound in words, see `Summand`.
    regularisers:     as in `elbo`, of the first sample.
    monitors:         as in `elbo`.

    The reported terms are those of the ELBO with sampled rates, averaged over the samples; the bound itself is the metric
    "bound". Raises TypeError for a posterior without a density, for one without a path unless the estimator is
    `score_function`, and for several samples of posteriors that have but one; ValueError for fewer than one sample or group.
    """
    require(samples >= 1, f"samples is {samples}; wanted at least 1 importance sample.")
    require(groups >= 1, f"groups is {groups}; wanted at least 1 group of importance samples.")

    def score(params, state, key, x, context, settings, model):
        def infer_with(own):
            return model.infer(own, state, x, context, settings)

        infer = infer_with(params)
        draw, frozen_draw = scored(infer, x), scored(frozen(infer_with, params), x)
        keys = jax.random.split(key, (groups, samples))

        def one_group(keys):
            return estimator(lambda log_weights: bound(log_weights, settings), draw, frozen_draw, keys)

        bounds, drawn = jax.vmap(one_group, axis_name="groups")(keys)
        terms, statistics = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=(0, 1)), (drawn.terms, drawn.statistics))
        numbers = {"posterior": jnp.mean(bounds)}
        if generative_bound is not None:
            numbers["generative"] = generative_bound(drawn.log_weight.reshape(-1), settings)
        first = infer(keys[0, 0])
        require_spread(first.latents, groups * samples)
        return numbers, terms, statistics, first

    def reduce(numbers, terms, weight, settings, state):
        losses = {player: batch_mean(terms.penalty - value, weight) for player, value in numbers.items()}
        metrics = {"bound": batch_mean(numbers["posterior"], weight)}
        if generative_bound is None:
            return BatchLoss(losses["posterior"], state, metrics)
        return BatchLoss(losses, state, metrics | {"generative_bound": batch_mean(numbers["generative"], weight)})

    summand = Summand(text, reduction="mean over the batch", sign="-", numbers=numbers)
    return compose(score, reduce, (summand, MODEL_PENALTY), regularisers, monitors, rates=log_ratio)


def require_spread(latents: Sequence[Latent], samples: int) -> None:
    """Refuse several samples where all are the same, so that what weighs them has nothing to weigh."""
    if samples > 1 and latents and all(isinstance(latent.posterior, PointMass) for latent in latents):
        raise TypeError(
            f"{samples} samples were asked of a posterior PointMass, which are all the same code, so that the bound is that "
            f"of one; "
            "use the objective elbo, or a quantiser that draws its codes (gumbel_softmax)."
        )
