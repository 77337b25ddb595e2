"""The manifest of a checkpoint: what each stored leaf is, its digest, and how it becomes a leaf of the state again."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae.training.digest import LeafType, array_sha256, is_typed_key, leaf_type


class CheckpointError(ValueError):
    """A checkpoint that cannot be written, found, verified or fitted to the state that was asked for; one sentence."""


class DamagedError(Exception):
    """A checkpoint that does not hold what was saved; the message says in what."""


def describe(leaf: Any, array: np.ndarray) -> dict[str, Any]:
    """The record's entry for a leaf: its type and digest and, for a typed key, how to make one of the stored words again."""
    kind = leaf_type(leaf)
    entry = {"shape": list(kind.shape), "dtype": kind.dtype, "sha256": array_sha256(kind, array)}
    return {**entry, "impl": str(jax.random.key_impl(leaf)), "words": list(array.shape)} if is_typed_key(leaf) else entry


def stored_type(entry: Mapping[str, Any]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of the array on disk."""
    return tuple(entry.get("words", entry["shape"])), np.dtype("uint32" if "impl" in entry else entry["dtype"])


def verifies(array: np.ndarray, entry: Mapping[str, Any]) -> bool:
    """Whether a restored array has the type and the digest of its entry."""
    kind = LeafType(tuple(entry["shape"]), entry["dtype"])
    return (array.shape, array.dtype) == stored_type(entry) and array_sha256(kind, array) == entry["sha256"]


def matching(stored: Mapping[str, Any], wanted: Mapping[str, Any], partial: bool) -> dict[str, dict[str, Any]]:
    """The stored entries of the wanted leaves; CheckpointError names the leaves whose presence, shape or dtype differ."""
    have = {name: str(LeafType(tuple(entry["shape"]), entry["dtype"])) for name, entry in stored.items()}
    want = {name: str(leaf_type(leaf)) for name, leaf in wanted.items()}
    names = [*want, *(() if partial else (name for name in have if name not in want))]
    differences = [
        f"{name}: stored {have.get(name, 'nothing')}, wanted {want.get(name, 'nothing')}"
        for name in names
        if have.get(name) != want.get(name)
    ]
    if differences:
        more = f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise CheckpointError(f"the checkpoint does not fit the state that was asked for: {'; '.join(differences[:5])}{more}.")
    return {name: stored[name] for name in want}


def place(array: np.ndarray, like: Any, impl: str | None) -> Any:
    """The restored array as what the template's leaf is, on its devices."""
    if isinstance(like, bool | int | float | complex):
        return array.item()
    if isinstance(like, np.ndarray | np.generic):
        return array if isinstance(like, np.ndarray) else array[()]
    value = array if impl is None else jax.random.wrap_key_data(jnp.asarray(array), impl=impl)
    # An array that was never committed to a device stays free to follow the others, as it was before it was saved.
    return jax.device_put(value, like.sharding if getattr(like, "committed", True) else None)


def seal(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its own digest beside it, and nothing in it that JSON would give back differently."""
    try:
        record = json.loads(json.dumps(record))
    except (TypeError, ValueError) as error:
        raise TypeError(f"the notes of a checkpoint must be JSON ({error}); save arrays in the state.") from error
    return {"record": record, "sha256": _json_sha256(record)}


def unseal(sealed: Mapping[str, Any], step: int) -> dict[str, Any]:
    """The sealed record of a step; DamagedError if it is not what was sealed."""
    record = sealed["record"]
    if _json_sha256(record) != sealed["sha256"]:
        raise DamagedError("its digest differs")
    if record["step"] != step:
        raise DamagedError(f"it belongs to step {record['step']}")
    return record


def _json_sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
