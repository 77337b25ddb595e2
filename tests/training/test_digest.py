"""Digests against hashlib fed by hand, and against every way two states can differ or be the same."""

import hashlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae.training.digest import LeafType, host_array, leaf_sha256, leaf_type, named_leaves, tree_sha256


class Pair(NamedTuple):
    kernel: object
    bias: object


def test_digest_is_sha256_of_the_documented_bytes():
    leaf = jnp.asarray([[1.0, -2.5]], jnp.float32)
    by_hand = hashlib.sha256(b"float32 (1, 2)\n" + bytes.fromhex("0000803f") + bytes.fromhex("000020c0")).hexdigest()
    assert leaf_sha256(leaf) == by_hand
    tree = {"b": leaf, "a": {"c": leaf}}
    assert tree_sha256(tree) == hashlib.sha256(f"a/c {by_hand}\nb {by_hand}\n".encode()).hexdigest()


def test_digest_ignores_device_container_layout_and_byte_order():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    wanted = tree_sha256({"kernel": values, "bias": np.int32(3)})
    for kernel in (jnp.asarray(values), np.asfortranarray(values), values.astype(">f4"), values[::-1][::-1]):
        assert tree_sha256(Pair(kernel, jnp.int32(3))) == wanted
        assert tree_sha256({"bias": np.int32(3), "kernel": kernel, "empty": (), "none": None}) == wanted


@pytest.mark.parametrize(
    "other",
    [
        {"a": np.float32([0.0, 1.0]), "c": np.float32([2.0])},  # another name
        {"a": np.float32([0.0, 1.0]), "b": np.float32([[2.0]])},  # another shape
        {"a": np.int32([0, 1]), "b": np.float32([2.0])},  # another dtype
        {"a": np.float32([-0.0, 1.0]), "b": np.float32([2.0])},  # one bit
        {"a": np.float32([0.0, 1.0])},  # a leaf less
    ],
)
def test_digest_sees_every_difference(other):
    assert tree_sha256(other) != tree_sha256({"a": np.float32([0.0, 1.0]), "b": np.float32([2.0])})


def test_typed_keys_differ_from_their_words_and_between_implementations():
    key = jax.random.key(7)
    assert leaf_type(key) == LeafType((), "key<fry>")
    assert leaf_type(jax.eval_shape(jax.random.key, 7)) == leaf_type(key)
    assert leaf_sha256(key) == leaf_sha256(jax.random.wrap_key_data(jax.random.key_data(key)))
    different = [key, jax.random.key(8), jax.random.key_data(key), jax.random.split(key, 1)]
    assert len({leaf_sha256(leaf) for leaf in different}) == 4


def test_other_dtypes_numbers_and_empty_arrays_have_a_digest():
    leaves = [True, 1, 1.0, np.zeros((0, 3)), jnp.ones(2, jnp.bfloat16), jnp.ones(2, jnp.float8_e4m3fn), np.complex64(1)]
    assert len({leaf_sha256(leaf) for leaf in leaves}) == len(leaves)
    assert leaf_type(1) == LeafType((), "int64")


def test_nan_equals_itself():
    assert leaf_sha256(np.float32(np.nan)) == leaf_sha256(jnp.float32(jnp.nan))


def test_names_follow_the_path():
    names = list(named_leaves({"opt": optax.adam(0.1).init({"w": jnp.ones(2)}), "p": [1, Pair(2, 3)]}))
    assert names == ["opt/0/count", "opt/0/mu/w", "opt/0/nu/w", "p/0", "p/1/kernel", "p/1/bias"]


def test_host_array_owns_its_memory():
    source = np.ones(3)
    assert not np.shares_memory(host_array(source), source)
    device = jnp.ones(3)
    assert not np.shares_memory(host_array(device), np.asarray(device))


def test_bad_leaves_are_refused():
    with pytest.raises(TypeError, match="a leaf of type str has no digest; use arrays"):
        tree_sha256({"a": "text"})
    with pytest.raises(ValueError, match="both called 'a/b'; rename"):
        tree_sha256({"a": {"b": 1}, "a/b": 2})
