"""Whether an objective is what it says: nats per example, a mean over the batch, weights of the right sign."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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
    settings: Mapping[str, float] | None = None,
    weights: Sequence[str] = ("beta",),
    standard_errors: float = 4.0,
    skip: Sequence[str] = (),
) -> Report:
    """Hold an objective to the contract; raise AssertionError at the first check that fails.

    model:    what it is tried on; None: the linear-Gaussian model (five numbers, two latents) with its exact posterior.
    x:        examples for `model`, with a leading axis of `EXAMPLES` = 6; needed where a model is given.
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
        "bound"             minus the loss is at most the exact evidence, on the linear-Gaussian model only; leave it out for an
                            objective that is no bound, or tighter than one (`renyi` below order 0)
        "padding"           examples of weight zero may hold anything
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

    evaluate = _evaluation(objective, tried, carried, Batch(examples, (), jnp.ones(EXAMPLES)))
    keys = jax.random.split(loss_key, KEYS)
    plain, shifted = (evaluate(params, traced, keys, jnp.asarray(offset)) for offset in (0.0, SHIFT))
    check_shapes(allowance, plain, params)
    check_units(allowance, plain, shifted)
    check_weights(allowance, plain, weights)
    if model is None:
        loadings = np.asarray(params["generative"]["loadings"], np.float64)
        evidence = float(linear_gaussian_evidence(np.asarray(examples), loadings).mean())
        check_bound(allowance, plain, evidence, standard_errors)
    check_batches(allowance, objective, tried, params, carried, traced, examples, loss_key)
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
    """The model with noise that is a function of the example's number, the context, whatever keys it is given."""

    def infer(params, state, x, context, settings):
        draw = model.infer(params, state, x, (), settings)
        return lambda _, values=(): draw(jax.random.fold_in(key, context), values)

    def prior(params, state, _, context, values=(), temperature=1.0):
        return model.prior(params, state, jax.random.fold_in(key, context), (), values, temperature)

    return model._replace(infer=infer, prior=prior)


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


def check_batches(allowance, objective, model, params, carried, levels, examples, key) -> None:
    """ "padding" and "duplicated batch", on batches of twice the size, so that all are one program."""
    fixed, number = with_noise_of_example(model, key), jnp.tile(jnp.arange(EXAMPLES), 2)

    @jax.jit
    def losses(x, weight):
        values, _ = objective.loss(params, carried, key, Batch(x, number, weight), Settings(levels, training=True), fixed)
        return of_model(values)

    def doubled(second):
        return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), examples, second)

    half = jnp.concatenate([jnp.ones(EXAMPLES), jnp.zeros(EXAMPLES)])
    reverse, same = jax.tree.map(lambda leaf: leaf[::-1], examples), examples
    padded, otherwise = losses(doubled(same), half), losses(doubled(reverse), half)
    twice = losses(doubled(same), jnp.ones(2 * EXAMPLES))
    for player, wanted in padded.items():
        allowed = ROUNDING * (1 + abs(float(wanted)))
        unit = f"nats per example, the loss ({player})"
        allowance.close("padding", otherwise[player], wanted, allowed, f"{unit} with other padding")
        allowance.close("duplicated batch", twice[player], wanted, allowed, f"{unit} of the batch beside itself")


def check_state(allowance: Allowance, objective: Objective, state: PyTree, aux: dict, key: Array) -> None:
    """ "carried state"."""
    first = jax.tree.map(lambda leaf: leaf[0], aux)
    updated = objective.update(state, first, key)
    before, after = (
        jax.tree.map(lambda leaf: (jnp.shape(leaf), jnp.result_type(leaf).name), tree) for tree in (state, updated)
    )
    allowance.holds("carried state", before == after, f"got {after} after a step, wanted what it was before, {before}")
