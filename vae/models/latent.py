"""One group of latent variables between an encoder and a decoder: the variational autoencoder itself."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from vae.distributions.base import Distribution
from vae.models.group import given, latent_group
from vae.priors import sample_prior, temperature_of
from vae.settings import Settings, as_evaluated
from vae.spec import Data
from vae.types import PRIOR_ENCODER, Family, Key, Model, Network, Params, Prior, PyTree, Trace

STORED = {"uint8": jnp.uint8, "tokens": jnp.int32}
"""Of what type an example is, by the space of the data; float32 in all others."""


def variational_autoencoder(
    encoder: Network,
    decoder: Network,
    posterior: Family,
    prior: Prior,
    likelihood: Family,
    data: Data,
    context: PyTree | None = None,
) -> Model:
    """p(x, z | c) = p(z | c) p(x | z, c) with the posterior q(z | x, c). (Kingma & Welling 2014, section 3.)

    encoder:    network from (x, context) to `posterior.outputs` numbers; not a stochastic one, since it runs once for all draws
                and has no key.
    decoder:    network from (z, context) to `likelihood.outputs` numbers; a stochastic one (dropout) draws with every sample.
    posterior:  encoder output -> q(z | x, c).
    prior:      p(z | c).
    likelihood: decoder output -> p(x | z, c).
    data:       shape and space of one example.
    context:    an example of what is conditioned on (arrays or ShapeDtypeStructs), () for nothing; that of the data by default.
    """
    context = data.context if context is None else context
    if encoder.stochastic:
        raise ValueError(
            "variational_autoencoder got a stochastic encoder, wanted one without dropout: it runs once for all draws of z and "
            "has no key; use dropout in the decoder."
        )
    parts = Parts(encoder, decoder, posterior, prior, likelihood)
    x = jax.ShapeDtypeStruct(data.shape, STORED.get(data.space, jnp.float32))
    return Model(
        init=partial(initialised, parts, Inputs(x, value_like(posterior), context)),
        infer=partial(inferred, parts),
        prior=partial(drawn_from_prior, parts),
        decode=partial(decoded, parts),
        update=state_after_batch,
    )


class Parts(NamedTuple):
    """What the model is composed of; see `variational_autoencoder`."""

    encoder: Network
    decoder: Network
    posterior: Family
    prior: Prior
    likelihood: Family


class Inputs(NamedTuple):
    """What the networks see of one example: the shapes of x, of the latent value z and of the context."""

    x: PyTree
    z: PyTree
    context: PyTree


def value_like(posterior: Family) -> PyTree:
    """The shape of a draw of the posterior."""

    def sample(outputs):
        shared = () if posterior.init is None else (posterior.init(jax.random.key(0)),)
        return posterior.build(outputs, *shared).sample(jax.random.key(0))

    return jax.eval_shape(sample, jax.ShapeDtypeStruct(posterior.outputs, jnp.float32))


def initialised(parts: Parts, inputs: Inputs, key: Key) -> tuple[Params, PyTree]:
    """Parameters and states of the networks; those that a family shares between examples stand beside its network's."""
    encoder_key, decoder_key, prior_key = jax.random.split(key, 3)
    encoder_params, encoder_state = parts.encoder.init(encoder_key, inputs.x, inputs.context)
    decoder_params, decoder_state = parts.decoder.init(decoder_key, inputs.z, inputs.context)
    if parts.posterior.init is not None:
        encoder_params = {"encoder": encoder_params, "family": parts.posterior.init(jax.random.fold_in(encoder_key, 1))}
    generative = {"decoder": decoder_params, "prior": parts.prior.init(prior_key)}
    if parts.likelihood.init is not None:
        generative["likelihood"] = parts.likelihood.init(jax.random.fold_in(decoder_key, 1))
    params = {"posterior": encoder_params, "generative": generative}
    return params, {"encoder": encoder_state, "decoder": decoder_state}


def encoded(
    parts: Parts, params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings
) -> tuple[Distribution, PyTree]:
    """q(z | x, c), and the encoder's state after it."""
    own = params["posterior"]
    network, shared = (own, ()) if parts.posterior.init is None else (own["encoder"], (own["family"],))
    outputs, encoder_state = parts.encoder.apply(network, state["encoder"], x, context, training=settings.training)
    require_outputs("encoder", outputs, "posterior", parts.posterior)
    return parts.posterior.build(outputs, *shared), encoder_state


def prior_of(parts: Parts, params: Params, state: PyTree, context: PyTree, settings: Settings) -> Distribution:
    """p(z | c), which may be built from posteriors of pseudo-inputs, with the encoder's parameters at `PRIOR_ENCODER`.

    Pseudo-inputs are no batch: batch normalisation takes its running averages for them, in training too.
    """
    encoder = params | {"posterior": params.get(PRIOR_ENCODER, params["posterior"])}

    def pseudo_posterior(x):
        return encoded(parts, encoder, state, x, context, as_evaluated(settings))[0]

    return parts.prior.build(params["generative"]["prior"], context, pseudo_posterior)


def inferred(
    parts: Parts, params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings
) -> Callable[..., Trace]:
    """draw(key, values=()) -> Trace, after the encoder has run once."""
    q, encoder_state = encoded(parts, params, state, x, context, settings)
    p = prior_of(parts, params, state, context, settings)
    decoder = parts.decoder

    def draw(key: Key, values: tuple = ()) -> Trace:
        value_key, decoder_key = jax.random.split(key) if decoder.stochastic else (key, None)
        group = latent_group(q, p, value_key, given(values, 0))
        own = params["generative"]["decoder"]
        outputs, decoder_state = decoder.apply(
            own, state["decoder"], group.value, context, training=settings.training, key=decoder_key
        )
        return Trace(
            likelihood=likelihood_of(parts, params, outputs),
            latents=(group,),
            statistics={"encoder": encoder_state, "decoder": decoder_state} if settings.training else {},
        )

    return draw


def drawn_from_prior(
    parts: Parts, params: Params, state: PyTree, key: Key, context: PyTree = (), values: tuple = (), temperature: Any = 1.0
) -> tuple:
    """z from p(z | c), or the z that is given."""
    kept = given(values, 0)
    if kept is not None:
        return (kept,)
    return (sample_prior(prior_of(parts, params, state, context, Settings()), key, temperature_of(temperature, 0, 1)),)


def decoded(parts: Parts, params: Params, state: PyTree, values: tuple, context: PyTree = ()) -> Distribution:
    """p(x | z, c)."""
    outputs, _ = parts.decoder.apply(params["generative"]["decoder"], state["decoder"], values[0], context)
    return likelihood_of(parts, params, outputs)


def likelihood_of(parts: Parts, params: Params, outputs: Array) -> Distribution:
    """p(x | z, c) from what the decoder gave, and the likelihood's own parameters where it has any."""
    shared = () if parts.likelihood.init is None else (params["generative"]["likelihood"],)
    require_outputs("decoder", outputs, "likelihood", parts.likelihood)
    return parts.likelihood.build(outputs, *shared)


def require_outputs(network: str, outputs: Array, name: str, family: Family) -> None:
    """Refuse what a network gave where a family wants another shape; ValueError names both."""
    if jnp.shape(outputs) != tuple(family.outputs):
        raise ValueError(
            f"the {network} gives numbers of shape {jnp.shape(outputs)}, and the {name} is made of {tuple(family.outputs)}; "
            f"build the {network} for {name}.outputs."
        )


def state_after_batch(state: PyTree, statistics: PyTree, key: Key) -> PyTree:
    """The carried state of the networks after a batch: what they return was reduced over the batch, so all rows are equal."""
    return jax.tree.map(lambda leaf: leaf[0], statistics) if jax.tree.leaves(statistics) else state
