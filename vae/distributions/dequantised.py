"""Densities of real numbers, as likelihoods of bytes."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, is_density, is_reparameterised, of_base

LEVELS = 256


@distribution
class Dequantised:
    """A density over [0, 1]-scaled pixels, as a density of y = x + u with x in {0, ..., 255} and u ~ Uniform[0, 1).

        log p(y) = log base(y / 256) - D ln 256,   D the number of dimensions

    so that its unit is nats per byte image: the change of variables costs ln 256 = 5.545 nats, or 8 bits, per dimension, and a
    likelihood reported without it is that much too good. By Jensen's inequality E_u[log p(x + u)] <= log P(x), where
    P(x) = integral of p over the unit cube at x: a bound on the likelihood of the bytes.

    base: any density over an array of the shape of the image.

    A value is y, from `dequantise(key, x)`, once per step and with fresh noise. Bytes themselves are refused: their density
    at the corner of the cube says nothing of its volume. (Theis et al. 2016, section 3.1.)
    """

    base: Any  # Distribution, and the moments it has

    data_space: ClassVar[DataSpace] = "uint8"
    reparameterised = of_base(is_reparameterised)
    is_density = of_base(is_density)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """256 times the mean of the base, in units of y: 1/2 more than that of x."""
        return LEVELS * self.base.mean

    @property
    def mode(self) -> Float[Array, "*event"]:
        """256 times the mode of the base, in units of y."""
        return LEVELS * self.base.mode

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """A draw of y; `quantise` rounds it down to a byte."""
        return LEVELS * self.base.sample(key)

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw of y and its log density."""
        value, log_prob = self.base.sample_and_log_prob(key)
        return LEVELS * value, log_prob - value.size * jnp.log(float(LEVELS))

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log density of y in nats. Raises TypeError for integers."""
        value = jnp.asarray(value)
        if not jnp.issubdtype(value.dtype, jnp.floating):
            raise TypeError(f"Dequantised got values of type {value.dtype}; wanted bytes with noise: use dequantise(key, x).")
        return self.base.log_prob(value / LEVELS) - value.size * jnp.log(float(LEVELS))


def dequantise(key: Array, pixels: Array) -> Float[Array, "*event"]:
    """x + u with u ~ Uniform[0, 1) for each pixel, kept below x + 1 in float32."""
    noise = jax.random.uniform(key, jnp.shape(pixels), maxval=1.0 - 2.0**-15)
    return jnp.asarray(pixels).astype(noise.dtype) + noise


def quantise(value: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """floor(y) clipped to 0..255: the byte whose cell y lies in."""
    return jnp.clip(jnp.floor(value), 0.0, LEVELS - 1.0)
