"""The shapes of a context as JSON, so that a model can be built again without reading any data."""

from typing import Any

import jax
import jax.numpy as jnp

from vae.spec import Column, Data
from vae.types import PyTree


def spec_to_json(spec: Data) -> dict[str, Any]:
    """{"shape": ..., "space": ..., "context": ...}, and columns, tokens and that there is a scale where there are any.

    The mean and the scale themselves are not written: a model that stands on them carries them in its state.
    """
    found: dict[str, Any] = {"shape": list(spec.shape), "space": spec.space, "context": to_json(spec.context)}
    if spec.columns:
        found["columns"] = [column._asdict() | {"categories": list(column.categories)} for column in spec.columns]
    found |= {} if spec.scale is None else {"standardised": True}
    return found | ({"tokens": spec.tokens} if spec.tokens else {})


def spec_from_json(value: dict[str, Any]) -> Data:
    """The inverse of `spec_to_json`, with 1 for every scale; a run of an earlier format has no context."""
    columns = tuple(Column(c["name"], c["space"], tuple(c["categories"])) for c in value.get("columns", ()))
    context = from_json(value.get("context", {"tuple": []}))
    shape, tokens = tuple(value["shape"]), value.get("tokens", 0)
    scale = jnp.ones(shape) if value.get("standardised") else None
    return Data(shape, value["space"], context=context, scale=scale, columns=columns, tokens=tokens)


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
