"""Hamiltonian dynamics: a point of phase space and the leapfrog integrator, for samplers and for posteriors.

Positions are pytrees of real arrays. The number of steps is static; the step size is traced.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.types import PyTree

LogDensity = Callable[[PyTree], Float[Array, ""]]
Scale = Float[Array, ""] | Float[Array, "*position"] | float


class Point(NamedTuple):
    """A point of phase space, with what was computed there.

    position:    z.
    momentum:    r, of the same structure, with unit mass.
    log_density: log f(z) in nats.
    gradient:    its gradient, of the structure of z.
    """

    position: PyTree
    momentum: PyTree
    log_density: Float[Array, ""]
    gradient: PyTree


def phase_point(log_density: LogDensity, position: PyTree, momentum: PyTree) -> Point:
    """A point with its log density and gradient."""
    value, gradient = jax.value_and_grad(log_density)(position)
    return Point(position=position, momentum=momentum, log_density=value, gradient=gradient)


def energy(point: Point) -> Float[Array, ""]:
    """H(z, r) = -log f(z) + 1/2 |r|^2."""
    return 0.5 * sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(point.momentum)) - point.log_density


def leapfrog(log_density: LogDensity, point: Point, step_size: Scale, steps: int) -> Point:
    """`steps` steps of the leapfrog integrator, each

        r <- r + (eps / 2) grad log f(z),    z <- z + eps r,    r <- r + (eps / 2) grad log f(z)

    with the second gradient at the new z, which the next step starts from: one gradient a step. The map is reversible and
    keeps volume; the energy at the end is off by O(eps^2). (Neal 2011, section 5.2.3.)
    """

    def step(point, _):
        halfway = moved(point.momentum, point.gradient, 0.5 * step_size)
        arrived = phase_point(log_density, moved(point.position, halfway, step_size), halfway)
        return arrived._replace(momentum=moved(halfway, arrived.gradient, 0.5 * step_size)), None

    return jax.lax.scan(step, point, length=steps)[0]


def moved(tree: PyTree, direction: PyTree, scale: Scale) -> PyTree:
    """tree + scale * direction."""
    return jax.tree.map(lambda leaf, change: leaf + scale * change, tree, direction)
