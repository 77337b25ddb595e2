"""Elementary functions written so that float32 keeps their digits: differences of nearly equal terms, and small tails."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def as_floats(value: Any) -> Float[Array, "*shape"]:
    """A number or an array as an array of floating-point numbers: of its own type if it has one, else of the default."""
    return jnp.asarray(value, jnp.result_type(float, value))


@jax.custom_jvp
def expm1_minus(t: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """e^t - 1 - t, which is >= 0; by its series where |t| < 0.3, since expm1(t) and t share their leading digits there.

    The derivative is expm1(t), which autodiff would form as e^t - 1 and lose.
    """
    series = 0.5 * t * t * (1.0 + t / 3.0 * (1.0 + t / 4.0 * (1.0 + t / 5.0 * (1.0 + t / 6.0 * (1.0 + t / 7.0)))))
    return jnp.where(jnp.abs(t) < 0.3, series, jnp.expm1(t) - t)


@expm1_minus.defjvp
def _expm1_minus_jvp(primals, tangents):
    (t,), (d_t,) = primals, tangents
    return expm1_minus(t), jnp.expm1(t) * d_t


def log1mexp(a: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """ln(1 - e^-a) for a > 0, where 1 - e^-a is never rounded to 0 or 1 (Maechler 2012, equation 7).

    The unused branch is fed a harmless argument, so that its derivative cannot spoil the gradient.
    """
    small = a < math.log(2.0)
    return jnp.where(small, jnp.log(-jnp.expm1(-jnp.where(small, a, 1.0))), jnp.log1p(-jnp.exp(-jnp.where(small, 1.0, a))))


def stirling_error(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """R(z) = ln Gamma(z + 1) - [ z ln z - z + 1/2 ln(2 pi z) ] for z > 0, what Stirling's formula leaves out.

    From z = 4 on by its series 1/(12 z) - 1/(360 z^3) + 1/(1260 z^5) - 1/(1680 z^7), whose next term is under 4e-9; below by
    four steps of R(z) = R(z + 1) + (z + 1/2) ln(1 + 1/z) - 1, each of them positive, where the two sides of the definition
    would share their digits. (DLMF 5.11.1; Loader 2000, "Fast and accurate computation of binomial probabilities".)
    """
    small = z < 4.0
    start = jnp.where(small, z, 1.0)
    inverse = 1.0 / jnp.where(small, start + 4.0, z)
    square = inverse * inverse
    series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)))
    below_one = jnp.minimum(start, 1.0)
    direct = (below_one + 0.5) * (jnp.log1p(below_one) - jnp.log(below_one)) - 1.0
    steps = jnp.where(start < 1.0, direct, _stirling_step(start)) + sum(_stirling_step(start + k) for k in (1, 2, 3))
    return series + jnp.where(small, steps, 0.0)


def _stirling_step(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """(z + 1/2) ln(1 + 1/z) - 1 for z >= 1: with w = 1 / (2 z + 1), for which ln(1 + 1/z) = 2 atanh(w), w^2/3 + w^4/5 + ..."""
    square = jnp.square(1.0 / (2.0 * z + 1.0))
    terms = 1 / 9 + square * (1 / 11 + square * (1 / 13 + square / 15))
    return square * (1 / 3 + square * (1 / 5 + square * (1 / 7 + square * terms)))


def magnitude(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """|x| with derivative 1 at 0, whatever the convention of `jnp.abs`; a 0 there would spoil second derivatives of even
    functions."""
    return jnp.where(x >= 0, x, -x)


@jax.custom_jvp
def sigmoid(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """1 / (1 + e^-x), whose derivative sigmoid(x) sigmoid(-x) keeps both tails: `jax.nn.sigmoid` forms s (1 - s), 0 from 17 on,
    where a gate that lets through a large divergence still has a gradient."""
    return jax.nn.sigmoid(x)


@sigmoid.defjvp
def _sigmoid_jvp(primals, tangents):
    (x,), (d_x,) = primals, tangents
    return sigmoid(x), sigmoid(x) * sigmoid(-x) * d_x
