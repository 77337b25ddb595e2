"""The Pareto shape k of importance weights: whether their mean can be trusted.

The largest weights are fitted by a generalised Pareto distribution. Weights whose tail has shape k have 1/k finite moments:
below 1/2 the variance is finite and the Monte Carlo error means what it says, above 0.7 it takes impractically many samples.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

UNRELIABLE = 0.7
"""Above this shape neither the mean of the weights nor its error is to be believed. (Vehtari et al. 2024.)"""
SHORTEST_TAIL = 5
PRIOR_SHAPE, PRIOR_SIZE = 0.5, 10
"""The shape is drawn to 1/2 as if by ten more weights. (Vehtari et al. 2024.)"""
SMALLEST_EXCEEDANCE = 1e-30


def tail_length(samples: int) -> int:
    """M = ceil(min(K / 5, 3 sqrt(K))), the number of weights that count as the tail of K. (Vehtari et al. 2024.)"""
    return math.ceil(min(samples / 5, 3 * math.sqrt(samples)))


def pareto_k(log_weights: Float[Array, "samples"]) -> Float[Array, ""]:
    """The shape k of the tail of importance weights, from their logarithms up to a constant.

    Not a number for fewer than 21 samples, whose tail is too short, and for weights that are all the same.
    (Pareto smoothed importance sampling, Vehtari et al. 2024.)
    """
    largest = jnp.full(tail_length(log_weights.shape[0]) + 1, -jnp.inf)
    return tail_shape(keep_largest(largest, log_weights))


def keep_largest(largest: Float[Array, "size"], log_weights: Float[Array, "more"]) -> Float[Array, "size"]:
    """The largest of both, as many as there were, in descending order: the tail of a stream of weights in constant memory."""
    return jax.lax.top_k(jnp.concatenate([largest, log_weights]), largest.shape[0])[0]


def tail_shape(largest: Float[Array, "size"]) -> Float[Array, ""]:
    """k from the M + 1 largest log weights in descending order, the last of which is the threshold that M exceed."""
    size = largest.shape[0] - 1
    if size < SHORTEST_TAIL:
        return jnp.asarray(jnp.nan)
    threshold, tail = largest[-1], largest[-2::-1]
    exceedances = -jnp.expm1(threshold - tail) * jnp.exp(tail - largest[0])
    shape = generalised_pareto_shape(jnp.maximum(exceedances, SMALLEST_EXCEEDANCE))
    shrunk = (size * shape + PRIOR_SIZE * PRIOR_SHAPE) / (size + PRIOR_SIZE)
    return jnp.where(largest[0] > threshold, shrunk, jnp.nan)


def generalised_pareto_shape(exceedances: Float[Array, "size"]) -> Float[Array, ""]:
    """The shape k of a generalised Pareto distribution from a sample in ascending order, all above 0.

        p(x) = (1 / sigma) (1 + k x / sigma)^(-1/k - 1)

    With theta = -k / sigma the likelihood is maximal over k at k(theta) = mean log(1 - theta x), which leaves a profile
    L(theta) = n [ log(-theta / k(theta)) - k(theta) - 1 ]. The estimate is k at the mean of theta under a prior on m points,

        theta_j = 1 / x_max + (1 - sqrt(m / (j - 1/2))) / (3 x_quartile),    m = 30 + floor(sqrt(n)),

    weighted by exp(L): no search, no failure, any shape. The sign of k is that of the tail: above 0 it is heavy.
    (Zhang & Stephens 2009, whose k is -k here; the number of points is that of Vehtari et al. 2024.)
    """
    size = exceedances.shape[0]
    points = 30 + math.isqrt(size)
    spread = 1.0 - jnp.sqrt(points / (jnp.arange(points) + 0.5))
    theta = 1.0 / exceedances[-1] + spread / (3.0 * exceedances[math.floor(size / 4 + 0.5) - 1])

    def shape_of(theta):
        return jnp.mean(jnp.log1p(-theta * exceedances))

    shapes = jax.vmap(shape_of)(theta)
    profile = size * (jnp.log(-theta / shapes) - shapes - 1.0)
    return shape_of(jnp.sum(jax.nn.softmax(profile) * theta))
