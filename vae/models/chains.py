"""Hierarchies whose posterior goes up: x -> z_1 -> ... -> z_L, each group inferred from a sample of the one below it."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vae.distributions import AtSample, Distribution
from vae.models.conditionals import Conditional, applied, initialised, require_alike
from vae.models.group import given, latent_group
from vae.models.latent import STORED, state_after_batch, value_like
from vae.priors import sample_prior, temperature_of
from vae.settings import Settings, as_evaluated
from vae.spec import Data
from vae.types import PRIOR_ENCODER, Key, Latent, Model, Params, Prior, PyTree, Trace


class Link(NamedTuple):
    """One layer: a variational autoencoder of what is below it, which is x or the value of the layer below.

    posterior:  q(z | below).
    likelihood: p(below | z).
    """

    posterior: Conditional
    likelihood: Conditional


def bottom_up_chain(links: Sequence[Link], prior: Prior, data: Data) -> Model:
    """p(z_L) p(z_(L-1) | z_L) ... p(x | z_1) with the posterior q(z_1 | x) q(z_2 | z_1) ... q(z_L | z_(L-1)).

    links: from x upwards. Every part also sees the context.
    prior: p(z_L). What it encodes (the pseudo-inputs of a VampPrior) are values of what is below the top layer.
    data:  shape and space of one example, and its context.

    The groups of a trace are (z_L, ..., z_1). The top one has its KL in closed form; the prior of every other one is known only
    at a sample of the group above it, which depends on it, so that it costs the log ratio at the sample (see `AtSample`):

        vae.elbo(rates=(analytic, log_ratio))          of two layers; rates=log_ratio of any number

    With one link it is `variational_autoencoder`. (Burda et al. 2016, section 5, for L = 2.)
    Raises ValueError for no links, and for layers that do not chain.
    """
    links = tuple(links)
    if not links:
        raise ValueError("bottom_up_chain got no links; wanted at least one.")
    for level, (lower, upper) in enumerate(pairwise(links), 1):
        require_alike(
            f"the likelihood of layer {level + 1}", upper.likelihood, f"the posterior of layer {level}", lower.posterior
        )
    parts = Chain(links, prior)
    x = jax.ShapeDtypeStruct(data.shape, STORED.get(data.space, jnp.float32))
    return Model(
        init=partial(chain_initialised, parts, x, data.context),
        infer=partial(chain_inferred, parts),
        prior=partial(chain_drawn_from_prior, parts),
        decode=partial(chain_decoded, parts),
        update=state_after_batch,
    )


class Chain(NamedTuple):
    """What the model is composed of; see `bottom_up_chain`."""

    links: tuple[Link, ...]
    prior: Prior


def names_of(parts: Chain) -> list[str]:
    """What the parameters of each layer are called, from x upwards."""
    return [f"layer_{level}" for level in range(1, len(parts.links) + 1)]


def chain_initialised(parts: Chain, x: PyTree, context: PyTree, key: Key) -> tuple[Params, PyTree]:
    """Parameters and states of every layer."""
    prior_key, *keys = jax.random.split(key, 1 + len(parts.links))
    params: dict[str, Any] = {"posterior": {}, "generative": {"prior": parts.prior.init(prior_key)}}
    state: dict[str, Any] = {"posterior": {}, "generative": {}}
    below = x
    for name, link, own_key in zip(names_of(parts), parts.links, keys, strict=True):
        up_key, down_key = jax.random.split(own_key)
        value = value_like(link.posterior.family)
        for player, part, part_key, inputs in (
            ("posterior", link.posterior, up_key, below),
            ("generative", link.likelihood, down_key, value),
        ):
            what = "posterior" if player == "posterior" else "likelihood"
            params[player][name], state[player][name] = initialised(
                part, f"the {what} of {name.replace('_', ' ')}", part_key, inputs, context
            )
        below = value
    return params, state


def above_in(
    parts: Chain, player: str, level: int, params: Params, state: PyTree, inputs: PyTree, context: PyTree, settings: Settings
) -> tuple[Distribution, PyTree]:
    """The posterior, or the likelihood, of a layer counted from 0, and its state after it."""
    link, name = parts.links[level], names_of(parts)[level]
    part = link.posterior if player == "posterior" else link.likelihood
    return applied(part, params[player][name], state[player][name], inputs, context, settings)


def top_prior(parts: Chain, params: Params, state: PyTree, context: PyTree, settings: Settings) -> Distribution:
    """p(z_L), which may be built from posteriors of pseudo-inputs, see `vae.models.latent.prior_of`."""
    encoder = params | {"posterior": params.get(PRIOR_ENCODER, params["posterior"])}

    def encode(below: PyTree) -> Distribution:
        return above_in(parts, "posterior", len(parts.links) - 1, encoder, state, below, context, as_evaluated(settings))[0]

    return parts.prior.build(params["generative"]["prior"], context, encode)


def chain_inferred(
    parts: Chain, params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings
) -> Callable[..., Trace]:
    """draw(key, values=()) -> Trace, after the encoder of x has run once."""
    names, layers = names_of(parts), len(parts.links)
    part_at = partial(above_in, parts, params=params, state=state, context=context, settings=settings)
    lowest, lowest_state = part_at("posterior", 0, inputs=x)
    highest_prior = top_prior(parts, params, state, context, settings)

    def draw(key: Key, values: tuple = ()) -> Trace:
        keys = jax.random.split(key, layers)
        posterior, after = lowest, {"posterior": {names[0]: lowest_state}, "generative": {}}
        upward: list[Latent] = []
        for level in range(layers):
            if level:
                posterior, after["posterior"][names[level]] = part_at("posterior", level, inputs=upward[-1].value)
            upward.append(latent_group(posterior, highest_prior, keys[level], given(values, layers - 1 - level)))
        below = []
        for level, latent in enumerate(upward):
            found, after["generative"][names[level]] = part_at("generative", level, inputs=latent.value)
            below.append(found)
        lower = [latent._replace(prior=AtSample(p)) for latent, p in zip(upward[:-1], below[1:], strict=True)]
        return Trace(
            likelihood=below[0],
            latents=(upward[-1], *reversed(lower)),
            statistics=after if settings.training else {},
        )

    return draw


def chain_drawn_from_prior(
    parts: Chain, params: Params, state: PyTree, key: Key, context: PyTree = (), values: tuple = (), temperature: Any = 1.0
) -> tuple:
    """Every group given the one above it, from the top; the groups given are kept."""
    layers = len(parts.links)
    keys = jax.random.split(key, layers)
    prior, drawn = top_prior(parts, params, state, context, Settings()), list[PyTree]()
    for group in range(layers):
        if group:
            prior, _ = above_in(parts, "generative", layers - group, params, state, drawn[-1], context, Settings())
        kept = given(values, group)
        drawn.append(sample_prior(prior, keys[group], temperature_of(temperature, group, layers)) if kept is None else kept)
    return tuple(drawn)


def chain_decoded(parts: Chain, params: Params, state: PyTree, values: tuple, context: PyTree = ()) -> Distribution:
    """p(x | z_1), the only group that x sees."""
    return above_in(parts, "generative", 0, params, state, values[-1], context, Settings())[0]
