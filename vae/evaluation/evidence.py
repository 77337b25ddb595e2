"""Bounds on the evidence log p(x): the ELBO with its parts, and importance sampling."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.claims import why_unscaled
from vae.distributions.base import is_density
from vae.evaluation.batches import map_examples
from vae.evaluation.examples import Examples
from vae.evaluation.pareto import keep_largest, tail_length, tail_shape
from vae.evaluation.rows import checked
from vae.objectives import Rate, analytic, log_weight, terms_of
from vae.objectives.estimators import ROWS_IN_FLIGHT, divisor_near
from vae.objectives.observed import observing
from vae.trained import Trained
from vae.types import Key, PyTree, Terms, Trace


@checked
@partial(jax.jit, static_argnames=("rates", "batch_size"))
def elbo_terms(
    trained: Trained,
    x: PyTree,
    key: Key,
    *,
    context: PyTree = (),
    values: tuple = (),
    rates: Rate | tuple[Rate, ...] = analytic,
    batch_size: int = 500,
) -> Terms:
    """The terms of the ELBO at beta 1, one latent sample per example, with a leading axis of examples; nats.

    key:    fixes the noise of every example, so two models, or one model at two steps, are compared on the same noise.
    values: observed values of latent groups, see `Batch`.
    """

    def one(key, example):
        x, context, values = example
        draw_key, rate_key = jax.random.split(key)
        return terms_of(observing(trained.infer(x, context), values)(draw_key), x, rates, rate_key)

    return map_examples(one, key, (x, context, values), batch_size)


def rate_of_groups(
    groups: int, rates: Rate | tuple[Rate, ...] = analytic, limit: int = 1_000
) -> Callable[..., dict[str, float]]:
    """The mean rate of each latent group as a score of a trained model, ancestors first: {"0": ..., "1": ..., ...} in nats.

        vae.compare(variants, scores={"kl": rate_of_groups(3, log_ratio)})

    groups: so many numbers, of models with fewer groups too: what is not there costs 0.
    limit:  test examples, from their start.

    Raises ValueError for a model with more groups.
    """
    held = tuple(rates) if isinstance(rates, Sequence) else rates

    def score(trained: Trained, examples: Examples) -> dict[str, float]:
        x, context = jax.tree.map(lambda leaf: leaf[:limit], (examples.x, examples.context))
        found = [
            float(jnp.sum(rate)) / len(rate)
            for rate in elbo_terms(trained, x, jax.random.key(0), context=context, rates=held).rates
        ]
        if len(found) > groups:
            raise ValueError(f"the model has {len(found)} latent groups, more than the {groups} that numbers are wanted of.")
        return {str(group): nats for group, nats in enumerate([*found, *(groups - len(found)) * [0.0]])}

    return score


class Evidence(NamedTuple):
    """An importance-sampled bound on log p(x), one entry per example.

    log_evidence:          log 1/K sum_k w_k, a lower bound in expectation; nats.
    monte_carlo_error:     its standard error over the K draws, by the delta method; nats.
    effective_sample_size: (sum w)^2 / sum w^2, between 1 and K.
    pareto_k:              shape of the weights' tail; above 0.7 neither the bound nor its error is reliable (see `pareto`). NaN
                           for fewer than 21 samples; None where it was not computed.
    """

    log_evidence: Float[Array, "examples"]
    monte_carlo_error: Float[Array, "examples"]
    effective_sample_size: Float[Array, "examples"]
    pareto_k: Float[Array, "examples"] | None = None


def evidence_of(log_weights: Float[Array, "samples"]) -> Evidence:
    """The bound of one example from all its log weights at once, and its errors; shapes ()."""
    return _summarise(_accumulate(_no_weights(), log_weights), log_weights.shape[0])


class _Weights(NamedTuple):
    """Running sums of importance weights, all scaled by exp(-largest)."""

    largest: Float[Array, ""]
    total: Float[Array, ""]
    squares: Float[Array, ""]


@checked
@partial(jax.jit, static_argnames=("samples", "batch_size"))
def importance_sampled_evidence(
    trained: Trained,
    x: PyTree,
    key: Key,
    *,
    samples: int,
    context: PyTree = (),
    batch_size: int = 100,
) -> Evidence:
    """log p(x) >= E log 1/K sum_k p(x, z_k) / q(z_k | x), z_k ~ q(z | x). (Burda et al. 2016, eq. 8.)

    The encoder runs once per example; the samples stream through in chunks of about `ROWS_IN_FLIGHT` decoder rows with a
    running log-sum-exp, so memory does not grow with `samples`, but for the tail of 3 sqrt(K) weights that gives Pareto k.

    Raises ValueError for fewer than one sample; TypeError for a likelihood that is no density.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; wanted at least 1 importance sample.")
    width = max(1, min(samples, ROWS_IN_FLIGHT // batch_size))
    chunks = -(-samples // width)
    in_block = divisor_near(max(1, tail_length(samples) // width), chunks)  # the tail is sorted once a block, which costs
    blocks = -(-chunks // in_block)

    def one(key, example):
        x, context = example
        draw = trained.infer(x, context)

        def chunk(start):
            index = start + jnp.arange(width)
            keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(index)
            log_weights = jax.vmap(lambda k: log_weight(with_density(draw(k)), x))(keys)
            return jnp.where(index < samples, log_weights, -jnp.inf)

        def block(carry, starts):
            weights, largest = carry
            log_weights = jax.lax.map(chunk, starts).reshape(-1)
            return (_accumulate(weights, log_weights), keep_largest(largest, log_weights)), None

        none_yet = _no_weights(), jnp.full(tail_length(samples) + 1, -jnp.inf)
        (weights, largest), _ = jax.lax.scan(block, none_yet, width * jnp.arange(blocks * in_block).reshape(blocks, in_block))
        return weights, tail_shape(largest)

    weights, shape = map_examples(one, key, (x, context), batch_size)
    return _summarise(weights, samples)._replace(pareto_k=shape)


def with_density(trace: Trace) -> Trace:
    """The trace, whose likelihood has to be a density: of anything else there is no evidence."""
    if not is_density(trace.likelihood):
        raise TypeError(f"there is no evidence to estimate, since {why_unscaled(trace.likelihood)}.")
    return trace


def _no_weights() -> _Weights:
    """The sums of nothing."""
    return _Weights(largest=jnp.array(-jnp.inf), total=jnp.zeros(()), squares=jnp.zeros(()))


def _accumulate(weights: _Weights, log_weights: Float[Array, "chunk"]) -> _Weights:
    """Add weights to the running sums, rescaling both to the larger maximum."""
    largest = jnp.maximum(weights.largest, jnp.max(log_weights))
    safe = jnp.where(jnp.isfinite(largest), largest, 0.0)
    old = jnp.exp(weights.largest - safe)
    new = jnp.exp(log_weights - safe)
    return _Weights(
        largest=largest,
        total=weights.total * old + jnp.sum(new),
        squares=weights.squares * jnp.square(old) + jnp.sum(jnp.square(new)),
    )


def _summarise(weights: _Weights, samples: int) -> Evidence:
    """The bound, with the delta method's sd(w) / (mean(w) sqrt(K)) = sqrt((sum w^2 / (sum w)^2 - 1/K) K / (K - 1)).

    One sample has no known error: NaN.
    """
    share = weights.squares / jnp.square(weights.total)
    spread = jnp.maximum(share - 1.0 / samples, 0.0) * samples / (samples - 1) if samples > 1 else jnp.full_like(share, jnp.nan)
    return Evidence(
        log_evidence=weights.largest + jnp.log(weights.total) - jnp.log(samples),
        monte_carlo_error=jnp.sqrt(spread),
        effective_sample_size=1.0 / share,
    )


def rates_of(rates: Rate | Sequence[Rate]) -> Rate | tuple[Rate, ...]:
    """Rates as a hashable argument."""
    return tuple(rates) if isinstance(rates, Sequence) else rates
