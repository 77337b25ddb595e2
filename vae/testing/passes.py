"""Passes through a model as numbers: many draws of every example, each scored again, decoded again, and beside the prior's."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from vae.distributions import AtSample, Normal
from vae.divergences import kl_divergence
from vae.settings import Settings
from vae.types import Key, Latent, Model, Params, PyTree, Trace

COLDER = 0.5
"""The temperature at which a prior is tried beside 1."""


class Tried(NamedTuple):
    """A model and what it is tried on.

    params, state: as initialised, the parameters with some noise on top.
    x, context:    examples with a leading axis.
    levels:        the traced settings.
    trace:         the shapes of one pass, with the types of the distributions.
    """

    model: Model
    params: Params
    state: PyTree
    x: PyTree
    context: PyTree
    levels: dict[str, Array]
    trace: Trace

    @property
    def examples(self) -> int:
        """How many there are."""
        return len(jax.tree.leaves(self.x)[0])

    def example(self, index: int = 0) -> tuple[PyTree, PyTree]:
        """x and context of one."""
        return jax.tree.map(lambda leaf: leaf[index], (self.x, self.context))

    def infer(self, params: Params, state: PyTree, x: PyTree, context: PyTree, training: bool = False) -> Callable[..., Trace]:
        """The draw of one example."""
        return self.model.infer(params, state, x, context, Settings(self.levels, training=training))


class Scores(NamedTuple):
    """The numbers of one pass of one example, in nats; each tuple has one entry per group.

    log_likelihood: log p(x | z).
    log_q:          log q(z), 0 for a posterior without a density.
    log_p:          log p(z | parents).
    own:            log q(z) by the posterior's `log_prob`, where it has one.
    closed:         the KL in closed form where the table has a row; else log q - log p.
    standard:       (z - mean) / std of a Normal prior, flat; nothing for another.
    values:         z.
    penalty:        the model's.
    """

    log_likelihood: Array
    log_q: tuple[Array, ...]
    log_p: tuple[Array, ...]
    own: tuple[Array, ...]
    closed: tuple[Array, ...]
    standard: tuple[Array, ...]
    values: tuple
    penalty: Array


class Passes(NamedTuple):
    """Many passes; every leaf has leading axes of examples and draws.

    drawn:    z from the posterior.
    again:    those z given to `draw`, with another key; as `drawn` where values cannot be given.
    decoded:  log p(x | z) of those z by `decode`; as in `drawn` where there is no group.
    prior:    z from `prior`, given to `draw`; () where values cannot be given.
    colder:   (z - mean) / std of the z of a colder prior; () where it has no temperature.
    own_x:    log p(x' | z) of an x' ~ p(x | z), z from `prior`; 0 where the likelihood has no draws.
    """

    drawn: Scores
    again: Scores
    decoded: Array
    prior: Any
    colder: tuple[Array, ...]
    own_x: Array


def scores(trace: Trace, x: PyTree) -> Scores:
    """The numbers of a pass."""
    latents = trace.latents
    log_q = tuple(jnp.zeros(()) if latent.log_q is None else latent.log_q for latent in latents)
    log_p = tuple(log_prior(latent) for latent in latents)
    return Scores(
        log_likelihood=trace.likelihood.log_prob(x),
        log_q=log_q,
        log_p=log_p,
        own=tuple(own_log_prob(latent) for latent in latents),
        closed=tuple(
            kl_divergence(latent.posterior, latent.prior) if has_row(latent) else q - p
            for latent, q, p in zip(latents, log_q, log_p, strict=True)
        ),
        standard=tuple(standardised_value(latent) for latent in latents),
        values=tuple(latent.value for latent in latents),
        penalty=jnp.asarray(trace.penalty, jnp.float32),
    )


def own_log_prob(latent: Latent) -> Array:
    """log q of the value by the posterior's own `log_prob`; log_q again where it has none."""
    if has_density(latent):
        return latent.posterior.log_prob(latent.value)
    return jnp.zeros(()) if latent.log_q is None else latent.log_q


def log_prior(latent: Latent) -> Array:
    """log p of the value; 0 for a prior that has no density there (one that is only a bound)."""
    known = possible(lambda prior, value: prior.log_prob(value), latent.prior, latent.value)
    return latent.prior.log_prob(latent.value) if known else jnp.zeros(())


def possible(function: Callable, *arguments: Any) -> bool:
    """Whether a function can be called so: a family says by TypeError what it has not."""
    try:
        jax.eval_shape(function, *arguments)
    except (TypeError, NotImplementedError):
        return False
    return True


def has_density(latent: Latent) -> bool:
    """Whether log q is known, at the draw and at any other value."""
    return latent.log_q is not None and possible(lambda q, value: q.log_prob(value), latent.posterior, latent.value)


def has_row(latent: Latent) -> bool:
    """Whether the KL of the group has a closed form."""
    return possible(kl_divergence, latent.posterior, latent.prior)


def normal_prior(latent: Latent) -> Normal | None:
    """The prior where it is a Normal, behind an `AtSample` too."""
    prior = latent.prior.base if isinstance(latent.prior, AtSample) else latent.prior
    return prior if isinstance(prior, Normal) else None


def standardised_value(latent: Latent) -> Array:
    """(z - mean) / std under a Normal prior, flat; of length 0 for another."""
    prior = normal_prior(latent)
    return jnp.zeros(0) if prior is None else ((latent.value - prior.mean) * jnp.exp(-prior.log_std)).reshape(-1)


def can_be_given(tried: Tried) -> bool:
    """Whether the model scores values that it is given: there are groups, and each has a density."""

    def rescored(key: Key) -> PyTree:
        draw = tried.infer(tried.params, tried.state, *tried.example())
        return scores(draw(key, tuple(latent.value for latent in draw(key).latents)), tried.example()[0])

    return bool(tried.trace.latents) and all(map(has_density, tried.trace.latents)) and possible(rescored, jax.random.key(0))


def has_temperature(tried: Tried) -> bool:
    """Whether the prior can be sampled at another temperature, and one of its groups is a Normal."""

    def colder(key: Key) -> tuple:
        return tried.model.prior(tried.params, tried.state, key, tried.example()[1], (), COLDER)

    return any(normal_prior(latent) is not None for latent in tried.trace.latents) and possible(colder, jax.random.key(0))


def passes(tried: Tried, key: Key, samples: int) -> Passes:
    """So many passes of every example, as one compiled program."""
    given, temperature = can_be_given(tried), has_temperature(tried)
    model = tried.model

    def example(key: Key, params: Params, state: PyTree, x: PyTree, context: PyTree) -> Passes:
        draw = tried.infer(params, state, x, context)

        def one(key: Key) -> Passes:
            own_key, again_key, prior_key, scored_key, x_key = jax.random.split(key, 5)
            drawn = scores(draw(own_key), x)
            values = drawn.values
            ancestral = model.prior(params, state, prior_key, context)
            cold = model.prior(params, state, prior_key, context, (), COLDER) if temperature else ()
            return Passes(
                drawn=drawn,
                again=scores(draw(again_key, values), x) if given else drawn,
                decoded=model.decode(params, state, drawn.values, context).log_prob(x)
                if drawn.values
                else drawn.log_likelihood,
                prior=scores(draw(scored_key, ancestral), x) if given else (),
                colder=tuple(map(standardised_value, draw(scored_key, cold).latents)) if temperature and given else (),
                own_x=log_prob_of_draw(model.decode(params, state, ancestral, context), x_key),
            )

        return jax.vmap(one)(jax.random.split(key, samples))

    keys = jax.random.split(key, tried.examples)
    program = jax.jit(jax.vmap(example, in_axes=(0, None, None, 0, 0), axis_name="batch"))
    return program(keys, tried.params, tried.state, tried.x, tried.context)


def log_prob_of_draw(likelihood: Any, key: Key) -> Array:
    """log p(x') of a draw x' of p; 0 where there are no draws."""
    if not possible(lambda likelihood: likelihood.sample(jax.random.key(0)), likelihood):
        return jnp.zeros(())
    return likelihood.log_prob(likelihood.sample(key))


def shapes(tree: PyTree) -> list:
    """Path, shape and type of every array, one list for each group."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(jax.tree_util.keystr(path), jnp.shape(leaf), jnp.result_type(leaf).name) for path, leaf in leaves]
