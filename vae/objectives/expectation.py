"""The expectation over q(z | x) that a bound is made of: from one draw, or with a discrete group summed out exactly."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from vae.distributions import Categorical
from vae.objectives.core import require_path, terms_of
from vae.objectives.observed import KnownValue
from vae.rates import Rates
from vae.requirements import require
from vae.types import Key, Latent, Terms, Trace

Expectation = Callable[[Callable[..., Trace], PyTree, Rates, Key], tuple[Terms, Trace]]
"""(draw, x, rates, key) -> the terms of one example, estimated or exact, and a pass through the model to look at."""


def one_draw(draw: Callable[..., Trace], x: PyTree, rates: Rates, key: Key) -> tuple[Terms, Trace]:
    """From one draw of every group, by a path that a gradient can follow; TypeError for a posterior without one."""
    draw_key, rate_key = jax.random.split(key)
    trace = draw(draw_key)
    require_path(trace.latents)
    return terms_of(trace, x, rates, rate_key), trace


def enumerated(values: int | Array, group: int = 0) -> Expectation:
    """With a discrete group summed out: every term becomes its mean over the values y_k of that group,

        sum_k q(y_k | x) term(x, y_k, z_k),    z_k ~ q(z | x, y_k)

    so that no gradient has to pass through a draw of y, and no noise comes from it. The rate of the group becomes its KL
    whichever way it is charged. This is the bound on an example without its label. (Kingma et al. 2014, eq. 7.)

    values: how many classes 0, 1, ..., or all values of the group, with a leading axis.
    group:  its place in ancestral order. All values see the same noise, so that the groups above it are the same for all.

        vae.elbo(expectation=objectives.enumerated(10))

    The model is passed through once for each value. Raises ValueError where the group has another number of classes, where
    there is no such group and where it is observed; TypeError for one without a probability.
    """
    support = jnp.arange(values, dtype=jnp.int32) if isinstance(values, int) else jnp.asarray(values)
    require(support.ndim > 0 and len(support) > 0, f"enumerated got {values}; wanted at least one value to sum over.")

    def expectation(draw: Callable[..., Trace], x: PyTree, rates: Rates, key: Key) -> tuple[Terms, Trace]:
        draw_key, rate_key = jax.random.split(key)

        def at(value: Array) -> tuple[Array, Terms]:
            trace = draw(draw_key, (*group * (None,), value))
            require_enumerable(trace.latents, group, len(support))
            return jnp.exp(jnp.asarray(trace.latents[group].log_q)), terms_of(trace, x, rates, rate_key)

        share, terms = jax.vmap(at)(support)
        return jax.tree.map(lambda leaf: jnp.tensordot(share, leaf, axes=1), terms), draw(draw_key)

    return expectation


def require_enumerable(latents: tuple[Latent, ...], group: int, number: int) -> None:
    """Refuse to sum over a group that is not there, is known, has no probability, or has other classes."""
    require(
        group < len(latents),
        f"enumerated got group {group} of a model with {len(latents)} latent groups; wanted one of 0 to {len(latents) - 1}.",
    )
    latent, others = latents[group], (*latents[:group], *latents[group + 1 :])
    require(
        not isinstance(latent.posterior, KnownValue),
        f"enumerated got group {group}, whose value the batch gives; wanted a group that is not observed: use elbo() for these "
        "examples, one objective for each feed (objectives.by_feed).",
    )
    if latent.log_q is None or latent.posterior.data_space != "tokens":
        raise TypeError(
            f"enumerated got group {group} with the posterior {type(latent.posterior).__name__}; wanted one of classes with "
            "probabilities, such as Categorical: a density cannot be summed."
        )
    if isinstance(latent.posterior, Categorical):
        found = latent.posterior.logits.shape
        require(
            found == (number,),
            f"enumerated got {number} values for group {group}, whose posterior has logits of shape {found}; wanted all "
            "classes of one variable.",
        )
    require_path(others)
