"""What a configuration file calls by a name: activations, latents, likelihoods."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vae import flows, likelihoods, posteriors, priors
from vae.networks import bernoulli_output_bias
from vae.spaces import DataSpace
from vae.spec import Data
from vae.types import Family, Prior

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


def lookup(kind: str, known: Mapping[str, Any], name: str) -> Any:
    """The entry of that name; ValueError names the known ones."""
    if name not in known:
        raise ValueError(f"{kind} is {name!r}; wanted one of {', '.join(known)}, or compose your own model from vae.models.")
    return known[name]
