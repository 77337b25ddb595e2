"""Objectives of several feeds: each feed of a step has an objective of its own, and the losses add up."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from vae.objectives.penalties import Losses
from vae.settings import Settings
from vae.types import Batch, Carried, Key, Objective, Params, PyTree, Summand


def by_feed(objectives: Mapping[str, Objective]) -> Objective:
    """The sum over feeds of each one's loss, a mean over its own batch:

        loss = sum_f weight_f * loss_f(batch_f)

    objectives: by the name of the feed. The setting of that name is the weight, 1 where it is not given. None may have
                parameters of its own.

        vae.objectives.by_feed({"labelled": vae.elbo(), "unlabelled": vae.elbo(expectation=enumerated(10))})

    Validation and reports charge as the last objective does. Raises TypeError for a batch of one feed, ValueError for feeds
    with other names.
    """
    names = tuple(objectives)

    def init(key: Key) -> tuple[Params, PyTree]:
        found = {name: objective.init(key) for name, objective in objectives.items()}
        if any(jax.tree.leaves(params) for params, _ in found.values()):
            raise ValueError("by_feed got an objective with parameters of its own; wanted none: give it to one feed alone.")
        return {}, {name: state for name, (_, state) in found.items()}

    def loss(params: Params, carried: Carried, key: Key, batch: Any, settings: Settings, model: Any):
        require_feeds(batch, names)
        losses, terms, auxes = {}, {}, {}
        for i, (name, objective) in enumerate(objectives.items()):
            own = carried._replace(objective=carried.objective[name])
            found, (terms[name], auxes[name]) = objective.loss(
                params, own, jax.random.fold_in(key, i), batch[name], settings, model
            )
            losses[name] = jax.tree.map(lambda value, name=name: settings.get(name, 1.0) * value, found)
        metrics = {f"{name}/{metric}": value for name, aux in auxes.items() for metric, value in aux["metrics"].items()}
        statistics = jax.tree.map(lambda *rows: jnp.concatenate(rows), *(auxes[name]["statistics"] for name in names))
        return summed(losses, params), (terms, {"statistics": statistics, "metrics": metrics, "each": auxes})

    def update(state: PyTree, aux: dict, key: Key) -> PyTree:
        return {name: objectives[name].update(state[name], aux["each"][name], key) for name in names}

    summands = tuple(with_feed(name, each) for name in names for each in objectives[name].summands)
    return Objective(init, loss, update, summands, objectives[names[-1]].rates)


def require_feeds(batch: Any, names: tuple[str, ...]) -> None:
    """Refuse batches of other feeds than the objective's."""
    if isinstance(batch, Batch):
        raise TypeError(f"by_feed got one batch; wanted one for each of {', '.join(names)}: give the experiment several feeds.")
    if set(batch) != set(names):
        raise ValueError(f"by_feed has objectives for {sorted(names)}, but the feeds are {sorted(batch)}; wanted one for each.")


def summed(losses: Mapping[str, Losses], params: Params) -> Losses:
    """The sum of the feeds' losses, by player where any of them has one loss for each."""
    scalars = [value for value in losses.values() if not isinstance(value, dict)]
    if len(scalars) == len(losses):
        return sum(scalars, jnp.zeros(()))
    by_player = [value if isinstance(value, dict) else dict.fromkeys(params, value) for value in losses.values()]
    return {player: sum((value[player] for value in by_player), jnp.zeros(())) for player in params}


def with_feed(name: str, summand: Summand) -> Summand:
    """A term of one feed's loss."""
    return summand._replace(text=f"{summand.text} of {name}", reduction=f"{summand.reduction} of {name}")
