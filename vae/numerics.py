"""Elementary functions written so that float32 keeps their digits: differences of nearly equal terms, and small tails."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


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
    """ln Gamma(z + 1) - [ z ln z - z + 1/2 ln(2 pi z) ] for z > 0, what Stirling's formula leaves out.

    Beyond z = 8 by its series 1/(12 z) - 1/(360 z^3) + 1/(1260 z^5), whose next term is under 3e-10; there the two sides of the
    difference are large and share their digits. (Loader 2000, "Fast and accurate computation of binomial probabilities".)
    """
    large = z > 8.0
    inverse = 1.0 / jnp.where(large, z, 8.0)
    square = inverse * inverse
    series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square / 1260.0))
    near = jnp.where(large, 1.0, z)
    direct = jax.lax.lgamma(near + 1.0) - ((near + 0.5) * jnp.log(near) - near + HALF_LOG_TWO_PI)
    return jnp.where(large, series, direct)


def magnitude(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """|x| with derivative 1 at 0. `jnp.abs` has derivative 0 there, which makes second derivatives of even functions wrong."""
    return jnp.where(x >= 0, x, -x)
