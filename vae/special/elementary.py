"""Elementary functions written so that float32 keeps their digits: differences of nearly equal terms, and small tails."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def as_floats(value: Any) -> Float[Array, "*shape"]:
    """A number or an array as an array of floating-point numbers: of its own type if it has one, else of the default."""
    return jnp.asarray(value, jnp.result_type(float, value))


def bits_of(x: Array) -> int:
    """64 for float64 numbers, otherwise 32: how far a series has to go for them."""
    return 64 if x.dtype == jnp.float64 else 32


def repeated(steps: int, body: Callable[[Any, Any], Any], start: Any) -> Any:
    """body(i, value) for i = 0, ..., steps - 1 from `start`: written out where they are few, a loop where that would take the
    compiler minutes."""
    if steps > 16:
        return jax.lax.fori_loop(0, steps, body, start)
    for i in range(steps):
        start = body(i, start)
    return start


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


@jax.custom_jvp
def clip_in_value(x: Float[Array, "*shape"], low: Any, high: Any) -> Float[Array, "*shape"]:
    """`jnp.clip` with derivative 1 in x beyond the limits too.

    For the logarithm of a draw: the parameters move its law out there as well, and an expectation of it whose clipped draws had
    no slope would have a biased gradient.
    """
    return jnp.clip(x, low, high)


@clip_in_value.defjvp
def _clip_in_value_jvp(primals, tangents):
    return clip_in_value(*primals), tangents[0]


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


def smooth_bound(raw: Float[Array, "*shape"], limit: float) -> Float[Array, "*shape"]:
    """Keep a network's output within (-limit, limit), with slope 1 at 0:

        raw / sqrt(1 + (raw / limit)^2)

    The slope falls off as (limit / |raw|)^3, slowly enough that an output far outside still finds its way back; that of a
    hard clip is 0 there, and that of limit * tanh(raw / limit) is 0 in float32 beyond nine times the limit.
    """
    return raw * jax.lax.rsqrt(1.0 + jnp.square(raw / limit))
