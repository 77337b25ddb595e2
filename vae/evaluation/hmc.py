"""Hamiltonian Monte Carlo as pure functions: a leapfrog integrator and a transition that leaves a density invariant.

Positions are pytrees of real arrays. The number of leapfrog steps is static; the step size is traced.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from vae.types import Key, PyTree

LogDensity = Callable[[PyTree], Float[Array, ""]]
Scalar = Float[Array, ""] | float


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


class Transition(NamedTuple):
    """Where a chain goes.

    position:   the end of the trajectory where it was accepted, else its start.
    acceptance: the probability of that, min(1, exp(H(start) - H(end))).
    """

    position: PyTree
    acceptance: Float[Array, ""]


def phase_point(log_density: LogDensity, position: PyTree, momentum: PyTree) -> Point:
    """A point with its log density and gradient."""
    value, gradient = jax.value_and_grad(log_density)(position)
    return Point(position=position, momentum=momentum, log_density=value, gradient=gradient)


def energy(point: Point) -> Float[Array, ""]:
    """H(z, r) = -log f(z) + 1/2 |r|^2."""
    return 0.5 * sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(point.momentum)) - point.log_density


def leapfrog(log_density: LogDensity, point: Point, step_size: Scalar, steps: int) -> Point:
    """`steps` steps of the leapfrog integrator, each

        r <- r + (eps / 2) grad log f(z),    z <- z + eps r,    r <- r + (eps / 2) grad log f(z)

    with the second gradient at the new z, which the next step starts from: one gradient a step. The map is reversible and
    keeps volume; the energy at the end is off by O(eps^2). (Neal 2011, section 5.2.3.)
    """

    def step(point, _):
        halfway = _add(point.momentum, point.gradient, 0.5 * step_size)
        arrived = phase_point(log_density, _add(point.position, halfway, step_size), halfway)
        return arrived._replace(momentum=_add(halfway, arrived.gradient, 0.5 * step_size)), None

    return jax.lax.scan(step, point, length=steps)[0]


def transition(log_density: LogDensity, key: Key, position: PyTree, step_size: Scalar, steps: int) -> Transition:
    """One transition of Hamiltonian Monte Carlo, which leaves f invariant and is reversible.

        r ~ N(0, I),   (z', r') = leapfrog(z, r),   accepted with probability min(1, exp(H(z, r) - H(z', r')))

    log_density: log f, up to a constant; where it is not a number the proposal is refused.
    step_size:   eps, traced.
    steps:       leapfrog steps, static.
    (Duane et al. 1987; Neal 2011, section 5.3.2.)
    """
    momentum_key, accept_key = jax.random.split(key)
    start = phase_point(log_density, position, _momentum(momentum_key, position))
    end = leapfrog(log_density, start, step_size, steps)
    gain = energy(start) - energy(end)
    probability = jnp.where(jnp.isnan(gain), 0.0, jnp.exp(jnp.minimum(gain, 0.0)))
    accepted = jax.random.uniform(accept_key) < probability
    moved = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), end.position, position)
    return Transition(position=moved, acceptance=probability)


def _momentum(key: Key, position: PyTree) -> PyTree:
    """Standard Gaussian noise of the structure of `position`."""
    flat, unravel = ravel_pytree(position)
    return unravel(jax.random.normal(key, flat.shape, flat.dtype))


def _add(tree: PyTree, direction: PyTree, scale: Scalar) -> PyTree:
    """tree + scale * direction."""
    return jax.tree.map(lambda leaf, change: leaf + scale * change, tree, direction)
