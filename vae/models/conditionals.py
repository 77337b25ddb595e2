"""A network and the family that its outputs are read as: p(y | inputs), of which models with several groups are made."""

from typing import NamedTuple

import jax

from vae.distributions.base import Distribution
from vae.models.latent import value_like
from vae.settings import Settings
from vae.types import Family, Key, Network, Params, PyTree


class Conditional(NamedTuple):
    """p(y | inputs, context).

    network: from (inputs, context) to `family.outputs` numbers; not a stochastic one (dropout), since there is no key for it.
    family:  those numbers -> distribution of y.
    """

    network: Network
    family: Family


def initialised(part: Conditional, name: str, key: Key, inputs: PyTree, context: PyTree) -> tuple[Params, PyTree]:
    """Parameters {"network": ..., "family": ...}, and the network's state, for inputs of these shapes.

    name: of the part, for the errors. Raises ValueError for a network that gives other outputs than the family reads, and for a
    stochastic one.
    """
    if part.network.stochastic:
        raise ValueError(f"{name} got a stochastic network, wanted one without dropout, since there is no key for it.")
    own, state = part.network.init(key, inputs, context)
    found = shapes_of(outputs_like(part.network, own, state, inputs, context))
    if found != tuple(part.family.outputs):
        raise ValueError(
            f"the network of {name} gives outputs of shape {found}, but its family reads {tuple(part.family.outputs)}; make "
            "the network for the outputs of the family."
        )
    shared = {} if part.family.init is None else part.family.init(jax.random.fold_in(key, 1))
    return {"network": own, "family": shared}, state


def outputs_like(network: Network, params: PyTree, state: PyTree, *inputs: PyTree) -> PyTree:
    """The shapes of what a network gives, found without computing anything."""
    return jax.eval_shape(lambda *given: network.apply(*given)[0], params, state, *inputs)


def shapes_of(tree: PyTree) -> PyTree:
    """The shape of every leaf as a tuple."""
    return jax.tree.map(lambda leaf: tuple(leaf.shape), tree)


def applied(
    part: Conditional, params: Params, state: PyTree, inputs: PyTree, context: PyTree, settings: Settings
) -> tuple[Distribution, PyTree]:
    """p(y | inputs, context), and the network's state after it."""
    outputs, after = part.network.apply(params["network"], state, inputs, context, training=settings.training)
    shared = () if part.family.init is None else (params["family"],)
    return part.family.build(outputs, *shared), after


def require_alike(name: str, part: Conditional, other_name: str, other: Conditional) -> None:
    """Refuse two distributions over values of different shapes where one value is of both: groups that do not chain.

    Raises ValueError that names both.
    """
    own, wanted = shapes_of(value_like(part.family)), shapes_of(value_like(other.family))
    if own != wanted:
        raise ValueError(
            f"{name} is over values of shape {own}, and {other_name} over values of shape {wanted}; the groups do not chain: "
            "wanted one shape for both."
        )
