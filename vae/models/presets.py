"""Models by plain numbers and names, as a configuration file can hold them.

Each function takes `Data` first and JSON arguments after, so that `vae.reference_to(function, **arguments)` names it in a run.
"""

from collections.abc import Callable, Sequence

from vae.models.choices import ACTIVATIONS, LATENTS, lookup
from vae.models.latent import variational_autoencoder
from vae.models.seen import Seen, for_data
from vae.models.views import through
from vae.networks import conv_decoder, conv_encoder
from vae.networks import mlp as mlp_network
from vae.spec import Data
from vae.types import Family, Model


def mlp(
    data: Data,
    latent_dim: int = 20,
    hidden: Sequence[int] = (400,),
    activation: str = "relu",
    likelihood: str | None = None,
    latents: str = "normal",
    std: float | None = None,
) -> Model:
    """A VAE of fully connected networks, D - hidden - latents - reversed(hidden) - D. (Kingma & Welling 2014, appendix C.)

    likelihood, latents, activation: names in `vae.models.choices`; without a likelihood that of `BY_SPACE`.
    std:                             of the likelihoods normal and laplace, in the units that the networks see; 1, and for
                                     laplace a scale of 1, where it is not given.

    What the data need beside it (units, missing values, columns of several kinds) is put around by `for_data`.
    """
    act = lookup("activation", ACTIVATIONS, activation)

    def networks(posterior: Family, family: Family, bias):
        encoder = mlp_network(tuple(hidden), posterior.outputs, activation=act)
        return encoder, mlp_network(tuple(reversed(hidden)), family.outputs, activation=act, output_bias=bias)

    return for_data(data, one_group(latent_dim, latents, networks), likelihood, std)


def convolutional(
    data: Data,
    latent_dim: int = 16,
    widths: Sequence[int] = (32, 64),
    hidden: Sequence[int] = (),
    activation: str = "relu",
    likelihood: str | None = None,
    latents: str = "normal",
    std: float | None = None,
) -> Model:
    """A VAE of convolutional networks for images of any height, width and channel count; each width halves the sides.

    The other arguments are those of `mlp`.
    """
    act = lookup("activation", ACTIVATIONS, activation)
    up, layers = tuple(reversed(widths)), tuple(reversed(hidden))

    def networks(posterior: Family, family: Family, bias):
        encoder = conv_encoder(tuple(widths), posterior.outputs, hidden=tuple(hidden), activation=act)
        return encoder, conv_decoder(up, family.outputs, hidden=layers, activation=act, output_bias=bias)

    return for_data(data, one_group(latent_dim, latents, networks), likelihood, std)


def one_group(latent_dim: int, latents: str, networks: Callable[..., tuple]) -> Callable[[Seen], Model]:
    """The VAE with one latent group, of networks(posterior, likelihood, output bias) -> encoder, decoder; for `for_data`."""
    chosen = lookup("latents", LATENTS, latents)
    posterior = chosen.posterior(latent_dim)

    def compose(seen: Seen) -> Model:
        encoder, decoder = networks(posterior, seen.likelihood, seen.output_bias)
        return variational_autoencoder(
            encoder=seen.encoder(encoder),
            decoder=seen.decoder(through(decoder, chosen.view)),
            posterior=posterior,
            prior=chosen.prior(latent_dim, seen.data),
            likelihood=seen.likelihood,
            data=seen.data,
        )

    return compose
