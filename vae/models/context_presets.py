"""What an example is conditioned on, in the prior too; and the plain regression that a conditional model is held against."""

from collections.abc import Callable, Sequence

import jax
from jaxtyping import Array

from vae import posteriors, priors
from vae.distributions import Distribution, standard_normal
from vae.models.choices import ACTIVATIONS, lookup
from vae.models.group import given, latent_group
from vae.models.latent import variational_autoencoder
from vae.models.seen import Seen, for_data
from vae.networks import mlp as mlp_network
from vae.requirements import require_function_of_inputs
from vae.settings import Settings
from vae.spec import Data, given_of
from vae.types import Family, Key, Model, Network, Params, PyTree, Trace


def conditional(
    data: Data,
    latent_dim: int = 20,
    hidden: Sequence[int] = (400,),
    activation: str = "relu",
    likelihood: str | None = None,
    std: float | None = None,
    prior_hidden: Sequence[int] | None = None,
) -> Model:
    """p(z | c) p(x | z, c) with q(z | x, c), all three of fully connected networks. (Sohn et al. 2015, eq. 4.)

    data:         conditioned on something: labels, numbers, another image, any pytree.
    prior_hidden: widths of the prior's network; those of the encoder where None.

    The other arguments are those of `vae.models.mlp`, whose prior is N(0, I) whatever the context. Raises ValueError for data
    without a context.
    """
    act = lookup("activation", ACTIVATIONS, activation)
    posterior = posteriors.normal(latent_dim)
    widths = tuple(hidden if prior_hidden is None else prior_hidden)

    def compose(seen: Seen) -> Model:
        bias = seen.output_bias
        decoder = mlp_network(tuple(reversed(hidden)), seen.likelihood.outputs, activation=act, output_bias=bias)
        return variational_autoencoder(
            encoder=seen.encoder(mlp_network(tuple(hidden), posterior.outputs, activation=act)),
            decoder=seen.decoder(decoder),
            posterior=posterior,
            prior=priors.conditional(mlp_network(widths, posterior.outputs, activation=act), posterior, seen.data.context),
            likelihood=seen.likelihood,
            data=seen.data,
        )

    return for_data(data, compose, likelihood, std)


def regression(
    data: Data,
    hidden: Sequence[int] = (400,),
    activation: str = "relu",
    likelihood: str | None = None,
    std: float | None = None,
) -> Model:
    """p(x | c) by one fully connected network, without anything latent: what a conditional model has to be better than."""
    act = lookup("activation", ACTIVATIONS, activation)

    def compose(seen: Seen) -> Model:
        network = mlp_network(tuple(hidden), seen.likelihood.outputs, activation=act, output_bias=seen.output_bias)
        return without_latents(network, seen.likelihood, seen.data)

    return for_data(data, compose, likelihood, std)


def without_latents(network: Network, likelihood: Family, data: Data) -> Model:
    """p(x | c) of a network of the context, as a model whose one latent group has no dimension.

        log p(x | c) - KL = log p(x | c),    KL = 0

    So every bound is the log-likelihood itself, with any objective and any number of importance samples, and the model stands
    beside those with latents. The encoder sees no x.

    Raises ValueError for data that are conditioned on nothing, and for a network that draws or carries a state.
    """
    context = given_of(data.context)
    if not jax.tree.leaves(context):
        raise ValueError("without_latents got data that are conditioned on nothing; wanted a context to predict x from.")
    require_function_of_inputs("without_latents", network, context)
    nothing = standard_normal(0)

    def init(key: Key) -> tuple[Params, PyTree]:
        params = {"network": network.init(key, context)[0]}
        if likelihood.init is not None:
            params["likelihood"] = likelihood.init(jax.random.fold_in(key, 1))
        return {"posterior": {}, "generative": params}, {}

    def decode(params: Params, state: PyTree, values: tuple, context: PyTree = ()) -> Distribution:
        own = params["generative"]
        outputs, _ = network.apply(own["network"], {}, given_of(context))
        return likelihood.build(outputs, *(() if likelihood.init is None else (own["likelihood"],)))

    def infer(params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings) -> Callable[..., Trace]:
        predicted = decode(params, state, (), context)

        def draw(key: Key, values: tuple = ()) -> Trace:
            return Trace(likelihood=predicted, latents=(latent_group(nothing, nothing, key, given(values, 0)),))

        return draw

    def prior(params, state, key: Key, context: PyTree = (), values: tuple = (), temperature=1.0) -> tuple[Array]:
        return (nothing.mean,)

    return Model(init=init, infer=infer, prior=prior, decode=decode, update=lambda state, statistics, key: state)
