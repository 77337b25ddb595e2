"""Geometry of the unit sphere, and what the distributions on it share."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae.distributions._angle import AngularFamily, angular_log_density, sample_angle
from vae.requirements import concrete, require
from vae.special.elementary import as_floats

_UNIT_TOLERANCE = 1e-4


def sphere_sample_and_log_prob(
    family: AngularFamily, direction: Float[Array, "dim"], concentration: Float[Array, ""], key: Array
) -> tuple[Float[Array, "dim"], Float[Array, ""]]:
    """A unit vector with its log density, which is taken from the angle."""
    key_angle, key_tangent = jax.random.split(key)
    dtype = jnp.result_type(direction, concentration, jnp.float32)
    direction, concentration = jnp.asarray(direction, dtype), jnp.asarray(concentration, dtype)
    dim = direction.shape[0]
    angle = sample_angle(family, key_angle, dim, concentration)
    squares = jnp.square(jnp.sin(0.5 * angle)), jnp.square(jnp.cos(0.5 * angle))
    log_prob = angular_log_density(family, dim, concentration, *squares) - log_sphere_area(dim)
    return place_on_sphere(key_tangent, direction, angle), log_prob


def sphere_log_prob(
    family: AngularFamily, direction: Float[Array, "dim"], concentration: Float[Array, ""], value: Float[Array, "dim"]
) -> Float[Array, ""]:
    """Log density of a unit vector with respect to the area of the sphere, in nats."""
    direction = as_floats(direction)
    dim = direction.shape[0]
    squares = half_angle_squares(direction, value)
    return angular_log_density(family, dim, as_floats(concentration), *squares) - log_sphere_area(dim)


def place_on_sphere(key: Array, direction: Float[Array, "dim"], angle: Float[Array, ""]) -> Float[Array, "dim"]:
    """The unit vector at `angle` from `direction`, uniform among those.

    A Householder reflection takes the pole -sign(direction_1) e_1, the one at more than a right angle, to the direction:

        z = x - a <a, x> / (1 + |direction_1|),   a = direction + sign(direction_1) e_1,  |a|^2 = 2 (1 + |direction_1|) >= 2

    so that no direction is singular, neither that of the pole nor its antipode.
    """
    sign = jnp.where(direction[0] >= 0, 1.0, -1.0).astype(direction.dtype)
    tangent = uniform_on_sphere(key, direction.shape[0] - 1, direction.dtype)
    point = jnp.concatenate([-sign * jnp.cos(angle)[None], jnp.sin(angle) * tangent])
    axis = direction.at[0].add(sign)
    return point - axis * (jnp.sum(axis * point) / (1.0 + jnp.abs(direction[0])))


def uniform_on_sphere(key: Array, dim: int, dtype: Any) -> Float[Array, "dim"]:
    """A uniform unit vector of R^dim: a normalised Gaussian; dim = 1 gives a sign."""
    if dim == 1:
        return jax.random.rademacher(key, (1,), dtype)
    noise = jax.random.normal(key, (dim,), dtype)
    return noise / jnp.linalg.norm(noise)


def half_angle_squares(direction: Float[Array, "dim"], value: Float[Array, "dim"]) -> tuple[Array, Array]:
    """sin^2(theta/2) and cos^2(theta/2) between two unit vectors, from their difference and their sum: exact at both ends."""
    return 0.25 * jnp.sum(jnp.square(value - direction)), 0.25 * jnp.sum(jnp.square(value + direction))


def log_sphere_area(dim: int) -> float:
    """ln of the area of the unit sphere of R^m: ln 2 + (m/2) ln pi - ln Gamma(m/2)."""
    return math.log(2.0) + 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim)


def require_direction(family: str, direction: Any) -> None:
    """Refuse what is not a unit vector of at least two entries."""
    shape = jnp.shape(direction)
    if len(shape) != 1 or shape[0] < 2:
        raise ValueError(
            f"{family} got a direction of shape {shape}; wanted a vector of two or more entries: vmap over batches."
        )
    if concrete(direction):
        norm = float(np.linalg.norm(np.asarray(direction, np.float64)))
        require(
            bool(abs(norm - 1.0) <= _UNIT_TOLERANCE),
            f"{family} got a direction of length {norm:.6g}; wanted a unit vector: divide it by its norm.",
        )


def require_concentration(family: str, concentration: Any) -> None:
    """Refuse a concentration that is negative, infinite or not a number."""
    if concrete(concentration):
        numbers = np.atleast_1d(np.asarray(concentration, np.float64))
        refused = numbers[~((numbers >= 0) & (numbers < np.inf))]
        if refused.size:
            raise ValueError(
                f"{family} got a concentration of {refused[0]}; wanted finite values >= 0: pass softplus of a network's output."
            )


def require_scalar(family: str, **fields: Any) -> None:
    """Refuse fields that carry an axis; shapes are static, so this works under tracing too."""
    for name, value in fields.items():
        if jnp.shape(value) != ():
            raise ValueError(f"{family} got a {name} of shape {jnp.shape(value)}; wanted a scalar: vmap over batches.")
