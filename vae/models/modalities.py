"""Latent groups of which several parts of an example tell, an image and its caption: side by side, or experts of one group."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vae import posteriors, priors
from vae.distributions import Distribution, mixture_of_experts, only_expert, product_of_experts
from vae.models.choices import ACTIVATIONS, lookup
from vae.models.group import given, latent_group
from vae.models.latent import STORED, value_like
from vae.models.seen import Seen, for_data
from vae.networks import conv_decoder, conv_encoder
from vae.networks import mlp as mlp_network
from vae.priors import sample_prior, temperature_of
from vae.requirements import require, require_function_of_inputs
from vae.settings import Settings
from vae.spec import Data
from vae.types import Family, Key, Model, Network, Params, Prior, PyTree, Trace

SEEN = "seen"
"""The entry of a context that says which parts of an example are there."""

Combine = Callable[..., Distribution]
"""(experts, which of them are heard, prior) -> posterior; see `vae.distributions.experts`."""


class Source(NamedTuple):
    """A part of an example that tells of latent groups.

    name:    under which the context's "seen" says whether it is there.
    part:    (x, context) -> what of an example it is.
    encoder: network from that part, and an empty context, to the outputs of the posterior's family; one for each group.
    """

    name: str
    part: Callable[[PyTree, PyTree], PyTree]
    encoder: Network


class Informed(NamedTuple):
    """A latent group and the parts of an example that tell of it.

    sources:   one or more.
    posterior: family of every expert q_m(z | part m).
    prior:     p(z), which takes the place of what is not there.
    combine:   how the experts become one posterior: `only_expert`, `product_of_experts`, `mixture_of_experts`.
    """

    sources: tuple[Source, ...]
    posterior: Family
    prior: Prior
    combine: Combine = only_expert


def informed(groups: Sequence[Informed], decoder: Network, likelihood: Family, data: Data) -> Model:
    """p(z_1) ... p(z_G) p(x | z_1, ..., z_G), the posterior of each group made of what the parts of an example say of it.

    groups:     independent a priori, in the order of the trace; each has its own rate.
    decoder:    network from the values of all groups, concatenated, to `likelihood.outputs`; the context it does not see.
    likelihood: of x.
    data:       whose context holds the other parts, {"text": ...}, and may hold {"seen": {"image": bool, "text": bool}}: which
                parts are there. What is not there tells nothing; x is scored in any case. Without the entry all are there.

    So a group for an image and one for its caption are two latents side by side, and one group of two sources is a product or a
    mixture of experts (Wu & Goodman 2018; Shi et al. 2019). To learn what a caption alone says of an image, show it alone in
    some of the training examples. `draw` and `prior` keep the groups that are given.

    Raises ValueError for no groups, and for networks that draw or carry a state.
    """
    require(len(groups) > 0, "informed got no latent groups; wanted at least one.")
    x = jax.ShapeDtypeStruct(data.shape, STORED.get(data.space, jnp.float32))
    parts = [[jax.eval_shape(source.part, x, data.context) for source in group.sources] for group in groups]
    sizes = [value_like(group.posterior).size for group in groups]
    code = jax.ShapeDtypeStruct((sum(sizes),), jnp.float32)
    for group, of_group in zip(groups, parts, strict=True):
        for source, part in zip(group.sources, of_group, strict=True):
            require_function_of_inputs(f"informed, for {source.name},", source.encoder, part, ())
    require_function_of_inputs("informed, for the decoder,", decoder, code, ())

    composed = Parts(tuple(groups), decoder, likelihood)
    return Model(
        init=partial(initialised, composed, parts, code),
        infer=partial(inferred, composed),
        prior=partial(drawn_from_prior, composed),
        decode=partial(decoded, composed),
        update=lambda state, statistics, key: state,
    )


class Parts(NamedTuple):
    """What the model is composed of; see `informed`."""

    groups: tuple[Informed, ...]
    decoder: Network
    likelihood: Family


def initialised(parts: Parts, seen: Sequence[Sequence[PyTree]], code: PyTree, key: Key) -> tuple[Params, PyTree]:
    """Parameters; `seen` are the shapes of what tells of each group, `code` is that of all values concatenated."""
    decoder_key, *keys = jax.random.split(key, 1 + 2 * len(parts.groups))
    encoders, own = [], []
    for i, (group, of_group) in enumerate(zip(parts.groups, seen, strict=True)):
        pairs = zip(group.sources, jax.random.split(keys[2 * i], len(of_group)), of_group, strict=True)
        encoders.append({source.name: source.encoder.init(k, part, ())[0] for source, k, part in pairs})
        own.append(group.prior.init(keys[2 * i + 1]))
    generative = {"decoder": parts.decoder.init(decoder_key, code, ())[0], "priors": own}
    if parts.likelihood.init is not None:
        generative["likelihood"] = parts.likelihood.init(jax.random.fold_in(decoder_key, 1))
    return {"posterior": {"encoders": encoders}, "generative": generative}, {}


def priors_of(parts: Parts, params: Params, context: PyTree) -> list[Distribution]:
    """p(z_i) of every group."""
    pairs = zip(parts.groups, params["generative"]["priors"], strict=True)
    return [group.prior.build(own, context, no_pseudo_inputs) for group, own in pairs]


def inferred(
    parts: Parts, params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings
) -> Callable[..., Trace]:
    """draw(key, values=()) -> Trace, after every encoder has run once."""
    encoders, laws = params["posterior"]["encoders"], priors_of(parts, params, context)
    found = [posterior_of(*pair, x, context) for pair in zip(parts.groups, encoders, laws, strict=True)]

    def draw(key: Key, values: tuple = ()) -> Trace:
        pairs = enumerate(zip(found, laws, jax.random.split(key, len(found)), strict=True))
        latents = tuple(latent_group(q, p, own, given(values, i)) for i, (q, p, own) in pairs)
        return Trace(likelihood=decoded(parts, params, state, tuple(group.value for group in latents)), latents=latents)

    return draw


def drawn_from_prior(
    parts: Parts, params: Params, state: PyTree, key: Key, context: PyTree = (), values: tuple = (), temperature: Any = 1.0
) -> tuple:
    """A value of every group from its prior, or the one given."""
    laws = priors_of(parts, params, context)
    known = [given(values, i) for i in range(len(laws))]
    at = [temperature_of(temperature, i, len(laws)) for i in range(len(laws))]
    pairs = zip(known, laws, jax.random.split(key, len(laws)), at, strict=True)
    return tuple(sample_prior(p, k, own) if kept is None else kept for kept, p, k, own in pairs)


def decoded(parts: Parts, params: Params, state: PyTree, values: tuple, context: PyTree = ()) -> Distribution:
    """p(x | z_1, ..., z_G)."""
    code, own = jnp.concatenate([jnp.ravel(value) for value in values]), params["generative"]
    outputs, _ = parts.decoder.apply(own["decoder"], {}, code, ())
    return parts.likelihood.build(outputs, *(() if parts.likelihood.init is None else (own["likelihood"],)))


def posterior_of(group: Informed, params: PyTree, prior: Distribution, x: PyTree, context: PyTree) -> Distribution:
    """What the parts of an example that are there say of a group."""
    seen = context.get(SEEN, {}) if isinstance(context, Mapping) else {}

    def expert(source: Source) -> Distribution:
        return group.posterior.build(source.encoder.apply(params[source.name], {}, source.part(x, context), ())[0])

    experts = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(expert, group.sources))
    present = jnp.stack([jnp.asarray(seen.get(source.name, True), bool) for source in group.sources])
    return group.combine(experts, present, prior)


def no_pseudo_inputs(x: PyTree) -> Distribution:
    """What a prior gets in the place of an encoder."""
    raise TypeError(
        "a prior of informed was made of encoded pseudo-inputs, which tell of no group alone; wanted another prior."
    )


# By plain numbers and names


class Widths(NamedTuple):
    """The numbers of `captioned`: dimensions of the latents of images and texts, and widths of the networks.

    channels: of convolutional networks of the image, each halving its sides; () for fully connected ones.
    """

    latent_dim: int
    text_dim: int
    hidden: tuple[int, ...]
    text_hidden: tuple[int, ...]
    activation: Callable
    channels: tuple[int, ...] = ()

    def encoder(self, outputs: tuple[int, ...]) -> Network:
        """From an image to numbers."""
        if self.channels:
            return conv_encoder(self.channels, outputs, hidden=self.hidden, activation=self.activation)
        return mlp_network(self.hidden, outputs, activation=self.activation)

    def decoder(self, outputs: tuple[int, ...], bias: Any) -> Network:
        """From a code to the numbers of an image's likelihood."""
        hidden = tuple(reversed(self.hidden))
        if self.channels:
            up = tuple(reversed(self.channels))
            return conv_decoder(up, outputs, hidden=hidden, activation=self.activation, output_bias=bias)
        return mlp_network(hidden, outputs, activation=self.activation, output_bias=bias)


def captioned(
    data: Data,
    words: int,
    latent_dim: int = 16,
    text_dim: int = 8,
    hidden: Sequence[int] = (256,),
    text_hidden: Sequence[int] = (64,),
    activation: str = "relu",
    likelihood: str | None = None,
    std: float | None = None,
    told: str = "apart",
    widths: Sequence[int] = (),
) -> Model:
    """An image and its caption; see `informed`.

    data:   images, with {"text": tokens} as their context, and "seen" where either may be missing.
    words:  how many tokens there are.
    told:   a name in `TOLD`: "apart", a latent of each, concatenated; "product" or "mixture", experts of one latent of
            `latent_dim` dimensions. A mixture is charged with `objectives.log_ratio`.
    widths: channels of convolutional networks of the image, as in `vae.models.convolutional`; () for fully connected ones.

    The other arguments are those of `vae.models.mlp`. Raises ValueError for data without a text of whole numbers.
    """
    text = data.context.get("text") if isinstance(data.context, Mapping) else None
    if text is None or not jnp.issubdtype(text.dtype, jnp.integer):
        raise ValueError(
            f"captioned got data with the context {data.context}; wanted {{'text': whole numbers}}, the tokens of a caption."
        )
    act = lookup("activation", ACTIVATIONS, activation)
    sizes = Widths(latent_dim, text_dim, tuple(hidden), tuple(text_hidden), act, tuple(widths))
    arrange = lookup("told", TOLD, told)

    def compose(seen: Seen) -> Model:
        decoder = sizes.decoder(seen.likelihood.outputs, seen.output_bias)
        return informed(arrange(seen, sizes, words), decoder, seen.likelihood, seen.data)

    return for_data(data, compose, likelihood, std)


def image_source(seen: Seen, widths: Widths, outputs: tuple[int, ...]) -> Source:
    """The image itself."""
    return Source("image", lambda x, context: x, seen.encoder(widths.encoder(outputs)))


def text_source(widths: Widths, outputs: tuple[int, ...], words: int) -> Source:
    """The tokens of its caption, one-hot."""
    network = mlp_network(widths.text_hidden, outputs, activation=widths.activation)
    return Source("text", lambda x, context: jax.nn.one_hot(context["text"], words), network)


def apart(seen: Seen, widths: Widths, words: int) -> tuple[Informed, ...]:
    """A latent of the text, then one of the image."""
    of_text, of_image = posteriors.normal(widths.text_dim), posteriors.normal(widths.latent_dim)
    return (
        Informed((text_source(widths, of_text.outputs, words),), of_text, priors.normal(widths.text_dim)),
        Informed((image_source(seen, widths, of_image.outputs),), of_image, priors.normal(widths.latent_dim)),
    )


def together(combine: Combine) -> Callable[[Seen, Widths, int], tuple[Informed, ...]]:
    """One latent, of which both tell."""

    def arrange(seen: Seen, widths: Widths, words: int) -> tuple[Informed, ...]:
        posterior = posteriors.normal(widths.latent_dim)
        sources = image_source(seen, widths, posterior.outputs), text_source(widths, posterior.outputs, words)
        return (Informed(sources, posterior, priors.normal(widths.latent_dim), combine),)

    return arrange


TOLD: Mapping[str, Any] = {
    "apart": apart,
    "product": together(product_of_experts),
    "mixture": together(mixture_of_experts),
}
"""How an image and a text tell of latent groups, by name."""
