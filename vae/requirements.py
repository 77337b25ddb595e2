"""The refusal of bad input: what is known before tracing raises ValueError, what is traced passes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def concrete(*values: Any) -> bool:
    """Whether every value is known now (not traced), so that it may be checked."""
    known = (int, float, np.ndarray, np.generic, jax.Array)
    return all(isinstance(v, known) and not isinstance(v, jax.core.Tracer) for v in values)


def require(condition: Any, message: str) -> None:
    """Raise ValueError(message) where a concrete condition does not hold everywhere; a traced one passes.

    >>> require(concentration >= 0, f"VonMises got a concentration of {concentration}, wanted >= 0; ...")
    """
    if concrete(condition) and not bool(np.all(condition)):
        raise ValueError(message)


def require_same_shape(family: str, **fields: Any) -> None:
    """Refuse fields whose shapes differ; shapes are static, so this works under tracing too."""
    shapes = {name: jnp.shape(value) for name, value in fields.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{family} got {listed}; wanted equal shapes: broadcast one of them first.")


def require_function_of_inputs(who: str, network: Any, *inputs: Any) -> None:
    """Refuse a network that draws random numbers or carries a state: only what is a function of its inputs alone will do."""
    if network.stochastic or jax.tree.leaves(jax.eval_shape(network.init, jax.random.key(0), *inputs)[1]):
        raise ValueError(
            f"{who} got a network that draws or carries a state (dropout, batch normalisation); wanted one that is a function "
            "of its inputs alone: leave them out, or use group normalisation."
        )
