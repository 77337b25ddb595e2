"""Models by plain numbers and names, as a configuration file can hold them.

Each function takes `Data` first and JSON arguments after, so that `vae.reference_to(function, **arguments)` names it in a run.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vae import flows, likelihoods, posteriors, priors
from vae.models.latent import variational_autoencoder
from vae.models.missing import with_missing
from vae.models.standardisation import standardised, standardised_data
from vae.models.views import decoder_view, encoder_view, through
from vae.networks import bernoulli_output_bias, conv_decoder, conv_encoder
from vae.networks import mlp as mlp_network
from vae.spaces import DataSpace
from vae.spec import Data, may_be_missing
from vae.types import Family, Model, Prior

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


class Observation(NamedTuple):
    """A likelihood by the data, and where its decoder's output starts.

    family:      of the data.
    output_bias: from the data, whose mean is known, to where the outputs start; None starts them at zero.
    with_std:    the family with a given standard deviation, of those that do not learn theirs.
    """

    family: Callable[[Data], Family]
    output_bias: Callable[[Data], Any] | None = None
    with_std: Callable[[Data, float], Family] | None = None


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


def _of_shape(family: Callable[[tuple[int, ...]], Family]) -> Callable[[Data], Family]:
    """A likelihood that has to know nothing of the data but their shape."""
    return lambda data: family(data.shape)


def _at_mean(data: Data) -> Array:
    """The mean of each entry."""
    return jnp.asarray(data.mean)


def _at_logits(data: Data) -> Array:
    """The logit of the mean of each entry."""
    return bernoulli_output_bias(data.mean)


def _at_log_mean(data: Data) -> Array:
    """What the bounded log mean of each count comes from (see `smooth_bound`); means from a thousandth to a million."""
    log_mean = jnp.log(jnp.clip(jnp.asarray(data.mean), 1e-3, 1e6))
    return log_mean * jax.lax.rsqrt(1.0 - jnp.square(log_mean / likelihoods.COUNT_LIMIT))


def _beside_zeros(start: Callable[[Data], Array], numbers: int) -> Callable[[Data], Array]:
    """That start of the first of so many numbers for each entry, the others at zero."""

    def bias(data: Data) -> Array:
        first = start(data)
        return jnp.concatenate([first, *(numbers - 1) * [jnp.zeros_like(first)]], axis=-1)

    return bias


def _by_column(data: Data) -> Array:
    """Of a table: the columns of each space as those families have it, classes alike probable."""
    starts = []
    for space, start in {
        "real": _beside_zeros(_at_mean, 2),
        "binary": _at_logits,
        "count": _beside_zeros(_at_log_mean, 2),
    }.items():
        own = np.array([column.space == space for column in data.columns])
        starts.append(start(data._replace(mean=jnp.asarray(data.mean)[own])))
    classes = sum(len(column.categories) for column in data.columns)
    return jnp.concatenate([*starts, jnp.zeros(classes)])


LIKELIHOODS: Mapping[str, Observation] = {
    "bernoulli": Observation(_of_shape(likelihoods.bernoulli), _at_logits),
    "continuous_bernoulli": Observation(_of_shape(likelihoods.continuous_bernoulli)),
    "normal": Observation(
        _of_shape(likelihoods.normal), _at_mean, lambda data, std: likelihoods.normal(data.shape, math.log(std))
    ),
    "normal_learned_std": Observation(_of_shape(likelihoods.normal_learned_std)),
    "normal_shared_std": Observation(_of_shape(likelihoods.normal_shared_std)),
    "normal_common_std": Observation(_of_shape(likelihoods.normal_common_std), _at_mean),
    "normal_optimal_std": Observation(_of_shape(likelihoods.normal_optimal_std), _at_mean),
    "laplace": Observation(
        _of_shape(likelihoods.laplace),
        _at_mean,
        lambda data, std: likelihoods.laplace(data.shape, math.log(std / math.sqrt(2))),
    ),
    "laplace_learned_scale": Observation(_of_shape(likelihoods.laplace_learned_scale)),
    "discretised_logistic": Observation(_of_shape(likelihoods.discretised_logistic)),
    "discretised_logistic_mixture": Observation(_of_shape(likelihoods.discretised_logistic_mixture)),
    "categorical": Observation(_of_shape(likelihoods.categorical)),
    "poisson": Observation(_of_shape(likelihoods.poisson), _at_log_mean),
    "negative_binomial": Observation(_of_shape(likelihoods.negative_binomial), _beside_zeros(_at_log_mean, 2)),
    "zero_inflated_negative_binomial": Observation(
        _of_shape(likelihoods.zero_inflated_negative_binomial), _beside_zeros(_at_log_mean, 3)
    ),
    "tokens": Observation(lambda data: likelihoods.tokens(data.shape, data.tokens)),
    "mixed": Observation(lambda data: likelihoods.mixed(data.columns), _by_column),
}
BY_SPACE: Mapping[DataSpace, str] = {
    "binary": "bernoulli",
    "unit_interval": "continuous_bernoulli",
    "real": "normal_learned_std",
    "uint8": "discretised_logistic",
    "count": "negative_binomial",
    "tokens": "tokens",
    "mixed": "mixed",
}
"""The likelihood of data of each space where none is named."""


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

    likelihood, latents, activation: names in `LIKELIHOODS`, `LATENTS`, `ACTIVATIONS`; without a likelihood that of `BY_SPACE`.
    std:                             of the likelihoods normal and laplace, in the units that the networks see; 1, and for
                                     laplace a scale of 1, where it is not given.

    What the data need beside it (units, missing values, columns of several kinds) is put around by `built_for`.
    """
    act = lookup("activation", ACTIVATIONS, activation)

    def networks(posterior: Family, family: Family, bias):
        encoder = mlp_network(tuple(hidden), posterior.outputs, activation=act)
        return encoder, mlp_network(tuple(reversed(hidden)), family.outputs, activation=act, output_bias=bias)

    return built_for(data, latent_dim, likelihood, latents, std, networks)


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

    return built_for(data, latent_dim, likelihood, latents, std, networks)


def built_for(
    data: Data, latent_dim: int, likelihood: str | None, latents: str, std: float | None, networks: Callable[..., tuple]
) -> Model:
    """The VAE of networks(posterior, likelihood, output bias) -> encoder, decoder, with what the data need around it:

    a scale            the networks see (x - mean) / scale, the likelihood stays in the units of x: `standardised`
    columns, tokens    the encoder sees classes as one-hot vectors, and counts as logarithms: `encoder_view`
    an observed mask   what is missing is not scored, and not seen: `with_missing`
    """
    if not data.shape:
        raise ValueError(
            "an example of the data has shape (), or is no single array; wanted an array of numbers for each: reshape one "
            "number to (1,), or make data of a dict with x, context and label by vae.data.array_splits."
        )
    chosen = lookup("latents", LATENTS, latents)
    observation = lookup("likelihood", LIKELIHOODS, BY_SPACE[data.space] if likelihood is None else likelihood)
    seen = standardised_data(data)
    posterior, family = chosen.posterior(latent_dim), family_of(observation, seen, std)
    encoder, decoder = networks(posterior, family, output_bias(seen, observation))
    model = variational_autoencoder(
        encoder=through(encoder, encoder_view(seen)),
        decoder=through(decoder, decoder_view(seen)),
        posterior=posterior,
        prior=chosen.prior(latent_dim),
        likelihood=family,
        data=seen,
    )
    model = model if data.scale is None else standardised(model, data)
    return with_missing(model) if may_be_missing(data.context) else model


def family_of(observation: Observation, data: Data, std: float | None) -> Family:
    """The likelihood of the data, with the standard deviation given; ValueError where there is none to give, or it is none."""
    if std is None:
        return observation.family(data)
    if observation.with_std is None:
        fixed = ", ".join(name for name, other in LIKELIHOODS.items() if other.with_std is not None)
        raise ValueError(f"std is {std}, but the likelihood has none to be given; leave std out, or use one of {fixed}.")
    if not (math.isfinite(std) and std > 0):
        raise ValueError(f"std is {std}; wanted a positive number.")
    return observation.with_std(data, std)


def output_bias(data: Data, observation: Observation) -> Any:
    """Where the decoder's output starts: at the mean example, in the likelihood's own parameters; at 0 where it is not known.

    A bias for each output in both cases: the shapes of a model rebuilt without the mean are those it was trained with.
    """
    return 0.0 if data.mean is None or observation.output_bias is None else observation.output_bias(data)


def lookup(kind: str, known: Mapping[str, Any], name: str) -> Any:
    """The entry of that name; ValueError names the known ones."""
    if name not in known:
        raise ValueError(f"{kind} is {name!r}; wanted one of {', '.join(known)}, or compose your own model from vae.models.")
    return known[name]
