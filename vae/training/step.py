"""One step of training, as a pure function of the state and a batch."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from vae.claims import Claim, claim_by
from vae.data.feeds import each_feed
from vae.objectives import batch_mean, total_rate
from vae.settings import Settings
from vae.training.optimisers import Optimiser, at_settings
from vae.training.skipping import left_out
from vae.training.state import TrainState
from vae.types import Batch, Carried, Model, Objective, Params, PyTree, Terms

Metrics = dict[str, Array]
Batches = Batch | Mapping[str, Batch]
Claims = Claim | Mapping[str, Claim]
"""One for all feeds, or one per feed."""

TrainStep = Callable[[TrainState, Batches], tuple[TrainState, Metrics]]

MODEL, OBJECTIVE, OPTIMISER, SCHEDULES, PREPARE = PARTS = (
    *("vae:model", "vae:objective", "vae:optimiser", "vae:schedules", "vae:prepare"),
)
"""Scopes by which the parts of a traced step are told apart; see `vae.training.identity`."""

CHANGING = ("params", "model_state", "objective_state", "optimiser_state", "average")
"""The fields of the state that a step replaces and a skipped step keeps."""


def make_train_step(
    model: Model,
    objective: Objective,
    optimiser: Optimiser,
    schedules: Mapping[str, Callable] | None = None,
    average_decay: float | None = None,
    claims: Claims | None = None,
) -> TrainStep:
    """Build train_step(state, batch) -> state, metrics.

    batch:         a Batch, or one per feed by name for an objective of several feeds.
    optimiser:     an optax transformation, whose updates the setting "learning_rate" multiplies where there is one (write it at
                   unit rate then, `optax.adam(1.0)`); a function from the settings to one; or one of these per player.
    schedules:     shapes by the name of the setting they multiply (see `vae.schedules`).
    average_decay: decay of the moving average of the parameters, None for none.
    claims:        what the batch means may be called, see `vae.claims`; by the objective's rates alone where it is not given.

    A step whose gradient is not finite changes no parameter and no carried state, and is counted in `state.skipped`; the next
    one draws other noise. The caller decides how many in a row are too many.
    """
    schedules = dict(schedules or {})
    claims = claim_by(objective.rates) if claims is None else claims

    model = in_scope(model)

    def train_step(state: TrainState, batch: Batches) -> tuple[TrainState, Metrics]:
        loss_key, model_key, objective_key = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
        with jax.named_scope(SCHEDULES):
            settings = Settings(settings_at(state.settings, schedules, state.step), training=True)
        carried = Carried(model=state.model_state, objective=state.objective_state)
        batch = each_feed(lambda of_one: of_one._replace(x=made_once(of_one.x)), batch)

        def losses(params: Params):
            with jax.named_scope(OBJECTIVE):
                return objective.loss(params, carried, loss_key, batch, settings, model)

        gradients, loss, (terms, aux) = gradients_by_player(losses, state.params)
        finite = all_squares_finite(gradients)

        def stepped() -> dict:
            with jax.named_scope(OPTIMISER):
                transformation = at_settings(optimiser, settings)
                updates, optimiser_state = transformation.update(gradients, state.optimiser_state, state.params)
                params = optax.apply_updates(state.params, updates)
                average = moving_average(state.average, params, average_decay)
            with jax.named_scope(OBJECTIVE):
                objective_state = objective.update(state.objective_state, aux, objective_key)
            return {
                "params": params,
                "model_state": model.update(state.model_state, aux["statistics"], model_key),
                "objective_state": objective_state,
                "optimiser_state": optimiser_state,
                "average": average,
            }

        kept = only_if(finite, stepped, {name: getattr(state, name) for name in CHANGING})
        skipped = jnp.where(finite, 0, state.skipped + 1)
        state = state._replace(**kept, step=state.step + 1, skipped=skipped)
        watched = aux.get("metrics", {}) | left_out(state.optimiser_state)
        return state, batch_metrics(terms, batch, loss, claims) | watched | {"skipped": skipped}

    return train_step


def made_once(x: PyTree) -> PyTree:
    """x, computed before it is used: otherwise XLA spreads a binarisation over all that uses the image."""
    return jax.lax.optimization_barrier(x)


def in_scope(model: Model) -> Model:
    """The model with its operations named as such, so that what differs between two steps can be told by part."""

    def infer(*arguments):
        with jax.named_scope(MODEL):
            draw = model.infer(*arguments)
        return jax.named_scope(MODEL)(draw)

    functions = {name: jax.named_scope(MODEL)(getattr(model, name)) for name in ("prior", "decode", "update")}
    return model._replace(infer=infer, **functions)


def all_squares_finite(tree: PyTree) -> Array:
    """Whether the square of every number of a tree is finite, as Adam's second moment wants it: none is NaN or over 1.7e19.

    By a product of a row of 2e19 with every matrix, where NaN and what overflows survive: on a CPU much cheaper than the norm
    of the gradient.
    """

    def column_sums(leaf: Array) -> Array:
        columns = leaf.shape[-1] if leaf.ndim > 1 else 1
        matrix = leaf.reshape(leaf.size // max(columns, 1), columns)
        matrix = matrix.astype(jnp.promote_types(matrix.dtype, jnp.float32))  # 2e19 is more than half precision holds
        return jnp.full((1, len(matrix)), 2e19, matrix.dtype) @ matrix

    sums = [jnp.sum(column_sums(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.isfinite(sum(sums, jnp.zeros(())))


def only_if(condition: Array, changed: Callable[[], PyTree], old: PyTree) -> PyTree:
    """changed() where the condition holds, else `old`.

    On a CPU by a branch: the old values need not outlive the new ones then, and XLA updates parameters and moments in place,
    without the copies of a selection. Elsewhere by selection, since a branch on an accelerator waits for the host. Under
    `vmap` a branch becomes a selection too.
    """

    def branch():
        return jax.lax.cond(condition, changed, lambda: old)

    def selection():
        return jax.tree.map(lambda new, was: jnp.where(condition, new, was), changed(), old)

    return jax.lax.platform_dependent(cpu=branch, default=selection)


def settings_at(levels: Mapping[str, Array], schedules: Mapping[str, Callable], step: Array) -> dict[str, Array]:
    """Every setting at a step: its level times its schedule's factor."""
    unknown = sorted(set(schedules) - set(levels))
    if unknown:
        raise ValueError(f"schedules are given for {', '.join(unknown)}, which no setting has a level for; add it to settings.")
    return {name: level * schedules[name](step) if name in schedules else level for name, level in levels.items()}


def gradients_by_player(losses: Callable, params: Params) -> tuple[Params, PyTree, tuple]:
    """Gradients of each player's parameters from that player's own loss.

    losses(params) -> losses, aux with a scalar, which every player descends, or a dict with one scalar per player, that is per
    top-level entry of `params`. A dict costs one backward pass per player through one shared forward pass; what a pass does not
    need is removed by the compiler.
    """
    values, pullback, aux = jax.vjp(losses, params, has_aux=True)
    if not isinstance(values, dict):
        return pullback(jnp.ones_like(values))[0], values, aux
    if set(values) != set(params):
        raise ValueError(
            f"the objective gave losses for {sorted(values)}, but the players are {sorted(params)}; wanted one for each."
        )
    only = {player: {other: jnp.ones_like(v) * (other == player) for other, v in values.items()} for player in values}
    return {player: pullback(only[player])[0][player] for player in params}, values, aux


def moving_average(average: PyTree, params: Params, decay: float | None) -> PyTree:
    """decay * average + (1 - decay) * params; unchanged where none is kept."""
    if decay is None:
        return average
    return optax.incremental_update(params, average, 1.0 - decay)


def batch_metrics(terms: Any, batch: Batches, loss: PyTree, claims: Claims) -> Metrics:
    """Batch means of the terms, in nats per example, and of log-likelihood minus rates at beta 1 whatever was minimised.

    claims: what they are called, one for all feeds or one per feed. Of several feeds, the means stand under each one's name
            ("labelled/elbo").
    """
    if isinstance(batch, Mapping):
        found = {feed: term_means(terms[feed], of_one, of_feed(claims, feed)) for feed, of_one in batch.items()}
        means = {f"{feed}/{metric}": value for feed, values in found.items() for metric, value in values.items()}
    else:
        means = term_means(terms, batch, of_feed(claims))
    return means | ({f"loss/{player}": value for player, value in loss.items()} if isinstance(loss, dict) else {"loss": loss})


def of_feed(claims: Claims, feed: str = "") -> Claim:
    """The claim on one feed."""
    return claims[feed] if isinstance(claims, Mapping) else claims


def term_means(terms: Terms, batch: Batch, claim: Claim) -> Metrics:
    """Batch means of the terms of one feed."""
    rate = total_rate(terms)
    named = {claim.total: terms.log_likelihood - rate, "log_likelihood": terms.log_likelihood, claim.rate: rate}
    return {name: batch_mean(values, batch.weight) for name, values in named.items()}
