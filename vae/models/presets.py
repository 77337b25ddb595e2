"""Models by plain numbers and names, as a configuration file can hold them.

Each function takes `Data` first and JSON arguments after, so that `vae.reference_to(function, **arguments)` names it in a run.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from vae import likelihoods, posteriors, priors
from vae.models.latent import variational_autoencoder
from vae.networks import bernoulli_output_bias, conv_decoder, conv_encoder
from vae.networks import mlp as mlp_network
from vae.types import Data, Family, Model

ACTIVATIONS: Mapping[str, Callable] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "elu": jax.nn.elu,
}
LIKELIHOODS: Mapping[str, Callable[..., Family]] = {"bernoulli": likelihoods.bernoulli, "normal": likelihoods.normal}


def mlp(
    data: Data, latent_dim: int = 20, hidden: Sequence[int] = (400,), activation: str = "relu", likelihood: str = "bernoulli"
) -> Model:
    """A VAE of fully connected networks, D - hidden - latent_dim - reversed(hidden) - D, with a Gaussian posterior and prior.

    (Kingma & Welling 2014, appendix C.)
    """
    family, act = named("likelihood", LIKELIHOODS, likelihood)(data.shape), named("activation", ACTIVATIONS, activation)
    posterior = posteriors.normal(latent_dim)
    return variational_autoencoder(
        encoder=mlp_network(tuple(hidden), posterior.outputs, activation=act),
        decoder=mlp_network(tuple(reversed(hidden)), family.outputs, activation=act, output_bias=output_bias(data, likelihood)),
        posterior=posterior,
        prior=priors.normal(latent_dim),
        likelihood=family,
        data=data,
    )


def convolutional(
    data: Data,
    latent_dim: int = 16,
    widths: Sequence[int] = (32, 64),
    hidden: Sequence[int] = (),
    activation: str = "relu",
    likelihood: str = "bernoulli",
) -> Model:
    """A VAE of convolutional networks for images of any height, width and channel count; each width halves the sides."""
    family, act = named("likelihood", LIKELIHOODS, likelihood)(data.shape), named("activation", ACTIVATIONS, activation)
    posterior = posteriors.normal(latent_dim)
    return variational_autoencoder(
        encoder=conv_encoder(tuple(widths), posterior.outputs, hidden=tuple(hidden), activation=act),
        decoder=conv_decoder(
            tuple(reversed(widths)),
            family.outputs,
            hidden=tuple(reversed(hidden)),
            activation=act,
            output_bias=output_bias(data, likelihood),
        ),
        posterior=posterior,
        prior=priors.normal(latent_dim),
        likelihood=family,
        data=data,
    )


def output_bias(data: Data, likelihood: str):
    """Where the decoder's output starts: at the mean image, in the likelihood's own parameters; at 0 where it is not known.

    A bias for each pixel in both cases: the shapes of a model rebuilt without the mean are those it was trained with.
    """
    if data.mean is None:
        return 0.0
    return bernoulli_output_bias(data.mean) if likelihood == "bernoulli" else data.mean


def named(kind: str, known: Mapping[str, Callable], name: str) -> Callable:
    """The function of that name; ValueError names the known ones."""
    if name not in known:
        raise ValueError(f"{kind} is {name!r}; wanted one of {', '.join(known)}, or compose your own model from vae.models.")
    return known[name]
