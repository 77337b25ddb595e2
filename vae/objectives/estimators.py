"""Gradient estimators of importance-weighted bounds.

An estimator maps (draw, frozen_draw, keys) to `Scored` samples with a leading axis, one per key. All of them give the same log
weights; how a gradient flows through these is what differs. `draw` scores with the posterior's parameters, `frozen_draw` with
those parameters stopped: only the parameters, since a deeper group's density still depends on the sampled value of its
ancestor (stopping whole distributions biases the gradient).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.objectives.core import log_ratio, log_weight, terms_of
from vae.types import Key, Params, PyTree, Terms


class Scored(NamedTuple):
    """One sample of the latent variables and its numbers.

    log_weight: log p(x, z) / q(z | x), in nats.
    values:     the sampled groups.
    terms:      the terms of the ELBO at this sample.
    statistics: the model's statistics.
    """

    log_weight: Float[Array, "*samples"]
    values: tuple
    terms: Terms
    statistics: PyTree


Draw = Callable[..., Scored]
Estimator = Callable[[Draw, Draw, Array], Scored]


def frozen_posterior(params: Params) -> Params:
    """The parameters with those of the posterior stopped."""
    return params | {"posterior": jax.lax.stop_gradient(params["posterior"])}


def scored(draw: Callable, x: PyTree) -> Draw:
    """A model's draw, reduced to numbers at once: what holds parameters must not be copied per sample."""

    def score(key: Key, values: tuple = ()) -> Scored:
        trace = draw(key, values)
        sampled = tuple(latent.value for latent in trace.latents)
        return Scored(log_weight(trace, x), sampled, terms_of(trace, x, log_ratio, key), trace.statistics)

    return score


def reparameterised(draw: Draw, frozen_draw: Draw, keys: Array) -> Scored:
    """The total derivative, through the sample and through the density. (Burda et al. 2016, eq. 13.)"""
    return jax.vmap(draw)(keys)


def sticking_the_landing(draw: Draw, frozen_draw: Draw, keys: Array) -> Scored:
    """The path through the sample alone; the score of the posterior, which has mean zero for one sample, is left out.

    Its variance vanishes where the posterior is exact. With more than one sample what is left out no longer has mean zero;
    `doubly_reparameterised` is unbiased. (Roeder et al. 2017, eq. 7.)
    """
    return jax.vmap(frozen_draw)(keys, jax.vmap(draw)(keys).values)


def doubly_reparameterised(draw: Draw, frozen_draw: Draw, keys: Array) -> Scored:
    """Each sample's path weighted by its normalised weight once more, so that the posterior's gradient is

        sum_k w_k^2 (d log w_k / d z_k) (d z_k / d phi),    w = softmax(log weights)

    which is unbiased, with a signal-to-noise ratio that does not fall with the number of samples. The generative parameters
    get the usual gradient. (Tucker et al. 2019, eq. 8.)
    """
    first = jax.vmap(draw)(keys)
    weights = jax.lax.stop_gradient(jax.nn.softmax(first.log_weight))
    return jax.vmap(frozen_draw)(keys, jax.vmap(scale_gradient)(first.values, weights))


@jax.custom_vjp
def scale_gradient(values: PyTree, scale: Float[Array, ""]) -> PyTree:
    """The values unchanged; their gradient times `scale`."""
    return values


def _scale_forward(values, scale):
    return values, scale


def _scale_backward(scale, cotangents):
    scaled = jax.tree.map(lambda g: g * scale if jnp.issubdtype(g.dtype, jnp.floating) else g, cotangents)
    return scaled, jnp.zeros_like(scale)


scale_gradient.defvjp(_scale_forward, _scale_backward)
