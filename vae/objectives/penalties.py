"""What regularisers add to a loss, and who pays it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.objectives.core import ExampleView
from vae.settings import Settings
from vae.types import Key, Params, PyTree

Losses = Array | dict[str, Array]


def no_params(key: Key) -> dict:
    """The parameters of what has none."""
    return {}


class Regulariser(NamedTuple):
    """A quantity of a whole batch that the loss penalises.

    name:     the setting that weighs it, and the metric that reports it.
    level:    its weight where the setting is not given.
    each:     (view, key) -> pytree, of one example, inside the vmap. Arrays that `penalty` needs and no distribution that
              holds parameters: that would be copied once per example.
    penalty:  (params, collected, weight, key) -> scalar, outside the vmap; `collected` has a leading batch axis.
    text:     the formula, for `vae.describe`.
    init:     key -> parameters of its own (a discriminator), {} for most.
    own_loss: (params, collected, weight, key) -> the scalar that those parameters descend; None where there are none.
    unit:     of the penalty.
    """

    name: str
    level: float
    each: Callable[[ExampleView, Key], PyTree]
    penalty: Callable[..., Float[Array, ""]]
    text: str
    init: Callable[[Key], PyTree] = no_params
    own_loss: Callable[..., Float[Array, ""]] | None = None
    unit: str = "nats per example"


def own_params(regularisers: Sequence[Regulariser], key: Key) -> Params:
    """The parameters of those regularisers that have some, by name."""
    keys = jax.random.split(key, max(len(regularisers), 1))
    own = {r.name: r.init(k) for r, k in zip(regularisers, keys, strict=False)}
    return {name: params for name, params in own.items() if jax.tree.leaves(params)}


def penalties_of(
    regularisers: Sequence[Regulariser], params: Params, collected: tuple, weight: Array, settings: Settings, key: Key
) -> tuple[Float[Array, ""], list[Array], dict[str, Array]]:
    """The weighted sum of the penalties, the regularisers' own losses, and each penalty before its weight."""
    total, own, penalties = jnp.zeros(()), [], {}
    keys = jax.random.split(key, max(len(collected), 1))
    for regulariser, found, k in zip(regularisers, collected, keys, strict=False):
        own_part = params.get("objective", {}).get(regulariser.name, {})
        penalty = regulariser.penalty(own_part, found, weight, k)
        total = total + settings.get(regulariser.name, regulariser.level) * penalty
        penalties[regulariser.name] = penalty
        if regulariser.own_loss is not None:
            own.append(regulariser.own_loss(own_part, found, weight, k))
    return total, own, penalties


def for_players(losses: Losses, penalty: Array, own: list[Array]) -> Losses:
    """Every player of the model pays the penalty; the player "objective" descends the regularisers' own losses."""
    if isinstance(losses, dict):
        paid = {player: value + penalty for player, value in losses.items()}
    elif own:
        paid = dict.fromkeys(("posterior", "generative"), losses + penalty)
    else:
        return losses + penalty
    return paid | ({"objective": jnp.sum(jnp.stack(own))} if own else {})


def require_distinct(names: list[str]) -> None:
    """Refuse two regularisers of one name: they would share a weight and hide each other's metric."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two regularisers are called {', '.join(twice)}; give one another name by _replace(name=...).")
