"""The Gaussian with independent components."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, require_value
from vae.requirements import require_same_shape
from vae.special.elementary import HALF_LOG_TWO_PI


@distribution
class Normal:
    """Diagonal Gaussian N(mean, diag(exp(log_std))^2) over an array of any shape.

        log p(z) = - sum_i [ 1/2 ((z_i - mean_i) / std_i)^2 + log_std_i + 1/2 ln(2 pi) ]

    mean:    location, any shape.
    log_std: log of the standard deviation, the same shape. Log space keeps the scale positive and its gradient alive from
             exp(-30) to exp(30).
    """

    mean: Float[Array, "*event"]
    log_std: Float[Array, "*event"]

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        require_same_shape("Normal", mean=self.mean, log_std=self.log_std)

    @property
    def mode(self) -> Float[Array, "*event"]:
        """The mean."""
        return self.mean

    @property
    def std(self) -> Float[Array, "*event"]:
        """exp(log_std)."""
        return jnp.exp(self.log_std)

    @property
    def variance(self) -> Float[Array, "*event"]:
        """exp(2 log_std)."""
        return jnp.exp(2.0 * self.log_std)

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """z = mean + std * eps with eps ~ N(0, I): the reparameterisation of Kingma & Welling 2014, section 2.4."""
        return self.sample_and_log_prob(key)[0]

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """The draw and its log density, taken from the noise itself: the draw is never divided by the scale again."""
        noise = jax.random.normal(key, jnp.shape(self.mean), jnp.result_type(float, self.mean))
        value = self.mean + jnp.exp(self.log_std) * noise
        return value, -0.5 * jnp.sum(jnp.square(noise)) - self._log_normaliser()

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log density in nats, summed over the event."""
        require_value(self, value, jnp.shape(self.mean))
        flat, value = jax.tree.map(jnp.ravel, (self, value))  # see `base.sum_over_event`
        return -0.5 * jnp.sum(jnp.square(flat._standardised(value))) - flat._log_normaliser()

    def element_log_prob(self, value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        """Log density of each component in nats."""
        return -(0.5 * jnp.square(self._standardised(value)) + self.log_std + HALF_LOG_TWO_PI)

    def _standardised(self, value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        return (value - self.mean) * jnp.exp(-self.log_std)

    def _log_normaliser(self) -> Float[Array, ""]:
        """sum_i log_std_i + 1/2 ln(2 pi): summed apart from the squares, so that many values of one Gaussian share it."""
        return jnp.sum(self.log_std + HALF_LOG_TWO_PI)

    def entropy(self) -> Float[Array, ""]:
        """H = sum_i [ log_std_i + 1/2 ln(2 pi e) ], in nats."""
        return jnp.sum(self.log_std + (HALF_LOG_TWO_PI + 0.5))


def standard_normal(shape: int | tuple[int, ...]) -> Normal:
    """N(0, I) over `shape`, the usual prior."""
    return Normal(mean=jnp.zeros(shape), log_std=jnp.zeros(shape))
