"""From a decoder's output to a distribution over data: the only place where that choice is made.

Each function here takes the shape of one example and returns a `Family(outputs, build)`: the shape the network must produce,
and the function that reads such an array as a distribution over one example. Scales leave the network as logarithms and are
bounded smoothly, so that no gradient is cut off.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.bernoulli import Bernoulli
from vae.distributions.normal import Normal
from vae.types import Family

Shape = tuple[int, ...]


def smooth_bound(raw: Float[Array, "*shape"], limit: float) -> Float[Array, "*shape"]:
    """Keep a network's output within (-limit, limit), with slope 1 at 0:

        raw / sqrt(1 + (raw / limit)^2)

    The slope falls off as (limit / |raw|)^3, slowly enough that an output far outside still finds its way back; that of a
    hard clip is 0 there, that of tanh is 0 in float32 beyond nine times the limit.
    """
    return raw * jax.lax.rsqrt(1.0 + jnp.square(raw / limit))


def bernoulli(shape: Shape) -> Family:
    """Binary data: the network gives a logit for each entry of `shape`."""
    return Family(outputs=shape, build=lambda array: Bernoulli(logits=array))


def normal(shape: Shape, log_std: float = 0.0) -> Family:
    """Real data with a fixed standard deviation exp(log_std): the network gives the mean, of shape `shape`.

    -log p(x | z) = |x - mean|^2 / (2 std^2) + a constant, so 1 / (2 std^2) is what weighs the squared error against the KL.
    """

    def build(mean):
        return Normal(mean=mean, log_std=jnp.full_like(mean, log_std))

    return Family(outputs=shape, build=build)


def normal_learned_std(shape: Shape, limit: float = 7.0) -> Family:
    """Real data with a standard deviation for every entry: the network gives (..., 2 C) for data of shape (..., C).

    The first C are the mean, the others the log standard deviation, bounded to (-limit, limit).
    """

    def build(array):
        mean, raw = jnp.split(array, 2, axis=-1)
        return Normal(mean=mean, log_std=smooth_bound(raw, limit))

    return Family(outputs=widened(shape, 2), build=build)


def normal_shared_std(shape: Shape, limit: float = 7.0) -> Family:
    """Real data with one standard deviation for the whole example: the network gives (..., 2 C) for data of shape (..., C).

    The first C are the mean; the log standard deviation is the average of the others, bounded to (-limit, limit).
    """

    def build(array):
        mean, raw = jnp.split(array, 2, axis=-1)
        return Normal(mean=mean, log_std=jnp.full_like(mean, 0.0) + smooth_bound(jnp.mean(raw), limit))

    return Family(outputs=widened(shape, 2), build=build)


def widened(shape: Shape, factor: int) -> Shape:
    """`shape` with `factor` numbers for each entry of its last axis; a scalar counts as one channel."""
    *sites, channels = shape or (1,)
    return (*sites, factor * channels)
