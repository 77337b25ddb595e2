"""A grid of numbers in place of a codebook: each dimension is rounded by itself."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, PyTree

from vae.quantisation.base import Assigned, Quantiser, as_vectors, commitment_to, pinned, require_codes, unchanged
from vae.requirements import require
from vae.settings import Settings
from vae.types import Key

LARGEST_GRID = 2**24
"""Codes of one place: int32 has room for more, the logits of a prior over them have not."""


def finite_scalar(levels: Sequence[int]) -> Quantiser:
    """Each of the d numbers of a vector bounded, then rounded to one of L_i levels; a place has one of prod L_i codes:

        b_i = h_i tanh(v_i + s_i) - o_i,    h_i = (L_i - 1) (1 + 1e-3) / 2,    o_i = 1/2 for an even L_i, else 0
        c_i = round(b_i) / floor(L_i / 2),    k = sum_i (round(b_i) + floor(L_i / 2)) prod_(j < i) L_j

    with s_i = artanh(o_i / h_i), so that a vector of zeros is the code of zeros. Nothing is learned, and nothing is penalised:
    there is no codebook that could collapse. (Mentzer et al. 2024, section 3 and appendix A.1.)

    levels: L_i of each dimension, such as (8, 5, 5, 5) for about 2^10 codes.
    """
    sizes = np.asarray(tuple(levels), int)
    require(
        sizes.size > 0 and bool(np.all(sizes >= 2)), f"finite_scalar got the levels {tuple(levels)}; wanted 2 or more of each."
    )
    codes, widths = require_grid("finite_scalar", math.prod(sizes.tolist())), sizes // 2
    half, offset = (sizes - 1) * (1 + 1e-3) / 2, np.where(sizes % 2, 0.0, 0.5)
    shift, basis = np.arctanh(offset / half), np.concatenate([[1], np.cumprod(sizes[:-1])])
    slope, below, start, unit = (jnp.asarray(number, jnp.float32)[None] for number in (half, offset, shift, widths))

    def assign(params: PyTree, state: PyTree, vectors: Array, settings: Settings) -> Assigned:
        bounded = slope * jnp.tanh(as_vectors(vectors) + start) - below
        digits = jnp.rint(bounded).astype(jnp.int32) + jnp.asarray(widths, jnp.int32)[None]
        digits = jnp.clip(digits, 0, jnp.asarray(sizes - 1, jnp.int32)[None])  # of a thousand levels and more h_i is too large
        index = jnp.sum(digits * jnp.asarray(basis, jnp.int32)[None], axis=1, dtype=jnp.int32)[:, None]
        return pinned(index, bounded / unit, lambda value: lookup(params, state, value))

    def lookup(params: PyTree, state: PyTree, index: Array) -> Float[Array, "places dim"]:
        digits = digits_of(index, codes, basis, sizes)
        return (digits - jnp.asarray(widths, jnp.int32)[None]).astype(jnp.float32) / unit

    return Quantiser(len(sizes), len(sizes), 1, codes, nothing_learned, assign, lookup, unchanged)


def lookup_free(bits: int, entropy: float = 0.1, commitment: float = 0.25, sharpness: float = 1.0) -> Quantiser:
    """The sign of each of d numbers, so that a place has one of 2^d codes, c in {-1, 1}^d, k = sum_i 2^i [v_i > 0]:

        penalty = w P ( E H[f(v)] - H[E f(v)] ) + b | v - stop(c) |^2,    f(v)_k proportional to exp(2 t v.c_k)

    A vector shall be sure of its code, and all codes be used alike. The means E are over the P places of the examples of the
    batch, so that w weighs nats per place. (Yu et al. 2024, equations 4 and 5.)

    bits:       d.
    entropy:    w where the run has no setting "entropy"; 0.1 in the paper.
    commitment: b where the run has no setting "commitment"; 0.25 in the paper.
    sharpness:  t, the inverse of a temperature.

    In training the batch is the axis named "batch"; elsewhere the penalty is that of the example alone.
    """
    require(bits >= 1, f"lookup_free got {bits} bits; wanted at least 1.")
    codes, basis, sizes = require_grid("lookup_free", 2**bits), 2 ** np.arange(bits), np.full(bits, 2)
    corners = np.where(np.arange(codes)[:, None] // basis % 2, 1.0, -1.0).astype(np.float32)

    def assign(params: PyTree, state: PyTree, vectors: Array, settings: Settings) -> Assigned:
        vectors = as_vectors(vectors)
        index = jnp.sum((vectors > 0) * jnp.asarray(basis, jnp.int32)[None], axis=1, dtype=jnp.int32)[:, None]
        logits = 2.0 * sharpness * jnp.matmul(vectors, jnp.asarray(corners).T, precision="highest")
        unused = settings.get("entropy", entropy) * vectors.shape[0] * entropy_gap(logits, settings.training)
        penalty = unused + commitment_to(vectors, lookup(params, state, index), settings, commitment)
        return pinned(index, vectors, lambda value: lookup(params, state, value), penalty)

    def lookup(params: PyTree, state: PyTree, index: Array) -> Float[Array, "places dim"]:
        return 2.0 * digits_of(index, codes, basis, sizes).astype(jnp.float32) - 1.0

    return Quantiser(bits, bits, 1, codes, nothing_learned, assign, lookup, unchanged)


def entropy_gap(logits: Float[Array, "places codes"], training: bool) -> Float[Array, ""]:
    """E H[f] - H[E f] in nats, at most 0, with f = softmax(logits) and the mean E over places, in training of the whole
    batch.
    """
    log_probabilities = jax.nn.log_softmax(logits)
    probabilities = jnp.exp(log_probabilities)
    own = -jnp.mean(jnp.sum(probabilities * log_probabilities, axis=1))
    together = jnp.mean(probabilities, axis=0)
    together = jax.lax.pmean(together, "batch") if training else together
    return own + jnp.sum(jax.scipy.special.xlogy(together, jnp.maximum(together, 1e-30)))


def digits_of(index: Array, codes: int, basis: np.ndarray, sizes: np.ndarray) -> Int32[Array, "places dim"]:
    """The levels of each dimension of a code: its digits."""
    require_codes(index, codes)
    return index.astype(jnp.int32) // jnp.asarray(basis, jnp.int32)[None] % jnp.asarray(sizes, jnp.int32)[None]


def nothing_learned(key: Key) -> tuple[PyTree, PyTree]:
    """No parameters and no state."""
    return {}, ()


def require_grid(name: str, codes: int) -> int:
    """Refuse a grid with more codes than can be counted one by one."""
    require(
        codes <= LARGEST_GRID,
        f"{name} got {codes} codes at a place; wanted at most {LARGEST_GRID}: use `product` of smaller ones.",
    )
    return codes
