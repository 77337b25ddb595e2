"""The von Mises-Fisher distribution on the unit sphere."""

import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions import _sphere as sphere
from vae.distributions._angle import AngularFamily, draw_by_rejection, half_angle
from vae.distributions.base import DataSpace, distribution, require_value
from vae.special import mean_resultant_length, mean_resultant_shortfall, von_mises_fisher_information


def _statistic(sine_squared, cosine_squared):
    """cos(theta) - 1."""
    return -2.0 * sine_squared


def _difference(angle, step):
    """cos(theta + h) - cos(theta)."""
    return -2.0 * jnp.sin(angle + 0.5 * step) * jnp.sin(0.5 * step)


def _slope(angle):
    return -jnp.sin(angle)


def _bend(angle):
    return jnp.maximum(jnp.cos(angle), 0.0)


def _draw(key, dim, concentration):
    """For m = 3, cos(theta) has an exponential density and is inverted; otherwise rejection as in Wood (1994)."""
    if dim == 3:
        return _draw_by_inversion(key, concentration)
    concentration = concentration[None]  # an axis for the proposals
    acceptance = functools.partial(log_acceptance, dim, concentration)
    return draw_by_rejection(key, dim, proposal_scale(dim, concentration), acceptance)


def _draw_by_inversion(key, concentration):
    """(1 - cos theta)/2 = -ln(1 - v (1 - exp(-2 kappa))) / (2 kappa) with v uniform on (0, 1]."""
    uniform = 1.0 - jax.random.uniform(key, jnp.shape(concentration), concentration.dtype)
    twice = jnp.maximum(2.0 * concentration, jnp.finfo(concentration.dtype).tiny * 1e10)
    mass = jnp.minimum(-uniform * jnp.expm1(-twice), 1.0 - 0.5 * jnp.finfo(concentration.dtype).eps)
    sine_squared = jnp.clip(-jnp.log1p(-mass) / twice, 0.0, 1.0)
    return half_angle(sine_squared, 1.0 - sine_squared)


def proposal_scale(dim, concentration):
    """b of Wood (1994), which accepts most often: 1 / (2r + sqrt(4r^2 + 1)) with r = kappa / (m - 1)."""
    rate = concentration / (dim - 1)
    return 1.0 / (2.0 * rate + jnp.sqrt(4.0 * jnp.square(rate) + 1.0))


def log_acceptance(dim, concentration, distance):
    """(m - 1)(ln(1 + h) - h), h = 2 kappa distance / (m - 1): Wood's test, in the distance from where it always accepts."""
    h = 2.0 * concentration / (dim - 1) * distance
    return (dim - 1) * (jnp.log1p(h) - h)


VON_MISES_FISHER = AngularFamily(
    statistic=_statistic,
    difference=_difference,
    slope=_slope,
    bend=_bend,
    deficit=mean_resultant_shortfall,
    information=von_mises_fisher_information,
    draw=_draw,
)


@distribution
class VonMisesFisher:
    """von Mises-Fisher distribution on the unit sphere S^(m-1) of R^m, a density with respect to the area of the sphere.

        log p(z) = kappa <direction, z> + nu ln kappa - (m/2) ln(2 pi) - ln I_nu(kappa),   nu = m/2 - 1

    direction:     unit vector, shape (m,), m >= 2 the ambient dimension.
    concentration: kappa >= 0, scalar; 0 is the uniform distribution.

    Values are unit vectors; z = direction is the mode. Draws carry exact pathwise gradients: in the direction through a
    rotation, in kappa by implicit differentiation of the distribution function of the angle. Gradients in the direction
    have a meaning along the sphere only, as they have for a direction that was divided by its norm. Raises ValueError for
    a direction that is not a unit vector or a concentration below 0. (Mardia & Jupp 2000, section 9.3.2.)
    """

    direction: Float[Array, "dim"]
    concentration: Float[Array, ""]

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        sphere.require_direction("VonMisesFisher", self.direction)
        sphere.require_scalar("VonMisesFisher", concentration=self.concentration)
        sphere.require_concentration("VonMisesFisher", self.concentration)

    @property
    def dim(self) -> int:
        """m, the number of entries of a value."""
        return jnp.shape(self.direction)[0]

    @property
    def mean(self) -> Float[Array, "dim"]:
        """E[z] = A direction with A = I_{m/2}(kappa) / I_{m/2-1}(kappa); inside the sphere, not on it."""
        return mean_resultant_length(self.dim, self.concentration) * self.direction

    @property
    def mode(self) -> Float[Array, "dim"]:
        """The direction."""
        return self.direction

    def sample(self, key: Array) -> Float[Array, "dim"]:
        """Draw a unit vector: its angle by inversion (m = 3) or from 20 proposals of Wood (1994), then a reflection."""
        return self.sample_and_log_prob(key)[0]

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "dim"], Float[Array, ""]]:
        """A draw and its log density, taken from the angle itself."""
        return sphere.sphere_sample_and_log_prob(VON_MISES_FISHER, self.direction, self.concentration, key)

    def log_prob(self, value: Float[Array, "dim"]) -> Float[Array, ""]:
        """Log density of a unit vector, in nats."""
        require_value(self, value, (self.dim,))
        return sphere.sphere_log_prob(VON_MISES_FISHER, self.direction, self.concentration, value)

    def entropy(self) -> Float[Array, ""]:
        """H = ln(area of the sphere) - [kappa A - ln 0F1(; m/2; kappa^2/4)], in nats."""
        return sphere.log_sphere_area(self.dim) - von_mises_fisher_information(self.dim, self.concentration)
