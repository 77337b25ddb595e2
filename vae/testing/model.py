"""Whether a model keeps the contract: what it says of an example, alone and in a batch, again and again, in training too."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vae.settings import Settings
from vae.testing.allowance import Allowance, Report
from vae.testing.model_densities import ROUNDING, check_densities, equal
from vae.testing.model_training import check_state, check_training, fitting_objective
from vae.testing.passes import Tried, can_be_given, passes, scores, shapes
from vae.types import Key, Latent, Model, Objective, Params, PyTree, Trace

PLAYERS = {"posterior", "generative"}
FEWEST = 64
DENSITIES = (
    *("own density", "given", "decode", "own draws", "KL", "bound"),
    *("prior samples", "prior moments", "temperature", "importance sampling"),
)
"""The checks that take many draws."""

CHECKS = (
    *("parameters", "trace", "order", "jit", "seeds", "one example", "some given"),
    *DENSITIES,
    *("posterior leak", "generative leak", "gradient", "carried state", "resume"),
)
"""All of them."""


def check_model(
    model: Model,
    x: PyTree,
    key: Array,
    *,
    context: PyTree = (),
    settings: Mapping[str, float] | None = None,
    objective: Objective | None = None,
    samples: int = 256,
    noise: float = 0.05,
    standard_errors: float = 4.0,
    skip: Sequence[str] = (),
) -> Report:
    """Hold a model to the contract; raise AssertionError at the first check that fails.

    x:         a few examples, with a leading axis of 2 or more.
    context:   what those are conditioned on, with the same leading axis; () for nothing.
    settings:  as given to a run.
    objective: what its training step descends; None: the negative ELBO, each group by its KL in closed form where the table has
               a row and by its log ratio where not, or, where a posterior is not reparameterised, importance weights whose
               gradient needs no path.
    samples:   draws of every example behind the checks of densities, which allow `standard_errors` of them.
    noise:     standard deviation of what is added to the initial parameters, so that what starts at zero hides nothing.
    skip:      names of checks to leave out.

    >>> model = vae.models.mlp(vae.Data((3,), "real"), latent_dim=2, hidden=[4])
    >>> "KL" in vae.testing.check_model(model, jnp.ones((2, 3)), jax.random.key(0))
    True

    Checks:
        "parameters"          init gives {"posterior", "generative"}, the same from the same key
        "trace"               a distribution, a tuple of groups, scalars that are finite
        "order"               latents in ancestral order: no prior changes with the value of a later group
        "jit", "seeds"        compiled, and over a `vmap` of seeds, a pass is the same
        "one example"         an example in a batch is the example alone, under training. Leave it out for a model that reduces
                              over the batch by itself (batch normalisation)
        "own density"         log_q is the posterior's own log_prob of the value, where it has one
        "given"               values given to `draw` come back as they are, with the log densities of the draw they are from
        "some given"          every second group given, to `draw` and to `prior`: kept as it is, the others drawn
        "decode"              decode(values) has the log density of the trace's likelihood
        "own draws"           an x drawn from the decoded prior has a finite log density there
        "KL"                  a closed form is the mean of the log ratio, over whole draws; a group whose prior hangs on a later
                              draw fails here unless it is in `AtSample`
        "bound"               ELBO <= IWAE-1 <= IWAE-8 <= IWAE with more, each of its own draws
        "prior samples"       values that `prior` draws, given to `draw`, have finite log densities
        "prior moments"       and the mean and standard deviation of the trace's prior, where that is a Normal
        "temperature"         and at temperature 0.5 half that deviation, where the prior has temperatures
        "importance sampling" draws of posterior and prior give one integral of p(z) p(x | z) alike
        "posterior leak"      log p(x, z) at a given z has no gradient in the posterior's parameters. Leave it out where a prior
                              is made of the encoder (VampPrior) and where a gradient is passed on (a straight-through code)
        "generative leak"     log q(z | x) at a given z has no gradient in the generative parameters. Leave it out where the
                              posterior is built on them (a ladder)
        "gradient"            finite in four steps of training, and not zero throughout in any array of parameters
        "carried state"       `update` returns a state of the same shapes and types
        "resume"              two steps, the state through the host, two steps: bit for bit four steps; a step that is traced
                              again is the same program

    Checks of given values are made where every group has a density. Returns the share of its allowance that each check used,
    by name.
    """
    if unknown := sorted(set(skip) - set(CHECKS)):
        raise ValueError(f"check_model is to skip {', '.join(unknown)}; wanted some of {', '.join(CHECKS)}.")
    if samples < FEWEST:
        raise ValueError(f"samples is {samples}; wanted at least {FEWEST}, of which bounds of several sizes are made.")
    allowance = Allowance("the model", skip)
    init_key, single_key, passes_key, train_key = jax.random.split(key, 4)
    tried = tried_on(allowance, model, x, context, settings, init_key, noise)
    check_single(allowance, tried, single_key)
    if not allowance.skips("one example"):
        check_batch(allowance, tried, single_key)
    if not allowance.skips(*DENSITIES):
        check_densities(allowance, tried, passes(tried, passes_key, samples), standard_errors)
    given = can_be_given(tried)
    if given and not allowance.skips("order", "some given"):
        check_given(allowance, tried, single_key)
    if given and not allowance.skips("posterior leak", "generative leak"):
        check_leaks(allowance, tried, single_key)
    check_state(allowance, tried, train_key)
    if not allowance.skips("gradient", "resume"):
        check_training(allowance, tried, objective or fitting_objective(tried.trace), train_key)
    return allowance.used


def tried_on(allowance: Allowance, model: Model, x: PyTree, context: PyTree, settings: Any, key: Key, noise: float) -> Tried:
    """The model with parameters, after "parameters"; ValueError for fewer than two examples."""
    if len(jax.tree.leaves(x)[0]) < 2:
        raise ValueError("check_model got fewer than two examples; wanted x with a leading axis of 2 or more.")
    init_key, noise_key = jax.random.split(key)
    params, state = jax.jit(model.init)(init_key)
    allowance.holds("parameters", set(params) == PLAYERS, f"got {sorted(params)}, wanted {sorted(PLAYERS)}")
    x, context = jax.tree.map(jnp.asarray, (x, context))
    levels = {name: jnp.asarray(float(value)) for name, value in (settings or {}).items()}
    shapes_of = partial(one_pass, model, levels, params, state, x, context)
    return Tried(model, noisy(params, noise_key, noise), state, x, context, levels, jax.eval_shape(shapes_of, init_key))


def one_pass(model: Model, levels: Any, params: Params, state: PyTree, x: PyTree, context: PyTree, key: Key) -> Trace:
    """The trace of the first example."""
    x, context = jax.tree.map(lambda leaf: leaf[0], (x, context))
    return model.infer(params, state, x, context, Settings(levels))(key)


def noisy(params: Params, key: Key, noise: float) -> Params:
    """The parameters with Gaussian noise on every real number."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, max(len(leaves), 1))

    def moved(leaf: Array, key: Key) -> Array:
        real = jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf + noise * jax.random.normal(key, leaf.shape, leaf.dtype) if real else leaf

    return jax.tree.unflatten(structure, [moved(*pair) for pair in zip(leaves, keys, strict=False)])


def check_single(allowance: Allowance, tried: Tried, key: Key) -> None:
    """ "trace", "jit" and "seeds", of one example."""
    x, context = tried.example()
    trace = tried.infer(tried.params, tried.state, x, context)(key)
    check_trace(allowance, tried, trace, key)

    @jax.jit
    def compiled(params: Params, state: PyTree, x: PyTree, context: PyTree):
        return scores(tried.infer(params, state, x, context)(key), x)

    def one(params: Params, state: PyTree):
        return compiled(params, state, x, context)

    if not allowance.skips("jit"):
        alike(allowance, "jit", one(tried.params, tried.state), scores(trace, x), "compiled beside plain")
    if not allowance.skips("seeds", "parameters"):
        check_seeds(allowance, tried, one, jax.random.split(key, 2))


def check_seeds(allowance: Allowance, tried: Tried, one: Callable, seeds: Array) -> None:
    """ "seeds", and of "parameters" that init draws from its key alone."""

    def of_seed(seed: Key):
        started = tried.model.init(seed)
        return one(*started), started

    found, started = jax.jit(jax.vmap(of_seed))(seeds)
    for i, seed in enumerate(seeds):
        of_both, its_start = jax.tree.map(itemgetter(i), (found, started))
        alike(allowance, "seeds", of_both, one(*its_start), f"seed {i} of two beside it alone")
        alike(allowance, "parameters", its_start[0], jax.jit(tried.model.init)(seed)[0], "of one key by init, called again")


def check_trace(allowance: Allowance, tried: Tried, trace: Any, key: Key) -> None:
    """ "trace"."""
    x, context = tried.example()
    allowance.holds("trace", isinstance(trace, Trace), f"draw gave a {type(trace).__name__}, wanted a vae.Trace")
    groups = isinstance(trace.latents, tuple) and all(isinstance(latent, Latent) for latent in trace.latents)
    allowance.holds("trace", groups, f"got latents {type(trace.latents).__name__}, wanted a tuple of vae.Latent")
    numbers = {"log p(x|z)": trace.likelihood.log_prob(x), "penalty": trace.penalty}
    for i, latent in enumerate(trace.latents):
        numbers |= {} if latent.log_q is None else {f"log q of group {i}": latent.log_q}
    for name, number in numbers.items():
        scalar = np.shape(number) == () and np.isfinite(number)
        allowance.holds("trace", scalar, f"{name} is {number} of shape {np.shape(number)}, wanted a finite scalar")
    if trace.latents:  # without a group the values are whatever decode takes
        prior = shapes(jax.eval_shape(lambda key: tried.model.prior(tried.params, tried.state, key, context), key))
        of_trace = shapes(values_of(trace))
        allowance.holds("trace", prior == of_trace, f"prior draws {prior}, the trace has {of_trace}")


def alike(allowance: Allowance, check: str, got: PyTree, wanted: PyTree, unit: str) -> None:
    """Two trees of the same numbers but for rounding; a path names where they differ."""
    pairs = zip(jax.tree_util.tree_flatten_with_path(got)[0], jax.tree.leaves(wanted), strict=True)
    for (path, leaf), other in pairs:
        if jnp.size(leaf) and jnp.issubdtype(jnp.result_type(leaf), jnp.number):
            size = np.abs(np.asarray(other, np.float64))
            scale = 1.0 + np.max(size[np.isfinite(size)], initial=0.0)
            allowance.close(check, leaf, other, ROUNDING * scale, f"{unit}, {jax.tree_util.keystr(path)}")


def check_batch(allowance: Allowance, tried: Tried, key: Key) -> None:
    """ "one example"."""

    def example(key: Key, x: PyTree, context: PyTree):
        trace = tried.infer(tried.params, tried.state, x, context, training=True)(key)
        return scores(trace, x), trace.statistics

    rows = jax.random.split(key, tried.examples), tried.x, tried.context
    batched = jax.jit(jax.vmap(example, axis_name="batch"))
    together = batched(*rows)
    for i in range(tried.examples):
        alone = batched(*jax.tree.map(lambda leaf: leaf[i : i + 1], rows))  # noqa: B023  (called at once)
        found = jax.tree.map(lambda leaf: leaf[i : i + 1], together)  # noqa: B023
        alike(allowance, "one example", found, alone, f"example {i} of a batch of {tried.examples} beside it alone")


def check_given(allowance: Allowance, tried: Tried, key: Key) -> None:
    """ "some given" and "order"."""
    x, context = tried.example()
    groups = range(len(tried.trace.latents))
    every_second = [tuple(i % 2 == parity for i in groups) for parity in (0, 1)]

    @jax.jit
    def found(params: Params, state: PyTree):
        draw = tried.infer(params, state, x, context)
        first, second, third = jax.random.split(key, 3)
        values = values_of(draw(first))
        others = values_of(draw(second))
        kept = []
        for given in every_second:
            some = tuple(value if keep else None for value, keep in zip(values, given, strict=True))
            kept.append((values_of(draw(third, some)), tried.model.prior(params, state, third, context, some)))

        def log_p_until(last):
            mixed = tuple(jax.tree.map(lambda a, b: jnp.where(i <= last, a, b), values[i], others[i]) for i in groups)  # noqa: B023
            return jnp.stack(scores(draw(third, mixed), x).log_p)

        return values, kept, jax.vmap(log_p_until)(jnp.arange(len(groups)))

    values, kept, log_p = found(tried.params, tried.state)
    for given, (drawn, from_prior) in zip(every_second, kept, strict=True):
        for i in (i for i in groups if given[i]):
            for name, got in (("draw", drawn), ("prior", from_prior)):
                same = equal(got[i], values[i])
                allowance.holds("some given", same, f"{name} was given group {i} alone of {given} and returned another value")
        same = shapes(drawn) == shapes(from_prior) == shapes(values)
        allowance.holds("some given", same, f"of {given} given, draw gave {shapes(drawn)}, prior {shapes(from_prior)}")
    own, all_given = np.diagonal(log_p), np.asarray(log_p)[-1]
    allowed = ROUNDING * (1 + np.abs(all_given))
    allowance.close("order", own, all_given, allowed, "nats, log p of each group with other values of the later ones")


def values_of(trace: Trace) -> tuple:
    """The values of the groups."""
    return tuple(latent.value for latent in trace.latents)


def check_leaks(allowance: Allowance, tried: Tried, key: Key) -> None:
    """ "posterior leak" and "generative leak"."""
    x, context = tried.example()

    def densities(params: Params, values: tuple) -> tuple[Array, Array]:
        found = scores(tried.infer(params, tried.state, x, context)(key, values), x)
        return found.log_likelihood + sum(found.log_p), sum(found.log_q, jnp.zeros(()))

    @jax.jit
    def gradients(params: Params):
        values = values_of(tried.infer(params, tried.state, x, context)(key))
        _, pullback = jax.vjp(lambda params: densities(params, values), params)
        return pullback((jnp.ones(()), jnp.zeros(())))[0]["posterior"], pullback((jnp.zeros(()), jnp.ones(())))[0]["generative"]

    of_joint, of_posterior = gradients(tried.params)
    for check, gradient, what in (
        ("posterior leak", of_joint, "log p(x, z) at a given z has a gradient in the posterior's"),
        ("generative leak", of_posterior, "log q(z | x) at a given z has a gradient in the generative"),
    ):
        for path, leaf in jax.tree_util.tree_flatten_with_path(gradient)[0]:
            where = jax.tree_util.keystr(path)
            allowance.holds(
                check, np.all(np.asarray(leaf) == 0), f"{what} parameters {where}, {np.abs(leaf).max(initial=0.0):.3g}"
            )
