"""Names, types and sha256 digests of the leaves of a pytree: what a checkpoint compares, and `params_sha256` of a summary."""

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from vae.types import PyTree


class LeafType(NamedTuple):
    """What has to agree before one leaf can take the place of another.

    shape: of the leaf; a typed key array has the shape of the keys, not of their words.
    dtype: by name; "key<fry>" and the like for typed keys.
    """

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype}"


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """The leaves by path, {"params/posterior/Dense_0/kernel": leaf, ...}, in the order of the tree.

    The name tells nothing of the containers: a dict and a NamedTuple with the same fields give the same names, and empty
    containers have none. Raises ValueError where two leaves would share a name.
    """
    with_path, _ = jax.tree_util.tree_flatten_with_path(tree)
    named: dict[str, Any] = {}
    for path, leaf in with_path:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name in named:
            raise ValueError(f"two leaves of the state are both called {name!r}; rename a key that contains '/'.")
        named[name] = leaf
    return named


def is_typed_key(leaf: Any) -> bool:
    """Whether the leaf, or the ShapeDtypeStruct of it, holds keys of `jax.random.key`."""
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def leaf_type(leaf: Any) -> LeafType:
    """Shape and dtype of an array, a ShapeDtypeStruct, a typed key or a Python number (64 bits, as NumPy has them)."""
    if is_typed_key(leaf):
        return LeafType(tuple(leaf.shape), str(leaf.dtype))
    dtype = np.dtype(leaf.dtype) if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    return LeafType(tuple(np.shape(leaf)), dtype.name)


def host_array(leaf: Any) -> np.ndarray:
    """A copy of the leaf in host memory that shares no buffer with it; typed keys become their words.

    The copy matters: on a CPU `np.asarray` of a jax array is a view, which the donation of that array overwrites. An array
    that is spread over several processes is gathered, so that every process must call this.
    """
    data = jax.random.key_data(leaf) if is_typed_key(leaf) else leaf
    if isinstance(data, jax.Array) and not data.is_fully_addressable and not data.is_fully_replicated:
        from jax.experimental import multihost_utils

        data = multihost_utils.process_allgather(data, tiled=True)
    array = np.array(data, order="C")
    if array.dtype.kind in "OSUmM":
        raise TypeError(
            f"a leaf of type {type(leaf).__name__} has no digest; use arrays, numbers and keys as the leaves of a state."
        )
    return array


def array_sha256(kind: LeafType, array: np.ndarray) -> str:
    """sha256 of dtype, shape and the little-endian bytes in C order, as hexadecimal digits."""
    return blocks_sha256(kind, (array,))


def blocks_sha256(kind: LeafType, blocks: Iterable[np.ndarray]) -> str:
    """`array_sha256` of an array that comes in blocks of rows."""
    digest = hashlib.sha256(f"{kind.dtype} {kind.shape}\n".encode())
    for block in blocks:
        little_endian = np.ascontiguousarray(block).astype(block.dtype.newbyteorder("<"), copy=False)
        digest.update(little_endian.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def leaf_sha256(leaf: Any) -> str:
    """`array_sha256` of one leaf, wherever it lives."""
    return array_sha256(leaf_type(leaf), host_array(leaf))


def combine_sha256(digests: dict[str, str]) -> str:
    """sha256 over the lines "name digest" sorted by name: the digest of a tree from those of its leaves."""
    lines = (f"{name} {digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def tree_sha256(tree: PyTree) -> str:
    """One sha256 over every leaf of a tree (path, dtype, shape, bytes), sorted by path; equal exactly if all of these are.

    The same on every device, sharding and byte order; -0.0 differs from 0.0 and a NaN equals itself, since bits are compared.
    """
    return combine_sha256({name: leaf_sha256(leaf) for name, leaf in named_leaves(tree).items()})
