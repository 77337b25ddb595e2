"""Models by plain numbers and names, as a configuration file can hold them.

Each function takes `Data` first and JSON arguments after, so that `vae.reference_to(function, **arguments)` names it in a run.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vae import flows, likelihoods, posteriors, priors
from vae.models.latent import variational_autoencoder
from vae.networks import bernoulli_output_bias, conv_decoder, conv_encoder
from vae.networks import mlp as mlp_network
from vae.types import Data, Family, Model, Prior

ACTIVATIONS: Mapping[str, Callable] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "elu": jax.nn.elu,
}


class Latents(NamedTuple):
    """A posterior and a prior that belong together, both by the number of latent dimensions."""

    posterior: Callable[[int], Family]
    prior: Callable[[int], Prior]


class Pixels(NamedTuple):
    """A likelihood by the shape of the data, and where its decoder's output starts for a mean image; None starts at zero."""

    family: Callable[[tuple[int, ...]], Family]
    output_bias: Callable | None = None


def _inverse_autoregressive(latent_dim: int) -> Family:
    """Two inverse autoregressive steps with the order turned round between them. (Kingma et al. 2016, section 4.)"""
    step = flows.inverse_autoregressive(latent_dim, context_dim=latent_dim)
    flow = flows.chain(step, flows.reverse(latent_dim), step)
    return posteriors.transformed(posteriors.normal(latent_dim), flow, context_dim=latent_dim)


def _flow_prior(latent_dim: int) -> Prior:
    """A standard normal pushed through one masked autoregressive step."""
    return priors.flow(latent_dim, flows.masked_autoregressive(latent_dim))


LATENTS: Mapping[str, Latents] = {
    "normal": Latents(posteriors.normal, priors.normal),
    "multivariate_normal": Latents(posteriors.multivariate_normal, priors.normal),
    "low_rank_normal": Latents(posteriors.low_rank_normal, priors.normal),
    "laplace": Latents(posteriors.laplace, priors.laplace),
    "von_mises_fisher": Latents(posteriors.von_mises_fisher, priors.uniform_sphere),
    "power_spherical": Latents(posteriors.power_spherical, priors.uniform_sphere),
    "spike_and_slab": Latents(posteriors.spike_and_slab, priors.spike_and_slab),
    "categorical": Latents(posteriors.categorical, priors.categorical),
    "deterministic": Latents(posteriors.deterministic, priors.normal),
    "inverse_autoregressive": Latents(_inverse_autoregressive, priors.normal),
    "normal_mixture": Latents(posteriors.normal, priors.mixture),
    "normal_flow": Latents(posteriors.normal, _flow_prior),
}
LIKELIHOODS: Mapping[str, Pixels] = {
    "bernoulli": Pixels(likelihoods.bernoulli, bernoulli_output_bias),
    "continuous_bernoulli": Pixels(likelihoods.continuous_bernoulli),
    "normal": Pixels(likelihoods.normal, jnp.asarray),
    "normal_learned_std": Pixels(likelihoods.normal_learned_std),
    "normal_shared_std": Pixels(likelihoods.normal_shared_std),
    "normal_optimal_std": Pixels(likelihoods.normal_optimal_std, jnp.asarray),
    "laplace": Pixels(likelihoods.laplace, jnp.asarray),
    "laplace_learned_scale": Pixels(likelihoods.laplace_learned_scale),
    "discretised_logistic": Pixels(likelihoods.discretised_logistic),
    "discretised_logistic_mixture": Pixels(likelihoods.discretised_logistic_mixture),
    "categorical": Pixels(likelihoods.categorical),
}


def mlp(
    data: Data,
    latent_dim: int = 20,
    hidden: Sequence[int] = (400,),
    activation: str = "relu",
    likelihood: str = "bernoulli",
    latents: str = "normal",
) -> Model:
    """A VAE of fully connected networks, D - hidden - latents - reversed(hidden) - D. (Kingma & Welling 2014, appendix C.)

    likelihood, latents, activation: names in `LIKELIHOODS`, `LATENTS`, `ACTIVATIONS`.
    """
    act = lookup("activation", ACTIVATIONS, activation)

    def networks(posterior: Family, family: Family, bias):
        encoder = mlp_network(tuple(hidden), posterior.outputs, activation=act)
        return encoder, mlp_network(tuple(reversed(hidden)), family.outputs, activation=act, output_bias=bias)

    return _by_names(data, latent_dim, likelihood, latents, networks)


def convolutional(
    data: Data,
    latent_dim: int = 16,
    widths: Sequence[int] = (32, 64),
    hidden: Sequence[int] = (),
    activation: str = "relu",
    likelihood: str = "bernoulli",
    latents: str = "normal",
) -> Model:
    """A VAE of convolutional networks for images of any height, width and channel count; each width halves the sides.

    likelihood, latents, activation: names in `LIKELIHOODS`, `LATENTS`, `ACTIVATIONS`.
    """
    act = lookup("activation", ACTIVATIONS, activation)
    up, layers = tuple(reversed(widths)), tuple(reversed(hidden))

    def networks(posterior: Family, family: Family, bias):
        encoder = conv_encoder(tuple(widths), posterior.outputs, hidden=tuple(hidden), activation=act)
        return encoder, conv_decoder(up, family.outputs, hidden=layers, activation=act, output_bias=bias)

    return _by_names(data, latent_dim, likelihood, latents, networks)


def _by_names(data: Data, latent_dim: int, likelihood: str, latents: str, networks: Callable) -> Model:
    pixels, chosen = lookup("likelihood", LIKELIHOODS, likelihood), lookup("latents", LATENTS, latents)
    posterior, family = chosen.posterior(latent_dim), pixels.family(data.shape)
    encoder, decoder = networks(posterior, family, output_bias(data, pixels))
    return variational_autoencoder(
        encoder=encoder,
        decoder=decoder,
        posterior=posterior,
        prior=chosen.prior(latent_dim),
        likelihood=family,
        data=data,
    )


def output_bias(data: Data, pixels: Pixels):
    """Where the decoder's output starts: at the mean image, in the likelihood's own parameters; at 0 where it is not known.

    A bias for each pixel in both cases: the shapes of a model rebuilt without the mean are those it was trained with.
    """
    return 0.0 if data.mean is None or pixels.output_bias is None else pixels.output_bias(data.mean)


def lookup(kind: str, known: Mapping[str, Any], name: str) -> Any:
    """The entry of that name; ValueError names the known ones."""
    if name not in known:
        raise ValueError(f"{kind} is {name!r}; wanted one of {', '.join(known)}, or compose your own model from vae.models.")
    return known[name]
