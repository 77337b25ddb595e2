"""Hamiltonian Monte Carlo as pure functions: a transition that leaves a density invariant, by the leapfrog integrator.

Positions are pytrees of real arrays. The number of leapfrog steps is static; the step size is traced.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from vae.dynamics import LogDensity as LogDensity
from vae.dynamics import Point as Point
from vae.dynamics import Scale as Scale
from vae.dynamics import energy as energy
from vae.dynamics import leapfrog as leapfrog
from vae.dynamics import phase_point as phase_point
from vae.types import Key, PyTree


class Transition(NamedTuple):
    """Where a chain goes.

    position:   the end of the trajectory where it was accepted, else its start.
    acceptance: the probability of that, min(1, exp(H(start) - H(end))).
    """

    position: PyTree
    acceptance: Float[Array, ""]


def transition(log_density: LogDensity, key: Key, position: PyTree, step_size: Scale, steps: int) -> Transition:
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
