"""A codebook of vectors that is learned by gradient, as the other parameters are."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from vae.quantisation.base import (
    Assigned,
    Quantiser,
    as_vectors,
    commitment_to,
    looked_up,
    pinned,
    squared_distance,
    unchanged,
)
from vae.quantisation.nearest import nearest_code
from vae.requirements import require
from vae.settings import Settings
from vae.types import Key


def by_gradient(codes: int, dim: int, commitment: float = 0.25, pull: float = 1.0) -> Quantiser:
    """The nearest of K vectors, which a loss of their own pulls to what is assigned to them:

        penalty = a | stop(v) - e_k |^2 + b | v - stop(e_k) |^2,    k = argmin_k | v - e_k |^2

    summed over the places and dimensions of the example. (van den Oord et al. 2017, equations 1 to 3.)

    codes:      K.
    dim:        of the vectors.
    commitment: b where the run has no setting "commitment"; 0.25 in the paper, which reports no change from 0.1 to 2.
    pull:       a where the run has no setting "codebook"; 1 in the paper.

    A code that nothing is assigned to has no gradient and stays where it is; `by_moving_average` revives it.
    """
    require_sizes("by_gradient", codes, dim)

    def init(key: Key) -> tuple[PyTree, PyTree]:
        return {"codebook": jax.random.normal(key, (codes, dim)) / jnp.sqrt(dim)}, ()

    def assign(params: PyTree, state: PyTree, vectors: Array, settings: Settings) -> Assigned:
        vectors = as_vectors(vectors)
        index = nearest_code(vectors, params["codebook"])[:, None]
        nearest = lookup(params, state, index)
        pulled = settings.get("codebook", pull) * squared_distance(jax.lax.stop_gradient(vectors), nearest)
        penalty = pulled + commitment_to(vectors, nearest, settings, commitment)
        return pinned(index, vectors, lambda value: lookup(params, state, value), penalty)

    def lookup(params: PyTree, state: PyTree, index: Array) -> Float[Array, "places dim"]:
        return looked_up(params["codebook"], index[:, 0])

    return Quantiser(dim, dim, 1, codes, init, assign, lookup, unchanged)


def require_sizes(name: str, codes: int, dim: int) -> None:
    """Refuse a codebook of no choice, or of no dimension."""
    require(codes >= 2 and dim >= 1, f"{name} got {codes} codes of dimension {dim}; wanted at least 2 codes, of at least 1.")
