"""What a flow is, and how flows combine."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree


class Flow(NamedTuple):
    """An invertible differentiable map of vectors as pure functions of one example.

    init(key) -> params
    forward_and_log_det(params, z, context=()) -> x, ln |det dx/dz|
    inverse_and_log_det(params, x, context=()) -> z, ln |det dz/dx|

    Both directions are exact and differentiable in all their arguments; which of them is fast is what the flows differ in.
    `distributions.Transformed(base, flow, params, context)` makes a distribution of it.
    """

    init: Callable[[Array], PyTree]
    forward_and_log_det: Callable[..., tuple[Float[Array, "n"], Float[Array, ""]]]
    inverse_and_log_det: Callable[..., tuple[Float[Array, "n"], Float[Array, ""]]]


def chain(*flows: Flow) -> Flow:
    """The composition of flows, the first one applied first in the forward direction; log-determinants add up."""
    if not flows:
        raise ValueError("chain got no flow, wanted at least one: leave the base distribution as it is instead.")

    def init(key: Array) -> tuple[PyTree, ...]:
        return tuple(flow.init(k) for flow, k in zip(flows, jax.random.split(key, len(flows)), strict=True))

    def forward_and_log_det(params, z, context=()):
        total = jnp.zeros((), z.dtype)
        for flow, own in zip(flows, params, strict=True):
            z, log_det = flow.forward_and_log_det(own, z, context)
            total = total + log_det
        return z, total

    def inverse_and_log_det(params, x, context=()):
        total = jnp.zeros((), x.dtype)
        for flow, own in zip(reversed(flows), reversed(params), strict=True):
            x, log_det = flow.inverse_and_log_det(own, x, context)
            total = total + log_det
        return x, total

    return Flow(init, forward_and_log_det, inverse_and_log_det)


def invert(flow: Flow) -> Flow:
    """The same map with its directions exchanged, so that the other one is the fast one."""
    return Flow(flow.init, flow.inverse_and_log_det, flow.forward_and_log_det)


def permute(order: Sequence[int]) -> Flow:
    """x_i = z_order[i]; between autoregressive or coupling flows, so that no component stays first for ever."""
    forward = np.asarray(order)
    if sorted(forward.tolist()) != list(range(forward.size)):
        raise ValueError(f"permute got the order {list(order)}, wanted each of 0..{forward.size - 1} once.")
    backward = np.argsort(forward)

    def move(indices):
        def apply(params, value, context=()):
            require_dimension("permute", value, indices.size)
            return value[indices], jnp.zeros((), value.dtype)

        return apply

    return Flow(lambda key: (), move(forward), move(backward))


def reverse(dim: int) -> Flow:
    """The permutation that puts the last component first."""
    return permute(range(dim - 1, -1, -1))


def require_dimension(flow: str, value: Array, dim: int) -> None:
    """Refuse a vector of another size; shapes are static, so this works under tracing too."""
    if jnp.shape(value) != (dim,):
        raise ValueError(f"{flow} got a value of shape {jnp.shape(value)}, wanted ({dim},): add batch axes with jax.vmap.")


def require_context(flow: str, context: PyTree, context_dim: int) -> None:
    """Refuse another context than the vector that the flow was built for; a flow built for none ignores what it is given."""
    if context_dim and (not isinstance(context, jax.Array | np.ndarray) or context.shape != (context_dim,)):
        got = f"one of shape {context.shape}" if isinstance(context, jax.Array | np.ndarray) else f"{context!r}"
        raise ValueError(
            f"{flow} was built with context_dim={context_dim} but its context is {got}: pass a vector of that size, "
            "or build the flow with another context_dim."
        )
