"""The power spherical distribution."""

import functools
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions import _sphere as sphere
from vae.distributions._angle import AngularFamily, draw_by_rejection
from vae.distributions.base import DataSpace, distribution, require_value
from vae.special import power_spherical_information, power_spherical_mean_log


def _statistic(sine_squared, cosine_squared):
    """ln((1 + cos theta) / 2) = ln cos^2(theta/2), from the square that is accurate; at least ln 1e-30."""
    near = jnp.log1p(-jnp.minimum(sine_squared, 0.5))
    far = jnp.log(jnp.maximum(cosine_squared, 1e-30))
    return jnp.where(sine_squared < 0.5, near, far)


def _difference(angle, step):
    """2 ln[cos((theta + h)/2) / cos(theta/2)], kept finite where rounding takes theta + h beyond pi."""
    change = -jnp.tan(0.5 * angle) * jnp.sin(0.5 * step) - 2.0 * jnp.square(jnp.sin(0.25 * step))
    return 2.0 * jnp.log1p(jnp.maximum(change, -1.0 + 1e-7))


def _slope(angle):
    return -jnp.tan(0.5 * angle)


def _bend(angle):
    return 0.5 / jnp.square(jnp.cos(0.5 * angle))


def _draw(key, dim, concentration):
    """(1 - cos theta)/2 ~ Beta(b, b + kappa) by rejection."""
    concentration = concentration[None]  # an axis for the proposals
    acceptance = functools.partial(log_acceptance, dim, concentration)
    return draw_by_rejection(key, dim, proposal_scale(dim, concentration), acceptance)


def proposal_scale(dim, concentration):
    """b / (b + kappa), the scale of the proposals that are accepted most often."""
    half = 0.5 * (dim - 1)
    return half / (half + concentration)


def log_acceptance(dim, concentration, distance):
    """kappa ln(1 - h) + 2b ln(1 + kappa h / (2b)), h = (1 + scale) distance; the slopes cancel at h = 0, where it is 0."""
    h = (1.0 + proposal_scale(dim, concentration)) * distance
    loss = concentration * jnp.log1p(-jnp.minimum(h, 1.0 - 1e-7))
    return loss + (dim - 1) * jnp.log1p(concentration / (dim - 1) * h)


POWER_SPHERICAL = AngularFamily(
    statistic=_statistic,
    difference=_difference,
    slope=_slope,
    bend=_bend,
    deficit=power_spherical_mean_log,
    information=power_spherical_information,
    draw=_draw,
)


@distribution
class PowerSpherical:
    """Power spherical distribution on the unit sphere S^(m-1) of R^m, a density with respect to the area of the sphere.

        log p(z) = kappa ln(1 + <direction, z>) - (a + b) ln 2 - b ln pi - ln Gamma(a) + ln Gamma(a + b)
        b = (m - 1)/2,   a = b + kappa

    direction:     unit vector, shape (m,), m >= 2 the ambient dimension.
    concentration: kappa >= 0, scalar; 0 is the uniform distribution.

    Close to von Mises-Fisher, without Bessel functions, and 0 at the antipode of the direction: (1 + <direction, z>)/2 counts
    as at least 1e-30 there, so that the logarithm and its gradient stay finite. Draws carry exact pathwise gradients: in the
    direction through a rotation, in kappa by implicit differentiation of the distribution function of the angle. Raises
    ValueError for a direction that is not a unit vector or a concentration below 0. (De Cao & Aziz 2020.)
    """

    direction: Float[Array, "dim"]
    concentration: Float[Array, ""]

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        sphere.require_direction("PowerSpherical", self.direction)
        sphere.require_scalar("PowerSpherical", concentration=self.concentration)
        sphere.require_concentration("PowerSpherical", self.concentration)

    @property
    def dim(self) -> int:
        """m, the number of entries of a value."""
        return jnp.shape(self.direction)[0]

    @property
    def mean(self) -> Float[Array, "dim"]:
        """E[z] = kappa / (kappa + m - 1) direction; inside the sphere, not on it."""
        return self.concentration / (self.concentration + (self.dim - 1)) * self.direction

    @property
    def mode(self) -> Float[Array, "dim"]:
        """The direction."""
        return self.direction

    def sample(self, key: Array) -> Float[Array, "dim"]:
        """Draw a unit vector: its angle from 20 proposals, then a reflection."""
        return self.sample_and_log_prob(key)[0]

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "dim"], Float[Array, ""]]:
        """A draw and its log density, taken from the angle itself."""
        return sphere.sphere_sample_and_log_prob(POWER_SPHERICAL, self.direction, self.concentration, key)

    def log_prob(self, value: Float[Array, "dim"]) -> Float[Array, ""]:
        """Log density of a unit vector, in nats."""
        require_value(self, value, (self.dim,))
        return sphere.sphere_log_prob(POWER_SPHERICAL, self.direction, self.concentration, value)

    def entropy(self) -> Float[Array, ""]:
        """H = ln(area of the sphere) - KL from the uniform distribution, in nats."""
        return sphere.log_sphere_area(self.dim) - power_spherical_information(self.dim, self.concentration)
