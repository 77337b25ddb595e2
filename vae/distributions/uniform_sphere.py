"""The uniform distributions of a direction: over the unit sphere as vectors, and over the circle as angles."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions._sphere import log_sphere_area, uniform_on_sphere
from vae.distributions.base import DataSpace, distribution, require_value, static_field


@distribution
class UniformSphere:
    """Uniform distribution on the unit sphere S^(m-1) of R^m, the usual prior of a hyperspherical latent.

        log p(z) = -ln area,   area = 2 pi^(m/2) / Gamma(m/2)

    dim: m >= 2, the ambient dimension: the number of entries of a value. Static. There is no mode.
    Raises ValueError for a dimension below 2.
    """

    dim: int = static_field()

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        if not isinstance(self.dim, int) or self.dim < 2:
            raise ValueError(f"UniformSphere got dim {self.dim!r}; wanted an integer >= 2, the number of entries of a value.")

    @property
    def mean(self) -> Float[Array, "dim"]:
        """Zero."""
        return jnp.zeros(self.dim)

    def sample(self, key: Array) -> Float[Array, "dim"]:
        """Draw a unit vector: a normalised Gaussian."""
        return uniform_on_sphere(key, self.dim, jnp.result_type(float))

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "dim"], Float[Array, ""]]:
        """A draw and its log density."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Float[Array, "dim"]) -> Float[Array, ""]:
        """Log density of a unit vector with respect to the area of the sphere, in nats; the same everywhere."""
        require_value(self, value, (self.dim,))
        return jnp.full((), -log_sphere_area(self.dim), jnp.result_type(value, float))

    def entropy(self) -> Float[Array, ""]:
        """ln area, in nats."""
        return jnp.asarray(log_sphere_area(self.dim))


@distribution
class UniformCircle:
    """Independent uniform angles on [-pi, pi), the prior of `VonMises`; a value has the `shape` given, () for one angle.

        log p(x) = -n ln(2 pi)   for n angles

    shape: of a value, static. There is neither a mean direction nor a mode.
    Raises ValueError for a shape that is not a tuple of integers.
    """

    shape: tuple[int, ...] = static_field(default=())

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        if not isinstance(self.shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in self.shape):
            raise ValueError(f"UniformCircle got shape {self.shape!r}; wanted a tuple of integers >= 0, (3,) for three angles.")

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """Draw angles in radians."""
        return jax.random.uniform(key, self.shape, minval=-math.pi, maxval=math.pi)

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log density."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log density in nats, summed over the event; angles count modulo 2 pi."""
        require_value(self, value, self.shape)
        return jnp.full((), -math.prod(self.shape) * math.log(2.0 * math.pi), jnp.result_type(value, float))

    def entropy(self) -> Float[Array, ""]:
        """n ln(2 pi), in nats."""
        return jnp.asarray(math.prod(self.shape) * math.log(2.0 * math.pi))
