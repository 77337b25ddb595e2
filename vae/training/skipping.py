"""Steps whose gradient is far too long: left out, but never so many in a row that training stands still."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from vae.requirements import require
from vae.types import PyTree


class SkippingState(NamedTuple):
    """What is carried from step to step.

    inner:    the state of the transformation behind it, which a step that is left out does not change.
    in_a_row: steps left out since the last one that was taken.
    in_all:   steps left out.
    """

    inner: PyTree
    in_a_row: Int[Array, ""]
    in_all: Int[Array, ""]


def skip_large_gradients(
    inner: optax.GradientTransformation, largest_norm: float, at_most: int = 10
) -> optax.GradientTransformation:
    """`inner`, but a gradient g with |g| > largest_norm changes nothing; `at_most` such steps in a row, the next one is taken.

        |g| <= c:                       inner(g)
        |g| > c, fewer than n in a row: 0, and nothing carried changes
        |g| > c, after n in a row:      inner(g c / |g|)
        |g| not finite:                 0, however many

    A few gradients of a deep hierarchy are so long that one of them undoes much training (Child 2021, appendix B). A threshold
    alone would freeze a run whose every gradient has come to lie beyond it; here it goes on, by gradients of that norm.
    The share of steps left out is recorded as "skipped_large_gradients". Nothing branches: it compiles for any device.

    >>> optimiser = skip_large_gradients(optax.adam(1e-3), largest_norm=200.0)

    Raises ValueError for a norm that is not positive, and for at most 0 steps in a row.
    """
    require(largest_norm > 0, f"skip_large_gradients got a largest norm of {largest_norm}; wanted a positive number.")
    require(at_most >= 1, f"skip_large_gradients got at_most={at_most}; wanted at least 1 step in a row.")

    def init(params: PyTree) -> SkippingState:
        return SkippingState(inner.init(params), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))

    def update(gradients: PyTree, state: SkippingState, params: PyTree = None) -> tuple[PyTree, SkippingState]:
        norm = jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(gradients)))
        finite, large = jnp.isfinite(norm), ~(norm <= largest_norm)
        skipped = large & ((state.in_a_row < at_most) | ~finite)
        shrink = jnp.where(large, largest_norm / jnp.where(large, norm, 1.0), 1.0)
        updates, after = inner.update(jax.tree.map(lambda g: g * shrink, gradients), state.inner, params)
        updates = jax.tree.map(lambda u: jnp.where(skipped, jnp.zeros_like(u), u), updates)
        kept = jax.tree.map(lambda new, old: jnp.where(skipped, old, new), after, state.inner)
        return updates, SkippingState(kept, jnp.where(skipped, state.in_a_row + 1, 0), state.in_all + skipped)

    return optax.GradientTransformation(init, update)


def left_out(optimiser_state: PyTree) -> dict[str, Array]:
    """Whether the last step was left out, as a number for the log, {} where the optimiser leaves none out.

    Of several players it is the share of them.
    """
    parts = jax.tree.leaves(optimiser_state, is_leaf=lambda part: isinstance(part, SkippingState))
    found = [part.in_a_row > 0 for part in parts if isinstance(part, SkippingState)]
    return {"skipped_large_gradients": jnp.mean(jnp.stack(found).astype(jnp.float32))} if found else {}
