"""The Laplace distribution with independent components."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, sum_over_event
from vae.requirements import require_same_shape

LOG_TWO = math.log(2.0)


@distribution
class Laplace:
    """Laplace (double exponential) with independent components over an array of any shape.

        log p(z) = - sum_i [ |z_i - mean_i| / scale_i + log_scale_i + ln 2 ]

    mean:      location, any shape.
    log_scale: log of the scale b (the standard deviation is sqrt(2) b), the same shape.
    """

    mean: Float[Array, "*event"]
    log_scale: Float[Array, "*event"]

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        require_same_shape("Laplace", mean=self.mean, log_scale=self.log_scale)

    @property
    def mode(self) -> Float[Array, "*event"]:
        """The mean."""
        return self.mean

    @property
    def scale(self) -> Float[Array, "*event"]:
        """exp(log_scale)."""
        return jnp.exp(self.log_scale)

    @property
    def variance(self) -> Float[Array, "*event"]:
        """2 exp(2 log_scale)."""
        return 2.0 * jnp.exp(2.0 * self.log_scale)

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """z = mean + scale * eps with eps a standard Laplace variable; differentiable in both parameters."""
        return self.sample_and_log_prob(key)[0]

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """The draw and its log density, taken from the noise itself."""
        noise = jax.random.laplace(key, jnp.shape(self.mean), jnp.result_type(float, self.mean))
        value = self.mean + jnp.exp(self.log_scale) * noise
        return value, -jnp.sum(jnp.abs(noise) + self.log_scale + LOG_TWO)

    def element_log_prob(self, value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        """Log density of each component in nats."""
        standardised = (value - self.mean) * jnp.exp(-self.log_scale)
        return -(jnp.abs(standardised) + self.log_scale + LOG_TWO)

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log density in nats, summed over the event."""
        return sum_over_event(self, value)

    def entropy(self) -> Float[Array, ""]:
        """H = sum_i [ 1 + ln 2 + log_scale_i ], in nats."""
        return jnp.sum(self.log_scale + (1.0 + LOG_TWO))
