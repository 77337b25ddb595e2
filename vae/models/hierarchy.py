"""Hierarchies whose posterior goes down, with the prior: a group is inferred from x and from the groups above it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vae.distributions import Distribution, Normal, product_of_experts
from vae.models.conditionals import Conditional, applied, initialised, outputs_like, require_alike, shapes_of
from vae.models.group import given, latent_group
from vae.models.latent import STORED, state_after_batch, value_like
from vae.priors import sample_prior, temperature_of
from vae.settings import Settings
from vae.spec import Data
from vae.types import Key, Latent, Model, Network, Params, PyTree, Trace


def as_inferred(inferred: Distribution, prior: Distribution) -> Distribution:
    """The posterior that the group's own network gives, whatever the prior is. (Child 2021.)"""
    return inferred


def precision_weighted(inferred: Normal, prior: Normal) -> Normal:
    """The product of two Gaussians, normalised: precisions add up, and weigh the means.

        1 / s^2 = 1 / s_i^2 + 1 / s_p^2,    mean = w mean_i + (1 - w) mean_p,    w = s_p^2 / (s_i^2 + s_p^2)

    What x says of the group, and what the groups above it say. (Sonderby et al. 2016, section 2.2.) Raises TypeError for other
    families, whose product has no closed form.
    """
    return product_of_experts(jax.tree.map(lambda leaf: leaf[None], inferred), jnp.ones(1, bool), prior)


class TopDownGroup(NamedTuple):
    """One group of a top-down hierarchy. Above it stands an array, or a pytree, that sums up the groups before it.

    prior:     p(z | above).
    posterior: q'(z | evidence, above), of the inputs (evidence, above).
    join:      network of the inputs (above, z), whose output stands above the next group, in the end above x.
    combine:   (q', p) -> q: `as_inferred`, or `precision_weighted` of Gaussians.
    """

    prior: Conditional
    posterior: Conditional
    join: Network
    combine: Callable[[Any, Any], Distribution] = as_inferred


def top_down_hierarchy(
    encoder: Network, start: Network, groups: Sequence[TopDownGroup], likelihood: Conditional, data: Data
) -> Model:
    """p(z_1) p(z_2 | z_1) ... p(x | z_1, ..., z_L) with q(z_1 | x) q(z_2 | x, z_1) ...: every group has its KL in closed form.

        KL = KL(q(z_1 | x) || p(z_1)) + sum_l E_q KL(q(z_l | x, z_<l) || p(z_l | z_<l))

    encoder:    deterministic network (x, context) -> tuple of the evidence of each group, ancestors first; it runs once for all
                draws. All networks also see the context.
    start:      network of the inputs () -> what stands above the first group.
    groups:     ancestors first.
    likelihood: p(x | above), of what the last group's `join` gives.
    data:       shape and space of one example, and its context.

    A ladder has the prior of a group from the value above it alone (Sonderby et al. 2016, section 2.2); VDVAE has maps to which
    each group adds (Child 2021, section 3). Raises ValueError for no groups and, in `init`, for groups that do not chain.
    """
    groups = tuple(groups)
    if not groups:
        raise ValueError("top_down_hierarchy got no groups; wanted at least one.")
    for index, group in enumerate(groups):
        require_alike(f"the prior of group {index}", group.prior, f"the posterior of group {index}", group.posterior)
    parts = Hierarchy(encoder, start, groups, likelihood)
    x = jax.ShapeDtypeStruct(data.shape, STORED.get(data.space, jnp.float32))
    return Model(
        init=partial(hierarchy_initialised, parts, x, data.context),
        infer=partial(hierarchy_inferred, parts),
        prior=partial(hierarchy_drawn_from_prior, parts),
        decode=partial(hierarchy_decoded, parts),
        update=state_after_batch,
    )


class Hierarchy(NamedTuple):
    """What the model is composed of; see `top_down_hierarchy`."""

    encoder: Network
    start: Network
    groups: tuple[TopDownGroup, ...]
    likelihood: Conditional


def name_of(group: int) -> str:
    """What the parameters of a group are called."""
    return f"group_{group}"


def hierarchy_initialised(parts: Hierarchy, x: PyTree, context: PyTree, key: Key) -> tuple[Params, PyTree]:
    """Parameters and states of all networks, each for what the ones before it give."""
    encoder_key, start_key, decoder_key, *keys = jax.random.split(key, 3 + len(parts.groups))
    encoder, encoder_state = parts.encoder.init(encoder_key, x, context)
    evidence = outputs_like(parts.encoder, encoder, encoder_state, x, context)
    if not isinstance(evidence, tuple) or len(evidence) != len(parts.groups):
        raise ValueError(
            f"the encoder gives evidence of shape {shapes_of(evidence)}, but there are {len(parts.groups)} groups; wanted a "
            "tuple with one part for each group, ancestors first."
        )
    own, own_state = parts.start.init(start_key, (), context)
    posterior: dict[str, Any] = {"encoder": encoder}
    generative: dict[str, Any] = {"start": own}
    state: dict[str, Any] = {"encoder": encoder_state, "start": own_state}
    above = outputs_like(parts.start, own, own_state, (), context)
    for index, group in enumerate(parts.groups):
        found = group_initialised(group, f"group {index}", keys[index], evidence[index], above, context)
        posterior[name_of(index)], generative[name_of(index)], state[name_of(index)], above = found
    decoder, decoder_state = initialised(parts.likelihood, "the likelihood", decoder_key, above, context)
    generative["likelihood"], state["likelihood"] = decoder, decoder_state
    return {"posterior": posterior, "generative": generative}, state


def group_initialised(group: TopDownGroup, name: str, key: Key, evidence: PyTree, above: PyTree, context: PyTree) -> tuple:
    """Posterior and generative parameters of a group, its state, and the shapes of what it leaves above the next one."""
    prior_key, posterior_key, join_key = jax.random.split(key, 3)
    prior, prior_state = initialised(group.prior, f"the prior of {name}", prior_key, above, context)
    posterior, posterior_state = initialised(
        group.posterior, f"the posterior of {name}", posterior_key, (evidence, above), context
    )
    inputs = (above, value_like(group.prior.family))
    join, join_state = group.join.init(join_key, inputs, context)
    left = outputs_like(group.join, join, join_state, inputs, context)
    state = {"prior": prior_state, "posterior": posterior_state, "join": join_state}
    return posterior, {"prior": prior, "join": join}, state, left


Choose = Callable[[int, Distribution, PyTree], tuple[PyTree, PyTree]]
"""(index of the group, its prior, what stands above it) -> its value, and the state of the posterior's network."""


def descended(
    parts: Hierarchy, params: Params, state: PyTree, context: PyTree, settings: Settings, choose: Choose
) -> tuple[Distribution, PyTree]:
    """p(x | values), where each group in turn has the value that is chosen for it; and the states after it."""
    own = params["generative"]
    above, after_start = parts.start.apply(own["start"], state["start"], (), context, training=settings.training)
    after = {"start": after_start}
    for index, group in enumerate(parts.groups):
        name = name_of(index)
        prior, prior_state = applied(group.prior, own[name]["prior"], state[name]["prior"], above, context, settings)
        value, posterior_state = choose(index, prior, above)
        above, join_state = group.join.apply(
            own[name]["join"], state[name]["join"], (above, value), context, training=settings.training
        )
        after[name] = {"prior": prior_state, "posterior": posterior_state, "join": join_state}
    likelihood, after["likelihood"] = applied(
        parts.likelihood, own["likelihood"], state["likelihood"], above, context, settings
    )
    return likelihood, after


def hierarchy_inferred(
    parts: Hierarchy, params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings
) -> Callable[..., Trace]:
    """draw(key, values=()) -> Trace, after the encoder has run once."""
    own = params["posterior"]
    evidence, encoder_state = parts.encoder.apply(own["encoder"], state["encoder"], x, context, training=settings.training)

    def draw(key: Key, values: tuple = ()) -> Trace:
        keys = jax.random.split(key, len(parts.groups))
        latents: list[Latent] = []

        def choose(index: int, prior: Distribution, above: PyTree) -> tuple[PyTree, PyTree]:
            group, name = parts.groups[index], name_of(index)
            inputs, carried = (evidence[index], above), state[name]["posterior"]
            inferred, posterior_state = applied(group.posterior, own[name], carried, inputs, context, settings)
            latents.append(latent_group(group.combine(inferred, prior), prior, keys[index], given(values, index)))
            return latents[-1].value, posterior_state

        likelihood, after = descended(parts, params, state, context, settings, choose)
        statistics = {"encoder": encoder_state, **after} if settings.training else {}
        return Trace(likelihood=likelihood, latents=tuple(latents), statistics=statistics)

    return draw


def hierarchy_drawn_from_prior(
    parts: Hierarchy, params: Params, state: PyTree, key: Key, context: PyTree = (), values: tuple = (), temperature: Any = 1.0
) -> tuple:
    """Every group given those above it, from the top; the groups given are kept."""
    keys = jax.random.split(key, len(parts.groups))
    drawn: list[PyTree] = []

    def choose(index: int, prior: Distribution, above: PyTree) -> tuple[PyTree, PyTree]:
        kept, own = given(values, index), temperature_of(temperature, index, len(parts.groups))
        drawn.append(sample_prior(prior, keys[index], own) if kept is None else kept)
        return drawn[-1], ()

    descended(parts, params, state, context, Settings(), choose)
    return tuple(drawn)


def hierarchy_decoded(parts: Hierarchy, params: Params, state: PyTree, values: tuple, context: PyTree = ()) -> Distribution:
    """p(x | z_1, ..., z_L)."""
    return descended(parts, params, state, context, Settings(), lambda index, prior, above: (values[index], ()))[0]
