"""A logistic density cut into the 256 values of a pixel."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, sum_over_event
from vae.requirements import require_same_shape
from vae.special.elementary import log1mexp

LARGEST = 255.0


@distribution
class DiscretisedLogistic:
    """Logistic distribution rounded to {0, ..., 255}, with independent components over an array of any shape.

        P(x) = sigmoid(u) - sigmoid(v),   u = (x + 1/2 - location) / scale,   v = (x - 1/2 - location) / scale

    where the first bin reaches to -infinity and the last to +infinity, so that the 256 values sum to one.

    location:  centre of the density, in units of pixel values (0 to 255).
    log_scale: log of the scale in the same units, the same shape.

    Raises ValueError for shapes that differ. (Kingma et al. 2016, appendix; Salimans et al. 2017, equation 2.)
    """

    location: Float[Array, "*event"]
    log_scale: Float[Array, "*event"]

    data_space: ClassVar[DataSpace] = "uint8"
    reparameterised: ClassVar[bool] = False

    def __post_init__(self):
        require_same_shape("DiscretisedLogistic", location=self.location, log_scale=self.log_scale)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """sum_{k < 255} P(x > k), the exact mean of the rounded variable."""
        return discretised_logistic_mean(self.location, self.log_scale)

    @property
    def mode(self) -> Float[Array, "*event"]:
        """The value nearest to the location, or the edge that has collected more."""
        nearest = jnp.clip(jnp.round(self.location), 0.0, LARGEST)
        candidates = jnp.stack([nearest, jnp.zeros_like(nearest), jnp.full_like(nearest, LARGEST)])
        best = jnp.argmax(jax.vmap(self.element_log_prob)(candidates), axis=0)
        return jnp.take_along_axis(candidates, best[None], axis=0)[0]

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """A logistic draw, rounded and clipped to 0..255; not differentiable."""
        return sample_discretised_logistic(key, self.location, self.log_scale)

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log probability."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Array) -> Float[Array, ""]:
        """Log probability of the values 0..255 (bytes or floats) in nats, summed over the event."""
        return sum_over_event(self, value)

    def element_log_prob(self, value: Array) -> Float[Array, "*event"]:
        """Log probability of each component in nats."""
        return discretised_logistic_log_prob(self.location, self.log_scale, value)


def discretised_logistic_log_prob(
    location: Float[Array, "*event"], log_scale: Float[Array, "*event"], value: Array
) -> Float[Array, "*event"]:
    """ln P(x) elementwise, from the identity

        sigmoid(u) - sigmoid(v) = sigmoid(u) sigmoid(-v) (1 - e^-(u - v)),   u - v = 1 / scale

    which has no difference to cancel: three log probabilities are added, however far the value lies in a tail. The first bin
    keeps sigmoid(u) alone and the last sigmoid(-v). Edges are formed in pixel units, where x + 1/2 is exact, so that
    neighbouring bins share the very same edge and the sum stays one at any scale.
    """
    value = jnp.asarray(value).astype(jnp.result_type(float, location))
    inverse_scale = jnp.exp(-log_scale)
    below_upper = jax.nn.log_sigmoid((value + 0.5 - location) * inverse_scale)
    above_lower = jax.nn.log_sigmoid((location - (value - 0.5)) * inverse_scale)
    inside = below_upper + above_lower + log1mexp(inverse_scale)
    return jnp.where(value <= 0, below_upper, jnp.where(value >= LARGEST, above_lower, inside))


def sample_discretised_logistic(key: Array, location: Array, log_scale: Array) -> Array:
    """round(location + scale * L) clipped to 0..255, L ~ Logistic(0, 1)."""
    noise = jax.random.logistic(key, jnp.shape(location), jnp.result_type(float, location))
    return jnp.clip(jnp.round(location + jnp.exp(log_scale) * noise), 0.0, LARGEST)


def discretised_logistic_mean(location: Array, log_scale: Array) -> Array:
    """sum over the edges k + 1/2, k = 0..254, of sigmoid((location - k - 1/2) / scale)."""

    def above(edge):
        return jax.nn.sigmoid((location - edge) * jnp.exp(-log_scale))

    return jnp.sum(jax.vmap(above)(jnp.arange(LARGEST) + 0.5), axis=0)
