"""What an experiment may give as its optimiser, and how it becomes one optax transformation per step.

an optax transformation       its updates are multiplied by the setting "learning_rate", where there is one
a function of the settings    settings -> optax transformation: every number of it can be scheduled and swept
a mapping of players          one of these per top-level entry of the parameters ("posterior", "generative", "objective")
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import optax

from vae.settings import Settings
from vae.types import Params, PyTree

OfSettings: TypeAlias = Callable[[Mapping[str, Any]], optax.GradientTransformation]
Optimiser: TypeAlias = optax.GradientTransformation | OfSettings | Mapping[str, optax.GradientTransformation | OfSettings]

LEARNING_RATE = 1e-3


def adam(settings: Mapping[str, Any]) -> optax.GradientTransformation:
    """Adam at the setting "learning_rate", 1e-3 where it is not given: what an experiment trains with unless told otherwise.

    (Kingma & Ba 2015, algorithm 1.)
    """
    return optax.adam(settings.get("learning_rate", LEARNING_RATE))


def at_settings(optimiser: Optimiser, settings: Settings) -> optax.GradientTransformation:
    """The transformation of one step, in which the settings may be traced numbers.

    Raises TypeError for what is no optimiser.
    """
    if isinstance(optimiser, Mapping):
        return by_player({player: at_settings(each, settings) for player, each in optimiser.items()})
    if isinstance(optimiser, optax.GradientTransformation):
        return _multiplied(optimiser, settings)
    built = _of_settings(optimiser, settings) if callable(optimiser) else optimiser
    if isinstance(built, optax.GradientTransformation):
        return built
    raise TypeError(
        f"the optimiser is {built!r}; wanted an optax transformation, a function from settings to one, or one per player."
    )


def _of_settings(optimiser: OfSettings, settings: Settings) -> Any:
    """The transformation that a function makes of the settings; a function of a learning rate cannot, and is told apart."""
    try:
        return optimiser(settings)
    except TypeError as error:
        name = getattr(optimiser, "__qualname__", repr(optimiser))
        raise TypeError(
            f"the optimiser {name} was called with the settings and failed ({error}); wanted an optax transformation, such as "
            'optax.adam(1e-3), or a function of the settings, such as lambda settings: optax.adam(settings["learning_rate"]).'
        ) from error


def _multiplied(optimiser: optax.GradientTransformation, settings: Settings) -> optax.GradientTransformation:
    """The transformation with its updates times the learning rate; its state is unchanged."""
    if "learning_rate" not in settings:
        return optimiser

    def update(gradients: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
        updates, state = optimiser.update(gradients, state, params)
        return jax.tree.map(lambda u: u * settings["learning_rate"], updates), state

    return optax.GradientTransformation(optimiser.init, update)


def by_player(optimisers: Mapping[str, optax.GradientTransformation]) -> optax.GradientTransformation:
    """One transformation per player, that is per top-level entry of the parameters, as one."""

    def labels(params: Params) -> PyTree:
        unknown = sorted(set(params) - set(optimisers))
        if unknown:
            raise ValueError(
                f"there is no optimiser for {', '.join(unknown)}; got optimisers for {sorted(optimisers)}: add one."
            )
        return {player: jax.tree.map(lambda leaf, player=player: player, tree) for player, tree in params.items()}

    return optax.multi_transform(dict(optimisers), labels)
