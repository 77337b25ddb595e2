"""One group of latent variables between an encoder and a decoder: the variational autoencoder itself."""

import jax
import jax.numpy as jnp

from vae.models.group import given, latent_group
from vae.priors import sample_prior
from vae.settings import Settings
from vae.types import Data, Family, Key, Model, Network, Params, Prior, PyTree, Trace

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
    likelihood: decoder output -> p(x | z, c); parameters of its own are among the generative ones.
    data:       shape and space of one example.
    context:    an example of what is conditioned on (arrays or ShapeDtypeStructs), () for nothing; that of the data by default.
    """
    context = data.context if context is None else context
    if encoder.stochastic:
        raise ValueError(
            "variational_autoencoder got a stochastic encoder, wanted one without dropout: it runs once for all draws of z and "
            "has no key; use dropout in the decoder."
        )
    x_example = jax.ShapeDtypeStruct(data.shape, STORED.get(data.space, jnp.float32))
    encoded = jax.ShapeDtypeStruct(posterior.outputs, jnp.float32)
    shared = posterior.init is not None

    def own_params(key: Key) -> tuple:
        return (posterior.init(key),) if posterior.init is not None else ()

    def sample_of(outputs):
        return posterior.build(outputs, *own_params(jax.random.key(0))).sample(jax.random.key(0))

    z_example = jax.eval_shape(sample_of, encoded)

    def init(key: Key) -> tuple[Params, PyTree]:
        encoder_key, decoder_key, prior_key = jax.random.split(key, 3)
        encoder_params, encoder_state = encoder.init(encoder_key, x_example, context)
        decoder_params, decoder_state = decoder.init(decoder_key, z_example, context)
        if shared:
            encoder_params = {"encoder": encoder_params, "family": own_params(jax.random.fold_in(encoder_key, 1))[0]}
        generative = {"decoder": decoder_params, "prior": prior.init(prior_key)}
        if likelihood.init is not None:
            generative["likelihood"] = likelihood.init(jax.random.fold_in(decoder_key, 1))
        params = {"posterior": encoder_params, "generative": generative}
        return params, {"encoder": encoder_state, "decoder": decoder_state}

    def likelihood_of(params, decoded):
        own = params["generative"]
        return likelihood.build(decoded, own["likelihood"]) if likelihood.init is not None else likelihood.build(decoded)

    def encode(params, state, x, context, settings):
        """q(z | x, c), and the encoder's state after it."""
        own = params["posterior"]
        network, family = (own["encoder"], (own["family"],)) if shared else (own, ())
        outputs, encoder_state = encoder.apply(network, state["encoder"], x, context, training=settings.training)
        return posterior.build(outputs, *family), encoder_state

    def prior_of(params, state, context, settings):
        def pseudo_posterior(x):
            return encode(params, state, x, context, settings)[0]

        return prior.build(params["generative"]["prior"], context, pseudo_posterior)

    def infer(params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings):
        q, encoder_state = encode(params, state, x, context, settings)
        p = prior_of(params, state, context, settings)

        def draw(key: Key, values: tuple = ()) -> Trace:
            value_key, decoder_key = jax.random.split(key) if decoder.stochastic else (key, None)
            group = latent_group(q, p, value_key, given(values, 0))
            own = params["generative"]["decoder"]
            decoded, decoder_state = decoder.apply(
                own, state["decoder"], group.value, context, training=settings.training, key=decoder_key
            )
            return Trace(
                likelihood=likelihood_of(params, decoded),
                latents=(group,),
                statistics={"encoder": encoder_state, "decoder": decoder_state} if settings.training else {},
            )

        return draw

    def sample(params: Params, state: PyTree, key: Key, context: PyTree = (), values: tuple = (), temperature=1.0) -> tuple:
        kept = given(values, 0)
        return (sample_prior(prior_of(params, state, context, Settings()), key, temperature) if kept is None else kept,)

    def decode(params: Params, state: PyTree, values: tuple, context: PyTree = ()):
        return likelihood_of(params, decoder.apply(params["generative"]["decoder"], state["decoder"], values[0], context)[0])

    return Model(init=init, infer=infer, prior=sample, decode=decode, update=state_after_batch)


def state_after_batch(state: PyTree, statistics: PyTree, key: Key) -> PyTree:
    """The carried state of the networks after a batch: what they return was reduced over the batch, so all rows are equal."""
    return jax.tree.map(lambda leaf: leaf[0], statistics) if jax.tree.leaves(statistics) else state
