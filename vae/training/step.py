"""One step of training, as a pure function of the state and a batch."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from vae.objectives import batch_mean, total_rate
from vae.training.state import TrainState
from vae.types import Batch, Carried, Model, Objective, Params, PyTree, Settings, Terms

Metrics = dict[str, Array]
TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]

CHANGING = ("params", "model_state", "objective_state", "optimiser_state", "average")
"""The fields of the state that a step replaces and a skipped step keeps."""


def make_train_step(
    model: Model,
    objective: Objective,
    optimiser: optax.GradientTransformation,
    schedules: Mapping[str, Callable] | None = None,
    average_decay: float | None = None,
) -> TrainStep:
    """Build train_step(state, batch) -> state, metrics.

    optimiser:     any optax transformation. The setting "learning_rate", where there is one, multiplies its updates, so that a
                   rate can be scheduled and swept: write the optimiser at unit rate then, `optax.adam(1.0)`.
    schedules:     shapes by the name of the setting they multiply (see `vae.schedules`).
    average_decay: decay of the moving average of the parameters, None for none.

    A step whose gradient is not finite changes no parameter and no carried state, and is counted in `state.skipped`; the next
    one draws other noise. The caller decides how many in a row are too many.
    """
    schedules = dict(schedules or {})

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        loss_key, model_key, objective_key = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
        settings = Settings(settings_at(state.settings, schedules, state.step), training=True)
        carried = Carried(model=state.model_state, objective=state.objective_state)
        # Made once: otherwise XLA spreads the binarisation over the operations that use the image, and vectorises it badly.
        batch = batch._replace(x=jax.lax.optimization_barrier(batch.x))

        def losses(params: Params):
            return objective.loss(params, carried, loss_key, batch, settings, model)

        gradients, loss, (terms, aux) = gradients_by_player(losses, state.params)
        finite = all_squares_finite(gradients)

        def stepped() -> dict:
            updates, optimiser_state = optimiser.update(gradients, state.optimiser_state, state.params)
            updates = jax.tree.map(lambda u: u * settings.get("learning_rate", 1.0), updates)
            params = optax.apply_updates(state.params, updates)
            return {
                "params": params,
                "model_state": model.update(state.model_state, aux["statistics"], model_key),
                "objective_state": objective.update(state.objective_state, aux, objective_key),
                "optimiser_state": optimiser_state,
                "average": moving_average(state.average, params, average_decay),
            }

        kept = only_if(finite, stepped, {name: getattr(state, name) for name in CHANGING})
        skipped = jnp.where(finite, 0, state.skipped + 1)
        state = state._replace(**kept, step=state.step + 1, skipped=skipped)
        return state, batch_metrics(terms, batch, loss, objective.rate) | aux.get("metrics", {}) | {"skipped": skipped}

    return train_step


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


def by_player(optimisers: Mapping[str, optax.GradientTransformation]) -> optax.GradientTransformation:
    """One optimiser per player, that is per top-level entry of the parameters, as one transformation."""

    def labels(params: Params) -> PyTree:
        unknown = sorted(set(params) - set(optimisers))
        if unknown:
            raise ValueError(
                f"there is no optimiser for {', '.join(unknown)}; got optimisers for {sorted(optimisers)}: add one."
            )
        return {player: jax.tree.map(lambda leaf, player=player: player, tree) for player, tree in params.items()}

    return optax.multi_transform(dict(optimisers), labels)


def moving_average(average: PyTree, params: Params, decay: float | None) -> PyTree:
    """decay * average + (1 - decay) * params; unchanged where none is kept."""
    if decay is None:
        return average
    return optax.incremental_update(params, average, 1.0 - decay)


def batch_metrics(terms: Terms, batch: Batch, loss: PyTree, name: str = "kl") -> Metrics:
    """Batch means of the terms, in nats per example; where the rate is a KL, also the `elbo` at beta 1 whatever was minimised.

    name: of the rate, see `Objective`.
    """
    rate = total_rate(terms)
    means = {"log_likelihood": batch_mean(terms.log_likelihood, batch.weight), name: batch_mean(rate, batch.weight)}
    bound = {"elbo": batch_mean(terms.log_likelihood - rate, batch.weight)} if name == "kl" else {}
    by_player = {f"loss/{player}": value for player, value in loss.items()} if isinstance(loss, dict) else {"loss": loss}
    return bound | means | by_player
