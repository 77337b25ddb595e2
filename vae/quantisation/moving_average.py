"""A codebook that follows the mean of the vectors assigned to it; codes without use are revived from the batch."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from vae.quantisation.base import Assigned, Quantiser, as_vectors, commitment_to, looked_up, pinned
from vae.quantisation.nearest import nearest_code
from vae.quantisation.vector import require_sizes
from vae.requirements import require
from vae.settings import Settings
from vae.types import Key


def by_moving_average(
    codes: int, dim: int, decay: float = 0.99, commitment: float = 0.25, smoothing: float = 1e-5, revive: float = 0.01
) -> Quantiser:
    """The nearest of K vectors, each the moving average of what was assigned to it. With n_k vectors of sum s_k in a batch

        N_k <- g N_k + (1 - g) n_k,    m_k <- g m_k + (1 - g) s_k,    e_k = m_k / N'_k
        N'_k = (N_k + c) / (sum_j N_j + K c) * sum_j N_j                          (van den Oord et al. 2017, appendix A.1)

    A code to which a batch assigns nothing stays where it is: N_k and m_k fall alike, and no smoothing pulls it to 0.

    codes:      K.
    decay:      g.
    commitment: b of the penalty b | v - stop(e_k) |^2 where the run has no setting "commitment".
    smoothing:  c, of Laplace: it keeps N'_k from 0.
    revive:     a code whose N_k is under this share of the mean of all is moved to a random vector of the batch and gets that
                mean; 0 leaves it. All are unused before the first step, so that the codebook starts at vectors of the data.

    The statistics of an example are its vectors and their codes, which the step has made anyway: no example carries a codebook,
    and the candidates of a revival are there. Sums over the batch are one product with the one-hot codes, whose order is fixed
    on every device. Padding counts as what it repeats, see `vae.Batch`.
    """
    require_sizes("by_moving_average", codes, dim)
    require(0 <= decay < 1, f"by_moving_average got a decay of {decay}; wanted a number from 0 to below 1, such as 0.99.")
    require(0 <= revive < 1, f"by_moving_average got revive = {revive}; wanted a share from 0 to below 1, such as 0.01.")
    require(smoothing > 0, f"by_moving_average got a smoothing of {smoothing}; wanted a positive number, such as 1e-5.")

    def init(key: Key) -> tuple[PyTree, PyTree]:
        codebook = jax.random.normal(key, (codes, dim)) / jnp.sqrt(dim)
        return {}, {"codebook": codebook, "count": jnp.zeros(codes), "total": jnp.zeros((codes, dim))}

    def assign(params: PyTree, state: PyTree, vectors: Array, settings: Settings) -> Assigned:
        vectors = as_vectors(vectors)
        index = nearest_code(vectors, state["codebook"])[:, None]
        penalty = commitment_to(vectors, lookup(params, state, index), settings, commitment)
        statistics = jax.lax.stop_gradient({"index": index, "vectors": vectors}) if settings.training else ()
        return pinned(index, vectors, lambda value: lookup(params, state, value), penalty, statistics)

    def lookup(params: PyTree, state: PyTree, index: Array) -> Float[Array, "places dim"]:
        return looked_up(state["codebook"], index[:, 0])

    def update(state: PyTree, statistics: PyTree, key: Key) -> PyTree:
        vectors = statistics["vectors"].reshape(-1, dim)
        assignment = jax.nn.one_hot(statistics["index"].reshape(-1).astype(jnp.int32), codes)
        count = decay * state["count"] + (1.0 - decay) * jnp.sum(assignment, axis=0)
        summed = jnp.matmul(assignment.T, vectors, precision="highest")
        total = decay * state["total"] + (1.0 - decay) * summed
        alive, total = revived(count, total, vectors, revive, key)
        moved = (jnp.sum(assignment, axis=0) > 0) | (alive != count)
        codebook = jnp.where(moved[:, None], total / smoothed(alive, smoothing)[:, None], state["codebook"])
        return {"codebook": codebook, "count": alive, "total": total}

    return Quantiser(dim, dim, 1, codes, init, assign, lookup, update)


def smoothed(count: Float[Array, "codes"], smoothing: float) -> Float[Array, "codes"]:
    """(N_k + c) / (sum_j N_j + K c) * sum_j N_j: the same sum, and no zero."""
    total = jnp.sum(count)
    return (count + smoothing) / (total + count.size * smoothing) * total


def revived(
    count: Float[Array, "codes"],
    total: Float[Array, "codes dim"],
    candidates: Float[Array, "vectors dim"],
    share: float,
    key: Key,
) -> tuple[Float[Array, "codes"], Float[Array, "codes dim"]]:
    """The averages, where a count is under a share of their mean: that mean, at a random candidate. (Dhariwal et al. 2020,
    3.1.)
    """
    mean = jnp.mean(count)
    dead = count < share * mean
    drawn = candidates[jax.random.randint(key, count.shape, 0, candidates.shape[0])]
    return jnp.where(dead, mean, count), jnp.where(dead[:, None], mean * drawn, total)
