"""What every objective shares: the numbers of one example, where examples become a batch, and the mean over it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from vae.distributions import is_reparameterised
from vae.objectives.observed import KnownValue, any_observed
from vae.rates import Rate, Rates, analytic, log_ratio
from vae.types import Batch, Key, Latent, Objective, PyTree, Summand, Terms, Trace


class ExampleView(NamedTuple):
    """What may be looked at of one example, inside the vmap.

    x:          the example.
    trace:      the model's pass through it.
    draw_prior: key -> values of every group, from the model's prior under this example's context.
    """

    x: PyTree
    trace: Trace
    draw_prior: Callable[[Key], tuple]


def over_batch(example: Callable, key: Key, batch: Any) -> PyTree:
    """`example(key, x, context)` for every example of the batch, each with its own key: where examples become a batch.

    Where values of latent groups are observed it is `example(key, x, context, values)`. The axis is named "batch", so that what
    needs batch statistics can reduce over it. Padding is replaced before, by `with_padding_replaced`. Raises TypeError for
    batches of several feeds.
    """
    if not isinstance(batch, Batch):
        raise TypeError(f"the objective got batches of the feeds {sorted(batch)}; wanted one feed, or objectives.by_feed.")
    keys = jax.random.split(key, batch.weight.shape[0])
    given = (batch.x, batch.context, *((batch.values,) if any_observed(batch.values) else ()))
    return jax.vmap(example, axis_name="batch")(keys, *with_padding_replaced(given, batch.weight))


def with_padding_replaced(examples: PyTree, weight: Float[Array, "batch"]) -> PyTree:
    """The examples, with those of weight zero replaced by the first of positive weight.

    A zero weight alone would not do: zero times a slope that is not finite is NaN, so that one NaN or infinity in padding would
    spoil the whole gradient. Where the weights are constant ones, as those of a feed are, XLA leaves the replacement out.
    """
    first = jnp.argmax(weight > 0)

    def replaced(leaf: ArrayLike) -> Array:
        leaf = jnp.asarray(leaf)
        return jnp.where(expand(weight, leaf) > 0, leaf, jax.lax.dynamic_index_in_dim(leaf, first))

    return jax.tree.map(replaced, examples)


def batch_mean(values: Float[Array, "batch"], weight: Float[Array, "batch"]) -> Float[Array, ""]:
    """sum_i w_i v_i / sum_i w_i; an example of weight zero takes no part, whatever its value."""
    return jnp.sum(jnp.where(weight > 0, weight * values, 0.0)) / jnp.sum(weight)


def terms_of(trace: Trace, x: PyTree, rates: Rates, key: Key) -> Terms:
    """The numbers of one example.

    rates: what each group costs, one function for all groups or one per group; an observed one costs -log p of its value.
    """
    functions = tuple(rates) if isinstance(rates, Sequence) else (rates,) * len(trace.latents)
    if len(functions) != len(trace.latents):
        raise ValueError(
            f"got {len(functions)} rates for a model with {len(trace.latents)} latent groups; wanted one per group."
        )
    keys = jax.random.split(key, max(len(functions), 1))
    return Terms(
        log_likelihood=trace.likelihood.log_prob(x),
        rates=tuple(cost(rate, latent, k) for rate, latent, k in zip(functions, trace.latents, keys, strict=False)),
        penalty=jnp.asarray(trace.penalty),
    )


def cost(rate: Rate, latent: Latent, key: Key) -> Array:
    """What one group of one example costs."""
    return log_ratio(latent) if isinstance(latent.posterior, KnownValue) else rate(latent, key)


def log_weight(trace: Trace, x: PyTree) -> Float[Array, ""]:
    """log p(x | z) + sum_groups [ log p(z) - log q(z) ] at the sampled z, in nats.

    Raises TypeError for a posterior without a density, and for a model without latent groups, whose decoder's input has none.
    """
    if not trace.latents:
        raise TypeError(
            "the model has no latent group with a density, so there is nothing to weigh samples by; "
            "use a model with a posterior, or the objective elbo, which needs no density."
        )
    for index, latent in enumerate(trace.latents):
        if latent.log_q is None:
            raise TypeError(
                f"importance weights p(x, z) / q(z | x) were asked of latent group {index}, whose posterior "
                f"{type(latent.posterior).__name__} has no density; use a posterior with one, or an objective that needs none."
            )
    return trace.likelihood.log_prob(x) - sum(log_ratio(latent) for latent in trace.latents)


def require_path(latents: Sequence[Latent]) -> None:
    """Refuse families whose draw passes no gradient back: a loss that follows the sample would leave out part of its gradient.

    The family declares it; see `distributions.is_reparameterised`.
    """
    for posterior in (latent.posterior for latent in latents):
        if not is_reparameterised(posterior):
            raise TypeError(
                f"the draws of the posterior {type(posterior).__name__} pass no gradient back to some of its parameters, or it "
                "does not declare that they do; use importance_weighted(samples, score_function), a relaxed family, or declare "
                "reparameterised = True in your own family."
            )


def total_rate(terms: Terms) -> Float[Array, "batch"]:
    """The sum over groups and dimensions, per example, of terms that carry a leading batch axis."""
    return sum((r.reshape(r.shape[0], -1).sum(axis=1) for r in terms.rates), jnp.zeros(terms.log_likelihood.shape))


def mean_rates(rates: tuple[Array, ...], weight: Float[Array, "batch"]) -> tuple[Array, ...]:
    """The weighted mean of each group's rates over the batch, entry by entry."""
    share = weight / jnp.sum(weight)
    return tuple(jnp.tensordot(share, jnp.where(expand(weight, rate) > 0, rate, 0.0), axes=1) for rate in rates)


def expand(weight: Float[Array, "batch"], like: Array) -> Array:
    """(batch,) with axes of size 1 appended, so that it broadcasts against `like`."""
    return weight.reshape(weight.shape + (1,) * (like.ndim - 1))


def plain(loss: Callable, summands: tuple[Summand, ...] = (), rates: Rates = analytic) -> Objective:
    """An objective with neither parameters nor carried state of its own; `rates` is what its terms hold, see `Objective`."""
    return Objective(lambda key: ({}, ()), loss, lambda state, aux, key: state, summands, rates)
