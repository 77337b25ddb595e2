"""The shapes of a context as JSON, so that a model can be built again without reading any data."""

from typing import Any

import jax
import jax.numpy as jnp

from vae.types import Column, Data, PyTree


def spec_to_json(spec: Data) -> dict[str, Any]:
    """{"shape": ..., "space": ..., "context": ...}, and columns and tokens where there are any; not the mean and the scale."""
    found: dict[str, Any] = {"shape": list(spec.shape), "space": spec.space, "context": to_json(spec.context)}
    if spec.columns:
        found["columns"] = [column._asdict() | {"categories": list(column.categories)} for column in spec.columns]
    return found | ({"tokens": spec.tokens} if spec.tokens else {})


def spec_from_json(value: dict[str, Any]) -> Data:
    """The inverse of `spec_to_json`; a run of an earlier format has no context."""
    columns = tuple(Column(c["name"], c["space"], tuple(c["categories"])) for c in value.get("columns", ()))
    context = from_json(value.get("context", {"tuple": []}))
    return Data(tuple(value["shape"]), value["space"], context=context, columns=columns, tokens=value.get("tokens", 0))


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
