"""A grid of codes between an encoder and a decoder: what quantises vectors is one record, and the codes are a latent group."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from vae.distributions.base import Distribution
from vae.distributions.categorical import Categorical
from vae.distributions.point_mass import PointMass
from vae.distributions.relaxed_categorical import RelaxedCategorical
from vae.models.group import given, latent_group
from vae.models.latent import STORED
from vae.priors import sample_prior
from vae.quantisation import Assigned, Quantiser
from vae.settings import Settings
from vae.spec import Data
from vae.types import Family, Key, Model, Network, Params, Prior, PyTree, Trace


def quantised_autoencoder(
    encoder: Network,
    decoder: Network,
    quantiser: Quantiser,
    grid: Sequence[int],
    prior: Prior,
    likelihood: Family,
    data: Data,
    context: PyTree | None = None,
) -> Model:
    """p(x, k | c) = p(k | c) p(x | e(k), c) over codes k on a grid, with what the quantiser makes of the encoder's vectors as
    q.

        log p(x) >= E_q(k|x) [ log p(x | e(k)) + log p(k) - log q(k | x) ]

    With the nearest codes, q(k | x) is all at one point and its logarithm 0, so that -log2 of what is left are the bits of a
    lossless code: those of the codes under the prior, and those of x given the codes. The prior is trained with the rest; no
    gradient goes from it through a code, which is an integer. (van den Oord et al. 2017, section 3; with
    `priors.uniform_codes` its first stage.)

    encoder:    network from (x, context) to (*grid, quantiser.inputs); not a stochastic one.
    decoder:    network from ((*grid, quantiser.outputs), context) to `likelihood.outputs` numbers; not a stochastic one.
    quantiser:  see `vae.quantisation`. Its penalty is the model's, summed over places, in the mean over examples.
    grid:       sizes of the grid of codes. The value of the group is an integer array (*grid, quantiser.depth).
    prior:      over such arrays: `uniform_codes`, `independent_codes` or `autoregressive` of `vae.priors`.
    likelihood: decoder output -> p(x | k, c).
    data:       shape and space of one example.
    context:    an example of what is conditioned on, () for nothing; that of the data by default.

    Settings that a quantiser reads, all optional: "commitment", "codebook", "entropy", "temperature"; see there.
    Raises ValueError for a stochastic network.
    """
    if encoder.stochastic or decoder.stochastic:
        raise ValueError("quantised_autoencoder got a network that draws random numbers; wanted networks without dropout.")
    parts = Parts(encoder, decoder, quantiser, tuple(grid), prior, likelihood)
    x = jax.ShapeDtypeStruct(data.shape, STORED.get(data.space, jnp.float32))
    return Model(
        init=partial(initialised, parts, x, data.context if context is None else context),
        infer=partial(inferred, parts),
        prior=partial(drawn_from_prior, parts),
        decode=partial(decoded, parts),
        update=partial(updated, parts),
    )


class Parts(NamedTuple):
    """What the model is composed of; see `quantised_autoencoder`."""

    encoder: Network
    decoder: Network
    quantiser: Quantiser
    grid: tuple[int, ...]
    prior: Prior
    likelihood: Family


def initialised(parts: Parts, x: PyTree, context: PyTree, key: Key) -> tuple[Params, PyTree]:
    """Parameters and states of the networks, of the quantiser and of the prior; the codebook is the generative player's."""
    encoder_key, decoder_key, quantiser_key, prior_key, likelihood_key = jax.random.split(key, 5)
    seen = jax.ShapeDtypeStruct((*parts.grid, parts.quantiser.outputs), jnp.float32)
    encoder_params, encoder_state = parts.encoder.init(encoder_key, x, context)
    decoder_params, decoder_state = parts.decoder.init(decoder_key, seen, context)
    quantiser_params, quantiser_state = parts.quantiser.init(quantiser_key)
    generative = {"decoder": decoder_params, "quantiser": quantiser_params, "prior": parts.prior.init(prior_key)}
    if parts.likelihood.init is not None:
        generative["likelihood"] = parts.likelihood.init(likelihood_key)
    state = {"encoder": encoder_state, "decoder": decoder_state, "quantiser": quantiser_state}
    return {"posterior": encoder_params, "generative": generative}, state


def inferred(
    parts: Parts, params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings
) -> Callable[..., Trace]:
    """draw(key, values=()) -> Trace, after the encoder and the quantiser have run once."""
    training, generative = settings.training, params["generative"]
    outputs, encoder_state = parts.encoder.apply(params["posterior"], state["encoder"], x, context, training=training)
    vectors = outputs.reshape(-1, parts.quantiser.inputs)
    assigned = parts.quantiser.assign(generative["quantiser"], state["quantiser"], vectors, settings)
    posterior = on_grid(parts, assigned.posterior)
    prior = prior_of(parts, params, context)

    def draw(key: Key, values: tuple = ()) -> Trace:
        group = latent_group(posterior, prior, key, given(values, 0))
        seen = assigned.seen(on_places(parts, group.value))
        outputs, decoder_state = apply_decoder(parts, params, state, seen, context, training)
        return Trace(
            likelihood=likelihood_of(parts, params, outputs),
            latents=(group,),
            penalty=assigned.penalty,
            statistics=statistics_of(assigned, encoder_state, decoder_state) if training else {},
        )

    return draw


def on_grid(parts: Parts, posterior: Distribution) -> Distribution:
    """q over (places, depth) as q over (*grid, depth)."""
    match posterior:
        case PointMass():
            return PointMass(posterior.value.reshape(*parts.grid, parts.quantiser.depth))
        case Categorical() | RelaxedCategorical():
            logits = posterior.logits.reshape(*parts.grid, parts.quantiser.depth, -1)
            return (
                Categorical(logits) if isinstance(posterior, Categorical) else RelaxedCategorical(logits, posterior.temperature)
            )
    raise TypeError(
        f"the quantiser gave a posterior {type(posterior).__name__}; wanted PointMass, Categorical or RelaxedCategorical."
    )


def on_places(parts: Parts, value: Array) -> Array:
    """A value (*grid, depth), or (*grid, depth, codes) of mixed classes, with one axis of places."""
    return value.reshape(-1, *value.shape[len(parts.grid) :])


def apply_decoder(
    parts: Parts, params: Params, state: PyTree, seen: Array, context: PyTree, training: bool
) -> tuple[Array, PyTree]:
    """The decoder's output for vectors of all places, and its state."""
    vectors = seen.reshape(*parts.grid, parts.quantiser.outputs)
    return parts.decoder.apply(params["generative"]["decoder"], state["decoder"], vectors, context, training=training)


def statistics_of(assigned: Assigned, encoder_state: PyTree, decoder_state: PyTree) -> dict[str, PyTree]:
    """What `updated` needs of an example."""
    return {"encoder": encoder_state, "decoder": decoder_state, "quantiser": assigned.statistics}


def prior_of(parts: Parts, params: Params, context: PyTree) -> Distribution:
    """p(k | c)."""
    return parts.prior.build(params["generative"]["prior"], context, no_pseudo_inputs)


def no_pseudo_inputs(x: PyTree) -> Any:
    """Refuse a prior that is made of encoded pseudo-inputs."""
    raise TypeError(
        "a prior of pseudo-inputs was asked of a quantised model, whose codes it cannot mix; use priors.autoregressive."
    )


def likelihood_of(parts: Parts, params: Params, outputs: Array) -> Distribution:
    """p(x | k, c) from what the decoder gave, and the likelihood's own parameters where it has any."""
    shared = () if parts.likelihood.init is None else (params["generative"]["likelihood"],)
    return parts.likelihood.build(outputs, *shared)


def drawn_from_prior(
    parts: Parts, params: Params, state: PyTree, key: Key, context: PyTree = (), values: tuple = (), temperature: Any = 1.0
) -> tuple:
    """Codes from p(k | c), or those given."""
    kept = given(values, 0)
    return (sample_prior(prior_of(parts, params, context), key, temperature) if kept is None else kept,)


def decoded(parts: Parts, params: Params, state: PyTree, values: tuple, context: PyTree = ()) -> Distribution:
    """p(x | k, c); ValueError for a code that there is not."""
    index = on_places(parts, jnp.asarray(values[0]))
    seen = parts.quantiser.lookup(params["generative"]["quantiser"], state["quantiser"], index)
    outputs, _ = apply_decoder(parts, params, state, seen, context, training=False)
    return likelihood_of(parts, params, outputs)


def updated(parts: Parts, state: PyTree, statistics: PyTree, key: Key) -> PyTree:
    """The carried state after a batch: that of the networks, whose rows are all equal, and that of the quantiser."""
    if not jax.tree.leaves(statistics):
        return state
    first = jax.tree.map(lambda leaf: leaf[0], {name: statistics[name] for name in ("encoder", "decoder")})
    return {**first, "quantiser": parts.quantiser.update(state["quantiser"], statistics["quantiser"], key)}


def with_settled_codes(model: Model) -> Model:
    """The model of which nothing but the prior over its codes is trained: a second stage, whose `start` is the first one.

    Every parameter beside those of the prior is stopped, and the state stays as it is. (van den Oord et al. 2017, section 3.3.)

    model: a `quantised_autoencoder`, whatever is put around it.
    """

    def infer(params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings) -> Callable[..., Trace]:
        stopped = jax.lax.stop_gradient(params)
        learned = {**stopped["generative"], "prior": params["generative"]["prior"]}
        draw = model.infer({**stopped, "generative": learned}, state, x, context, settings)

        def without_penalty(key: Key, values: tuple = ()) -> Trace:
            return draw(key, values)._replace(penalty=0.0)

        return without_penalty

    return model._replace(infer=infer, update=lambda state, statistics, key: state)
