"""Aggressive encoder training: the generative model waits while the encoder catches up."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from vae.requirements import require
from vae.settings import Settings
from vae.types import Batch, Carried, Key, Objective, Params, PyTree, Summand


class _Progress(NamedTuple):
    """What is carried from step to step.

    base:      the carried state of the objective inside.
    step:      steps taken.
    total:     sum of the mutual information over the present window.
    best:      the largest mean of a window so far.
    active:    whether the generative model still waits.
    """

    base: PyTree
    step: Int[Array, ""]
    total: Float[Array, ""]
    best: Float[Array, ""]
    active: Bool[Array, ""]


def aggressive(objective: Objective, encoder_steps: int = 10, window: int = 500) -> Objective:
    """Let the generative model move at one of `encoder_steps` + 1 steps only, until the mutual information stops rising.

    The estimate of I(x; z), summed over groups, is averaged over windows of steps; at the first window whose mean is not above
    the best so far, every player moves at every step from then on. While the generative model waits, the gradient of its loss
    is exactly zero; an optimiser with momentum would move it all the same, so wrap that one:

        optimiser = {"posterior": adam, "generative": hold_at_zero_gradient(adam)}

    objective:     any whose aux holds "mutual_information", one number per group, that is one with the monitor `collapse`.
    encoder_steps: n.
    window:        steps of a window; about an epoch.

    The metric "aggressive" is 1 while the generative model waits. (He et al. 2019, algorithm 1, with a fixed number of inner
    steps and the training batches' mutual information in place of the validation set's, so that it stays inside one step.)
    """
    require(
        encoder_steps >= 1 and window >= 1, f"aggressive got {encoder_steps} steps and a window of {window}; wanted 1 or more."
    )

    def init(key: Key) -> tuple[Params, PyTree]:
        params, base = objective.init(key)
        nothing = jnp.zeros(())
        return params, _Progress(base, jnp.zeros((), jnp.int32), nothing, nothing - jnp.inf, jnp.ones((), bool))

    def loss(params: Params, carried: Carried, key: Key, batch: Batch, settings: Settings, model: Any):
        state = carried.objective
        losses, (terms, aux) = objective.loss(params, carried._replace(objective=state.base), key, batch, settings, model)
        losses = losses if isinstance(losses, dict) else dict.fromkeys(params, losses)
        moves = ~state.active | (state.step % (encoder_steps + 1) == encoder_steps)
        held = jnp.where(moves, losses["generative"], jax.lax.stop_gradient(losses["generative"]))
        metrics = aux["metrics"] | {"aggressive": state.active.astype(jnp.float32)}
        return losses | {"generative": held}, (terms, aux | {"metrics": metrics})

    def update(state: _Progress, aux: dict, key: Key) -> _Progress:
        found = aux.get("mutual_information", ())
        if not found:
            raise ValueError(
                "aggressive got an objective that reports no mutual information, wanted monitors=(collapse,) and a posterior "
                "with a density that can be scored: use another remedy, such as free bits, for a flow."
            )
        total = state.total + jnp.sum(jnp.stack(found))
        full = (state.step + 1) % window == 0
        rising = total / window > state.best
        return _Progress(
            base=objective.update(state.base, aux, key),
            step=state.step + 1,
            total=jnp.where(full, 0.0, total),
            best=jnp.where(full, jnp.maximum(state.best, total / window), state.best),
            active=state.active & (~full | rising),
        )

    text = f"(the generative model moves at one of {encoder_steps + 1} steps until I(x; z) stops rising)"
    note = Summand(text, reduction="", unit="")
    return objective._replace(init=init, loss=loss, update=update, summands=(*objective.summands, note))


def hold_at_zero_gradient(optimiser: optax.GradientTransformation) -> optax.GradientTransformation:
    """The optimiser, but a gradient that is exactly zero changes neither parameters nor the optimiser's state.

    Adam would go on along its momentum. Meant for one player of `by_player`.
    """

    def update(gradients: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
        updates, proposed = optimiser.update(gradients, state, params)
        moved = optax.tree.norm(gradients) != 0
        kept = jax.tree.map(lambda new, old: jnp.where(moved, new, old), proposed, state)
        return jax.tree.map(lambda u: jnp.where(moved, u, jnp.zeros_like(u)), updates), kept

    return optax.GradientTransformation(optimiser.init, update)
