"""Whether an objective is what it says: nats per example, a mean over the batch, weights of the right sign."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, Distribution, distribution
from vae.evaluation.arrays import standard_error
from vae.settings import Settings
from vae.testing.allowance import Allowance, Report
from vae.testing.linear_gaussian_model import linear_gaussian, linear_gaussian_data, linear_gaussian_evidence
from vae.training.step import gradients_by_player
from vae.types import Batch, Carried, Key, Model, Objective, Params, PyTree

EXAMPLES, KEYS = 6, 64
SHIFT = 2.0
ROUNDING = 2e-4
MISFITS = ((1.0, 0.0), (0.5, 0.4), (1.3, 0.2))
"""Posteriors at which a bound is held against the evidence: factors of the exact one's mean, additions to its log standard
deviations. None is narrower than the exact one, so that importance weights keep a variance."""
FILLINGS = (np.nan, 1e30)
"""What padding is filled with: no number, and one whose square overflows."""


@distribution
class Shifted:
    """`base` with a log density that is larger by `offset` nats: a likelihood that is not normalised."""

    base: Distribution
    offset: Float[Array, ""]

    @property
    def data_space(self) -> DataSpace:
        """The data space of `base`."""
        return self.base.data_space

    def __getattr__(self, name: str) -> Any:
        if name == "base":
            raise AttributeError(name)
        return getattr(self.base, name)

    def sample(self, key: Array) -> Array:
        """A draw from `base`."""
        return self.base.sample(key)

    def sample_and_log_prob(self, key: Array) -> tuple[Array, Array]:
        """A draw from `base` and its shifted log density."""
        value, log_prob = self.base.sample_and_log_prob(key)
        return value, log_prob + self.offset

    def log_prob(self, value: Array) -> Float[Array, ""]:
        """The shifted log density."""
        return self.base.log_prob(value) + self.offset


def check_objective(
    objective: Objective,
    key: Array,
    *,
    model: Model | None = None,
    x: PyTree | None = None,
    context: PyTree = (),
    settings: Mapping[str, float] | None = None,
    weights: Sequence[str] = ("beta",),
    standard_errors: float = 4.0,
    skip: Sequence[str] = (),
) -> Report:
    """Hold an objective to the contract; raise AssertionError at the first check that fails.

    model:    what it is tried on; None: the linear-Gaussian model (five numbers, two latents) with its exact posterior.
    x:        examples for `model`, with a leading axis of `EXAMPLES` = 6; needed where a model is given.
    context:  what those examples are conditioned on, with the same leading axis; () for nothing.
    settings: as given to a run.
    weights:  settings that multiply something which is not negative.
    skip:     names of checks to leave out.

    Checks:
        "losses"            one finite scalar, or one per player of the parameters
        "terms"             finite Terms with a leading batch axis
        "likelihood"        a likelihood larger by 2 nats makes the loss smaller by 2: not by a mean over pixels, not by a sum
                            over the batch. Leave it out where the log-likelihood has another weight than 1.
        "reported terms"    and the reported log-likelihood larger by 2
        "gradient"          finite, for every player
        "weights"           the loss does not fall where a weight rises
        "bound"             minus the loss is at most the exact evidence, on the linear-Gaussian model only, with its exact
                            posterior and with wrong ones, where the weights differ; on average over 64 keys, within so many
                            standard errors. Leave it out for an objective that is no bound, or tighter than one (`renyi`
                            below order 0)
        "padding"           a batch padded with NaN, 1e30 or other examples of weight zero has the loss and the gradient of the
                            batch alone. Leave it out for a model that reduces over the batch by itself
        "duplicated batch"  a batch beside itself, noise included, has the loss of the batch: what depends on the size of the
                            batch by design (an unbiased estimate over pairs) leaves it out
        "carried state"     `update` returns a state of the same shapes and types

    Returns the share of its allowance that each check used, by name.
    """
    allowance = Allowance("the objective", skip)
    model_key, own_key, data_key, loss_key = jax.random.split(key, 4)
    if model is not None and x is None:
        raise ValueError("check_objective got a model without examples; wanted x, with a leading axis of 6.")
    tried = linear_gaussian() if model is None else model
    examples = linear_gaussian_data(data_key, EXAMPLES) if x is None else x
    params, model_state = tried.init(model_key)
    own, state = objective.init(own_key)
    params = params | ({"objective": own} if jax.tree.leaves(own) else {})
    carried, levels = Carried(model_state, state), dict.fromkeys(weights, 1.0) | dict(settings or {})
    traced = {name: jnp.asarray(float(value)) for name, value in levels.items()}

    batch = Batch(examples, context, jnp.ones(EXAMPLES))
    evaluate = _evaluation(objective, tried, carried, batch)
    keys = jax.random.split(loss_key, KEYS)
    plain, shifted = (evaluate(params, traced, keys, offset) for offset in (0.0, SHIFT))
    check_shapes(allowance, plain, params)
    check_units(allowance, plain, shifted)
    check_weights(allowance, plain, weights)
    if model is None:
        loadings = np.asarray(params["generative"]["loadings"], np.float64)
        evidence = float(linear_gaussian_evidence(np.asarray(examples), loadings).mean())
        for misfit in MISFITS:
            check_bound(allowance, evaluate(misfitted(params, *misfit), traced, keys, 0.0), evidence, standard_errors)
    check_batches(allowance, objective, tried, params, carried, traced, batch, loss_key)
    check_state(allowance, objective, state, plain["aux"], loss_key)
    return allowance.used


def _evaluation(objective: Objective, model: Model, carried: Carried, batch: Batch) -> Any:
    """(params, levels, keys, offset) -> losses, gradients and terms with a leading axis of keys; compiled once."""

    def one(params, levels, key, offset):
        def losses(params, levels):
            values, (terms, aux) = objective.loss(
                params, carried, key, batch, Settings(levels, training=True), with_offset(model, offset)
            )
            return values, (terms, aux)

        gradients, values, (terms, aux) = gradients_by_player(lambda p: losses(p, levels), params)
        slopes = jax.jacrev(lambda levels: of_model(losses(params, levels)[0]))(levels) if levels else {}
        return {"losses": values, "gradients": gradients, "slopes": slopes, "terms": terms, "aux": aux}

    return jax.jit(jax.vmap(one, in_axes=(None, None, 0, None)))


def with_offset(model: Model, offset: Array) -> Model:
    """The model with a `Shifted` likelihood."""

    def infer(params, state, x, context, settings):
        draw = model.infer(params, state, x, context, settings)

        def shifted(key: Key, values: tuple = ()):
            trace = draw(key, values)
            return trace._replace(likelihood=Shifted(trace.likelihood, offset))

        return shifted

    return model._replace(infer=infer)


def with_noise_of_example(model: Model, key: Key) -> Model:
    """The model with noise that is a function of the example's number, whatever keys it is given.

    The contexts are pairs of that number and the model's own context.
    """

    def infer(params, state, x, numbered, settings):
        number, context = numbered
        draw = model.infer(params, state, x, context, settings)
        return lambda _, values=(): draw(jax.random.fold_in(key, number), values)

    def prior(params, state, _, numbered, values=(), temperature=1.0):
        number, context = numbered
        return model.prior(params, state, jax.random.fold_in(key, number), context, values, temperature)

    return model._replace(infer=infer, prior=prior)


def misfitted(params: Params, factor: float, addition: float) -> Params:
    """The linear-Gaussian model's parameters with another posterior: so many times its mean, and wider."""
    weights, log_std = params["posterior"]["weights"], params["posterior"]["log_std"]
    return params | {"posterior": {"weights": factor * weights, "log_std": log_std + addition}}


def of_model(losses: Any) -> dict[str, Array]:
    """The losses of the model's own players, by name; "loss" where there is one for all."""
    return {p: v for p, v in losses.items() if p != "objective"} if isinstance(losses, dict) else {"loss": losses}


def check_shapes(allowance: Allowance, got: dict, params: Params) -> None:
    """ "losses", "terms" and "gradient"."""
    losses = got["losses"] if isinstance(got["losses"], dict) else dict.fromkeys(params, got["losses"])
    allowance.holds("losses", set(losses) == set(params), f"got losses for {sorted(losses)}, wanted one for {sorted(params)}")
    for player, loss in losses.items():
        scalar = loss.shape == (KEYS,) and np.all(np.isfinite(loss))
        allowance.holds("losses", scalar, f"got {np.asarray(loss)[0]} for {player}, wanted a finite scalar")
    leaves = {"log_likelihood": got["terms"].log_likelihood, "penalty": got["terms"].penalty}
    leaves |= {f"rates[{i}]": rate for i, rate in enumerate(got["terms"].rates)}
    for name, leaf in leaves.items():
        batched = leaf.shape[1:2] == (EXAMPLES,) and np.all(np.isfinite(leaf))
        allowance.holds("terms", batched, f"got {name} of shape {leaf.shape[1:]}, wanted finite numbers of {EXAMPLES} examples")
    for player in params:
        finite = all(np.all(np.isfinite(g)) for g in jax.tree.leaves(got["gradients"][player]))
        allowance.holds("gradient", finite, f"got a gradient of {player} that is not finite")


def check_units(allowance: Allowance, plain: dict, shifted: dict) -> None:
    """ "likelihood" and "reported terms"."""
    before, after = of_model(plain["losses"]), of_model(shifted["losses"])
    for player in before:
        change = np.asarray(after[player] - before[player], np.float64)
        allowance.close(
            "likelihood",
            change.mean(),
            -SHIFT,
            ROUNDING * (1 + abs(float(before[player].mean()))),
            f"nats per example, the change of the loss ({player}) for a likelihood larger by {SHIFT:g}",
        )
    change = np.asarray(shifted["terms"].log_likelihood - plain["terms"].log_likelihood).mean()
    allowance.close("reported terms", change, SHIFT, ROUNDING * 50, "nats per example, of the reported log-likelihood")


def check_weights(allowance: Allowance, plain: dict, weights: Sequence[str]) -> None:
    """ "weights"."""
    for player, slopes in plain["slopes"].items():
        for name in weights:
            slope = float(np.mean(slopes[name]))
            allowance.holds(
                "weights", slope >= -ROUNDING, f"the loss ({player}) falls by {-slope:.4g} nats where {name} rises by one"
            )


def check_bound(allowance: Allowance, plain: dict, evidence: float, standard_errors: float) -> None:
    """ "bound"."""
    for player, loss in of_model(plain["losses"]).items():
        values = -np.asarray(loss, np.float64)
        excess = max(values.mean() - evidence, 0.0)
        allowed = standard_errors * float(standard_error(values)) + ROUNDING * 10
        allowance.close("bound", excess, 0.0, allowed, f"nats of -loss ({player}) above the evidence {evidence:.5g}")


def check_batches(allowance, objective, model, params, carried, levels, batch, key) -> None:
    """ "padding" and "duplicated batch": batches of twice the size against the batch alone, an example's noise equal."""
    fixed = with_noise_of_example(model, key)
    rows = batch.x, (jnp.arange(EXAMPLES), batch.context)

    @jax.jit
    def found(x, context, weight):
        def losses(params):
            return objective.loss(params, carried, key, Batch(x, context, weight), Settings(levels, training=True), fixed)

        gradients, values, _ = gradients_by_player(losses, params)
        return of_model(values), gradients if isinstance(values, dict) else {"loss": gradients}

    def doubled(second, weight):
        joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), rows, second)
        return found(*joined, jnp.concatenate([jnp.ones(EXAMPLES), jnp.full(EXAMPLES, weight)]))

    alone, twice = found(*rows, jnp.ones(EXAMPLES)), doubled(rows, 1.0)
    paddings = {"other examples": jax.tree.map(lambda leaf: leaf[::-1], rows)}
    paddings |= {f"{filling:g}": filled(rows, filling) for filling in FILLINGS}
    for player, wanted in alone[0].items():
        unit, allowed = f"nats per example, the loss ({player})", ROUNDING * (1 + abs(float(wanted)))
        for name, padding in paddings.items():
            losses, gradients = doubled(padding, 0.0)
            allowance.close("padding", losses[player], wanted, allowed, f"{unit} padded with {name}")
            apart, size = distance(gradients[player], alone[1][player])
            off = f"the distance of the gradient ({player}), padded with {name}, from that of the batch alone"
            allowance.close("padding", apart, 0.0, ROUNDING * (1 + size), off)
        allowance.close("duplicated batch", twice[0][player], wanted, allowed, f"{unit} of the batch beside itself")


def filled(rows: PyTree, filling: float) -> PyTree:
    """The rows with every real number replaced; numbers of other kinds stay, since they may be indices."""
    return jax.tree.map(lambda leaf: jnp.full_like(leaf, filling) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, rows)


def distance(found: PyTree, wanted: PyTree) -> tuple[float, float]:
    """The Euclidean distance of two trees, and the norm of the second."""
    return float(optax.tree.norm(jax.tree.map(jnp.subtract, found, wanted))), float(optax.tree.norm(wanted))


def check_state(allowance: Allowance, objective: Objective, state: PyTree, aux: dict, key: Array) -> None:
    """ "carried state"."""
    first = jax.tree.map(lambda leaf: leaf[0], aux)
    updated = objective.update(state, first, key)
    before, after = (
        jax.tree.map(lambda leaf: (jnp.shape(leaf), jnp.result_type(leaf).name), tree) for tree in (state, updated)
    )
    allowance.holds("carried state", before == after, f"got {after} after a step, wanted what it was before, {before}")
