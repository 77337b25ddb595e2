"""Quantisers of quantisers: several codes for one vector, of what is left of it or of its pieces; codes of its direction."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from vae.distributions.point_mass import PointMass
from vae.quantisation.base import Assigned, Quantiser, as_vectors, only_index, pinned
from vae.requirements import require
from vae.settings import Settings
from vae.types import Key


def residual(quantiser: Quantiser, depth: int) -> Quantiser:
    """D codes, each of what the ones before it have left, all by one quantiser:

        r_0 = v,    k_d = argmin_k | r_(d-1) - e_k |^2,    r_d = r_(d-1) - e_(k_d),    c = sum_d e_(k_d)

    The penalties of all D add up: the commitment is sum_d | v - stop(sum_(i <= d) e_(k_i)) |^2. (Lee et al. 2022, equations 3
    to 5 and 7, with the codebook shared between depths.)

    quantiser: with one code for each vector, and a codebook: what is left of a grid has no place on it.
    depth:     D.

    Raises ValueError for a depth under 1 and a quantiser with several codes, TypeError for one that draws its codes.
    """
    require(depth >= 1, f"residual got a depth of {depth}; wanted at least 1.")
    require(quantiser.depth == 1, f"residual got a quantiser with {quantiser.depth} codes for a vector; wanted one with 1.")

    def assign(params: PyTree, state: PyTree, vectors: Array, settings: Settings) -> Assigned:
        vectors = left = as_vectors(vectors)
        parts, indices = [], []
        for _ in range(depth):
            parts.append(quantiser.assign(params, state, left, settings))
            indices.append(only_index(parts[-1], "residual"))
            left = left - jax.lax.stop_gradient(quantiser.lookup(params, state, indices[-1]))
        statistics = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(part.statistics for part in parts))
        penalty = sum((part.penalty for part in parts), jnp.zeros(()))
        index = jnp.concatenate(indices, axis=1)
        return pinned(index, vectors, lambda value: lookup(params, state, value), penalty, statistics)

    def lookup(params: PyTree, state: PyTree, index: Array) -> Float[Array, "places dim"]:
        return jnp.sum(jnp.stack([quantiser.lookup(params, state, index[:, d : d + 1]) for d in range(depth)]), axis=0)

    return quantiser._replace(depth=depth, assign=assign, lookup=lookup)


def product(quantiser: Quantiser, pieces: int) -> Quantiser:
    """A vector cut into pieces, each with codes of its own, by a codebook of its own. (Jegou et al. 2011, section II-C.)

    quantiser: of one piece; a vector has `pieces` times its dimensions.
    pieces:    how many.

    Raises ValueError for fewer than 1 piece, TypeError for a quantiser that draws its codes.
    """
    require(pieces >= 1, f"product got {pieces} pieces; wanted at least 1.")
    inputs, depth = quantiser.inputs, quantiser.depth

    def init(key: Key) -> tuple[PyTree, PyTree]:
        return jax.vmap(quantiser.init)(jax.random.split(key, pieces))

    def assign(params: PyTree, state: PyTree, vectors: Array, settings: Settings) -> Assigned:
        def one(own: PyTree, carried: PyTree, piece: Array) -> tuple:
            found = quantiser.assign(own, carried, piece, settings)
            index = only_index(found, "product")
            return index, jnp.asarray(found.penalty), found.statistics

        def seen(value: Array) -> Array:
            def of_piece(own: PyTree, carried: PyTree, piece: Array, index: Array) -> Array:
                return quantiser.assign(own, carried, piece, settings).seen(index)

            return joined(jax.vmap(of_piece)(params, state, cut(as_vectors(vectors), inputs), cut(value, depth)))

        index, penalties, statistics = jax.vmap(one)(params, state, cut(as_vectors(vectors), inputs))
        return Assigned(PointMass(joined(index)), seen, jnp.sum(penalties), statistics)

    def lookup(params: PyTree, state: PyTree, index: Array) -> Float[Array, "places outputs"]:
        return joined(jax.vmap(quantiser.lookup)(params, state, cut(index, depth)))

    def update(state: PyTree, statistics: PyTree, key: Key) -> PyTree:
        return jax.vmap(quantiser.update, in_axes=(0, 1, 0))(state, statistics, jax.random.split(key, pieces))

    return Quantiser(pieces * inputs, pieces * quantiser.outputs, pieces * depth, quantiser.codes, init, assign, lookup, update)


def of_directions(quantiser: Quantiser) -> Quantiser:
    """A quantiser that sees of each vector nothing but where it points:

        v' = v / sqrt(| v |^2 + 1e-6)

    A codebook that is learned by gradient cannot follow vectors that outgrow it: their commitment then outweighs the
    likelihood, and all end at one code. (Yu et al. 2022, section 3.2, who keep the codes on the sphere too.)

    quantiser: any with inputs.
    """

    def assign(params: PyTree, state: PyTree, vectors: Array, settings: Settings) -> Assigned:
        vectors = as_vectors(vectors)
        squared_norm = jnp.sum(jnp.square(vectors), axis=1, keepdims=True)
        return quantiser.assign(params, state, vectors * jax.lax.rsqrt(squared_norm + 1e-6), settings)

    return quantiser._replace(assign=assign)


def cut(values: Array, size: int) -> Array:
    """(places, pieces * size) -> (pieces, places, size)."""
    return values.reshape(values.shape[0], -1, size).transpose(1, 0, 2)


def joined(values: Array) -> Array:
    """The inverse of `cut`."""
    pieces, places, size = values.shape
    return values.transpose(1, 0, 2).reshape(places, pieces * size)
