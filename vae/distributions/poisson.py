"""Counts of independent events."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, sum_over_event
from vae.special.elementary import HALF_LOG_TWO_PI, expm1_minus
from vae.special.gamma import stirling_error

ROUNDED_NORMAL_ABOVE = 1e6


@distribution
class Poisson:
    """Poisson distribution with independent components over an array of any shape.

        log p(x) = sum_i [ x_i log_rate_i - exp(log_rate_i) - ln x_i! ]

    log_rate: log of the mean, any shape; finite from -70 to 70 (rates 1e-30 to 1e30).
    """

    log_rate: Float[Array, "*event"]

    data_space: ClassVar[DataSpace] = "count"
    reparameterised: ClassVar[bool] = False

    @property
    def mean(self) -> Float[Array, "*event"]:
        """exp(log_rate)."""
        return jnp.exp(self.log_rate)

    @property
    def mode(self) -> Float[Array, "*event"]:
        """floor(rate)."""
        return jnp.floor(jnp.exp(self.log_rate))

    @property
    def variance(self) -> Float[Array, "*event"]:
        """exp(log_rate)."""
        return jnp.exp(self.log_rate)

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """Counts as floats; not differentiable. Beyond a rate of 1e6, where the counts of `jax.random.poisson` near the end of
        its integers and float32 the end of its own, a rounded Gaussian, whose total variation distance is under 1e-3."""
        count_key, normal_key = jax.random.split(key)
        rate = jnp.exp(self.log_rate)
        counted = jax.random.poisson(count_key, jnp.minimum(rate, ROUNDED_NORMAL_ABOVE), jnp.shape(rate)).astype(rate.dtype)
        spread = jnp.sqrt(rate) * jax.random.normal(normal_key, jnp.shape(rate), rate.dtype)
        return jnp.where(rate > ROUNDED_NORMAL_ABOVE, jnp.round(rate + spread), counted)

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log probability."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Array) -> Float[Array, ""]:
        """Log probability of counts (integers or floats) in nats, summed over the event."""
        return sum_over_event(self, value)

    def element_log_prob(self, value: Array) -> Float[Array, "*event"]:
        """Log probability of each count in nats, as Loader (2000) writes it: with t = log_rate - ln x,

            ln p(x) = - x (e^t - 1 - t) - stirling_error(x) - 1/2 ln(2 pi x),   and -rate at x = 0

        The textbook form subtracts numbers of the size of x ln x, which costs a whole nat at a million counts.
        """
        value = jnp.asarray(value).astype(jnp.result_type(float, self.log_rate))
        positive = jnp.where(value > 0, value, 1.0)
        log_count = jnp.log(positive)
        deviance = positive * expm1_minus(self.log_rate - log_count)
        counted = -deviance - stirling_error(positive) - HALF_LOG_TWO_PI - 0.5 * log_count
        return jnp.where(value > 0, counted, -jnp.exp(self.log_rate))
