"""The order of the training data as a function of (key, step): nothing to store, so a resumed run sees the same batches.

An epoch's order is a keyed bijection of the positions 0 ... size - 1, computed for just the positions that are asked for.
A sort of the whole data set would have to be repeated by every resumed run, and costs far more than those positions.
"""

import functools
import math
import operator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, UInt32

ROUNDS = 4
LARGEST_SIZE = 2**31 - 1


@functools.partial(jax.jit, static_argnames=("steps", "batch_size", "size"))
def batch_indices(
    key: Array, first_step: Int32[Array, ""] | int, steps: int, batch_size: int, size: int
) -> Int32[Array, "steps batch"]:
    """The examples of `steps` consecutive batches, one row per step.

        epoch, offset = divmod(step, size // batch_size)
        row = permute(fold_in(key, epoch), offset * batch_size + [0 ... batch_size), size)

    Each epoch has its own permutation; its last `size % batch_size` examples are left out, others in each epoch. The rows
    depend on the step alone, so they are the same however a run is cut into chunks. Compute them once per chunk, outside the
    scan over steps.

    first_step: may be traced; steps up to 2^32 - 1 are told apart (an int32 counter that wrapped around is read as unsigned).
    Raises ValueError for a batch that is empty or larger than the data set, and TypeError for a size that is no integer.
    """
    steps_per_epoch = _checked_size(size) // _checked_batch(batch_size, size)
    step = jnp.asarray(first_step).astype(jnp.uint32) + jnp.arange(steps, dtype=jnp.uint32)
    epoch, offset = step // steps_per_epoch, step % steps_per_epoch
    positions = offset[:, None].astype(jnp.int32) * batch_size + jnp.arange(batch_size, dtype=jnp.int32)[None]
    round_keys = jax.vmap(lambda e: _round_keys(jax.random.fold_in(key, e)))(epoch)
    return _permute(round_keys.T[..., None], positions, size)


@functools.partial(jax.jit, static_argnames=("size",))
def permute(key: Array, positions: Int32[Array, "*shape"], size: int) -> Int32[Array, "*shape"]:
    """Where a random permutation of 0 ... size - 1, fixed by `key`, sends `positions`.

    A Feistel network over mixed radices (Black & Rogaway 2002, "Ciphers with arbitrary finite domains", section 5): write a
    position as l + a r with a = ceil(sqrt(size)) and b = ceil(size / a), and repeat

        l <- l + F(r) mod a,      r <- r + G(l) mod b

    with a new pair of keyed hash functions F, G in each round. Every step can be undone, so this is a bijection of
    0 ... a b - 1. The fewer than a results that are not below `size` are sent through again until they are (cycle walking),
    which makes it a bijection of 0 ... size - 1.

    positions: integers in [0, size); one out of range is clamped to it, as JAX does with indices.
    Raises ValueError for a size outside 1 ... 2^31 - 1, and TypeError for one that is no integer.
    """
    return _permute(_round_keys(key), positions, _checked_size(size))


def _permute(round_keys: UInt32[Array, "halfrounds *#shape"], positions: Array, size: int) -> Int32[Array, "*shape"]:
    """`permute` for given round keys, whose trailing axes broadcast against the positions."""
    once = functools.partial(_feistel, round_keys, _radices(size))
    start = jnp.clip(jnp.asarray(positions), 0, size - 1).astype(jnp.uint32)

    def outside(value):
        return jnp.any(value >= size)

    def walk(value):
        return jnp.where(value >= size, once(value), value)

    return jax.lax.while_loop(outside, walk, once(start)).astype(jnp.int32)


def _feistel(round_keys: Array, radices: tuple[int, int], value: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """One pass through the network: a bijection of 0 ... a b - 1."""
    a, b = radices
    left, right = value % a, value // a
    for i in range(ROUNDS):
        left = (left + _hash(right + round_keys[2 * i]) % a) % a
        right = (right + _hash(left + round_keys[2 * i + 1]) % b) % b
    return left + a * right


def _hash(word: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """A bijective 32-bit integer hash whose every output bit depends on every input bit (C. Wellons' "lowbias32")."""
    word = (word ^ (word >> 16)) * jnp.uint32(0x7FEB352D)
    word = (word ^ (word >> 15)) * jnp.uint32(0x846CA68B)
    return word ^ (word >> 16)


def _round_keys(key: Array) -> UInt32[Array, "halfrounds"]:
    return jax.random.bits(key, (2 * ROUNDS,), jnp.uint32)


def _radices(size: int) -> tuple[int, int]:
    """(a, b) with a b >= size, an excess below a, and a b < 2^32, since a b <= size + a."""
    a = math.isqrt(size - 1) + 1
    return a, -(-size // a)


def _checked_size(size: int) -> int:
    size = operator.index(size)
    if not 1 <= size <= LARGEST_SIZE:
        raise ValueError(f"got a data set of {size} examples, wanted 1 to {LARGEST_SIZE}: positions are 32-bit integers.")
    return size


def _checked_batch(batch_size: int, size: int) -> int:
    batch_size = operator.index(batch_size)
    if not 1 <= batch_size <= size:
        raise ValueError(
            f"got a batch size of {batch_size} for {size} examples, wanted 1 to {size}: choose a smaller batch or more data."
        )
    return batch_size
