"""A small network whose output i depends only on the inputs that come before i."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree


class MaskedNetwork(NamedTuple):
    """init(key) -> params; apply(params, value, context) -> two numbers for each component, (n,) and (n,)."""

    init: Callable[[Array], PyTree]
    apply: Callable[[PyTree, Array, PyTree], tuple[Float[Array, "n"], Float[Array, "n"]]]


def masked_network(
    degrees: Sequence[int] | np.ndarray,
    hidden: Sequence[int],
    context_dim: int,
    activation: Callable[[Array], Array] = jnp.tanh,
) -> MaskedNetwork:
    """A fully connected network with masked weights (Germain et al. 2015, equations 12 and 13).

    degrees:     one whole number per component; an output sees the inputs of lower degree than its own.
    hidden:      widths of the hidden layers.
    context_dim: size of a vector that every output sees, 0 for none.

    A hidden unit of degree d sees inputs of degree <= d and is seen by outputs of degree > d. The last layer starts small, so
    that a flow starts near the identity.
    """
    inputs = np.asarray(degrees)
    hidden_degrees = [_hidden_degrees(inputs, width, context_dim) for width in hidden]
    sources = [inputs, *hidden_degrees]
    masks = [(a[:, None] <= b[None, :]) for a, b in zip(sources, hidden_degrees)]
    masks.append(np.tile(sources[-1][:, None] < inputs[None, :], 2))
    masks = [mask.astype(np.float32) for mask in masks]
    scales = [1.0] * len(hidden) + [0.01]

    def init(key: Array) -> PyTree:
        context_key, *keys = jax.random.split(key, len(masks) + 1)
        layers = tuple(_init_layer(k, mask, scale) for k, mask, scale in zip(keys, masks, scales, strict=True))
        return {"layers": layers, "context": _init_context(context_key, context_dim, masks[0].shape[1])}

    def apply(params: PyTree, value: Array, context: PyTree = ()) -> tuple[Array, Array]:
        hidden_value = value
        for index, (layer, mask) in enumerate(zip(params["layers"], masks, strict=True)):
            hidden_value = hidden_value @ (layer["weight"] * mask) + layer["bias"]
            if index == 0 and context_dim:
                hidden_value = hidden_value + context @ params["context"]
            if index < len(masks) - 1:
                hidden_value = activation(hidden_value)
        first, second = jnp.split(hidden_value, 2)
        return first, second

    return MaskedNetwork(init, apply)


def _hidden_degrees(inputs: np.ndarray, width: int, context_dim: int) -> np.ndarray:
    """Degrees of hidden units, in turn, from the lowest that sees anything to the highest that any output may see."""
    highest = int(inputs.max()) - 1
    lowest = min(0 if context_dim else int(inputs.min()), highest)
    return lowest + np.arange(width) % (highest - lowest + 1)


def _init_layer(key: Array, mask: np.ndarray, scale: float) -> PyTree:
    """Weights of variance 1 / (number of inputs that a unit really sees), zero bias."""
    fan_in = np.maximum(mask.sum(axis=0), 1.0)
    std = (scale * mask / np.sqrt(fan_in)).astype(np.float32)
    return {"weight": std * jax.random.normal(key, mask.shape), "bias": jnp.zeros(mask.shape[1])}


def _init_context(key: Array, context_dim: int, width: int) -> Array:
    return jax.random.normal(key, (context_dim, width)) / np.sqrt(max(context_dim, 1))
