"""The shapes of a context as JSON, so that a model can be built again without reading any data."""

from typing import Any

import jax
import jax.numpy as jnp

from vae.types import Data, PyTree


def spec_to_json(spec: Data) -> dict[str, Any]:
    """{"shape": ..., "space": ..., "context": ...}; the mean is a matter of training."""
    return {"shape": list(spec.shape), "space": spec.space, "context": to_json(spec.context)}


def spec_from_json(value: dict[str, Any]) -> Data:
    """The inverse of `spec_to_json`; a run of an earlier format has no context."""
    return Data(shape=tuple(value["shape"]), space=value["space"], context=from_json(value.get("context", {"tuple": []})))


def to_json(tree: PyTree) -> Any:
    """A pytree of shapes in dicts, lists and tuples; a NamedTuple counts as a tuple."""
    if isinstance(tree, dict):
        return {"dict": {name: to_json(child) for name, child in tree.items()}}
    if isinstance(tree, list | tuple):
        return {"tuple" if isinstance(tree, tuple) else "list": [to_json(child) for child in tree]}
    return None if tree is None else {"shape": list(tree.shape), "dtype": jnp.dtype(tree.dtype).name}


def from_json(value: Any) -> PyTree:
    """The inverse of `to_json`."""
    if value is None:
        return None
    if "dict" in value:
        return {name: from_json(child) for name, child in value["dict"].items()}
    for name, kind in (("tuple", tuple), ("list", list)):
        if name in value:
            return kind(from_json(child) for child in value[name])
    return jax.ShapeDtypeStruct(tuple(value["shape"]), jnp.dtype(value["dtype"]))
