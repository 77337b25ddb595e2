"""The von Mises distribution of angles."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions._angle import angular_log_density, sample_angle
from vae.distributions._sphere import require_concentration
from vae.distributions.base import DataSpace, distribution, require_value
from vae.distributions.von_mises_fisher import VON_MISES_FISHER
from vae.requirements import require_same_shape
from vae.special import von_mises_fisher_information
from vae.special.elementary import as_floats

_LOG_TWO_PI = math.log(2.0 * math.pi)


@distribution
class VonMises:
    """Independent von Mises distributions of angles, over an array of any shape.

        log p(x) = sum_i [ kappa_i cos(x_i - angle_i) - ln(2 pi) - ln I_0(kappa_i) ]

    angle:         mean direction in radians, any shape.
    concentration: kappa >= 0, the same shape; 0 is the uniform distribution on the circle.

    Draws lie in [-pi, pi] and carry exact pathwise gradients: 1 in the angle, and in kappa by implicit differentiation of the
    distribution function, for a loss with the period 2 pi: feed a decoder the cosine and the sine. Log densities count values
    modulo 2 pi. Raises ValueError for shapes that differ or a concentration below 0.
    (Mardia & Jupp 2000, section 3.5.4.)
    """

    angle: Float[Array, "*event"]
    concentration: Float[Array, "*event"]

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        require_same_shape("VonMises", angle=self.angle, concentration=self.concentration)
        require_concentration("VonMises", self.concentration)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """The mean direction, an angle."""
        return self.angle

    @property
    def mode(self) -> Float[Array, "*event"]:
        """The mean direction."""
        return self.angle

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """Draw angles: their distance from the mean direction from 20 proposals, then a sign."""
        return self.sample_and_log_prob(key)[0]

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log density, taken from the distance itself."""
        key_distance, key_sign = jax.random.split(key)
        dtype = jnp.result_type(self.angle, self.concentration, jnp.float32)
        concentration = jnp.asarray(self.concentration, dtype)
        distance = sample_angle(VON_MISES_FISHER, key_distance, 2, concentration)
        sign = jax.random.rademacher(key_sign, jnp.shape(distance), dtype)
        return _wrap(self.angle + sign * distance), jnp.sum(_log_density(distance, concentration))

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log density in nats, summed over the event."""
        require_value(self, value, jnp.shape(self.angle))
        return jnp.sum(_log_density(value - self.angle, as_floats(self.concentration)))

    def entropy(self) -> Float[Array, ""]:
        """H = sum_i [ ln(2 pi) + ln I_0(kappa_i) - kappa_i A(kappa_i) ], A = I_1/I_0, in nats."""
        return jnp.sum(_LOG_TWO_PI - von_mises_fisher_information(2, self.concentration))


def _log_density(difference, concentration):
    squares = jnp.square(jnp.sin(0.5 * difference)), jnp.square(jnp.cos(0.5 * difference))
    return angular_log_density(VON_MISES_FISHER, 2, concentration, *squares) - _LOG_TWO_PI


def _wrap(angle):
    """The same angle in [-pi, pi], with derivative 1."""
    turns = jax.lax.stop_gradient(jnp.round(angle / (2.0 * math.pi)))
    return angle - 2.0 * math.pi * turns
