"""What a configuration file calls by a name: activations, latents, likelihoods."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vae import flows, likelihoods, posteriors, priors
from vae.models.views import View
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
    """A posterior and a prior that belong together.

    posterior: by the number of latent dimensions.
    prior:     by that number and the data as the encoder's model sees them, for one made of pseudo-inputs.
    view:      how a decoder sees (z, context), such as an angle by its cosine and sine; None where it sees z as it is.
    """

    posterior: Callable[[int], Family]
    prior: Callable[[int, Data], Prior]
    view: View | None = None


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


PSEUDO_INPUTS: Mapping[DataSpace, tuple[Callable[[Array], Array], float]] = {
    "binary": (jax.nn.sigmoid, -1.0),
    "unit_interval": (jax.nn.sigmoid, -1.0),
    "uint8": (jax.nn.sigmoid, -1.0),
    "real": (lambda raw: raw, 0.0),
    "count": (jax.nn.softplus, 0.0),
}
"""By the space of the data: what brings pseudo-inputs to where examples lie, and the mean of what they start from."""


def _pseudo_inputs(latent_dim: int, data: Data) -> Prior:
    """The VampPrior of 500 pseudo-inputs; ValueError for data whose pseudo-inputs are no numbers, or differ with a context."""
    if data.space not in PSEUDO_INPUTS:
        raise ValueError(
            f"latents with pseudo-inputs were asked for data of the space {data.space}, whose values a gradient cannot move; "
            f"wanted one of {', '.join(PSEUDO_INPUTS)}: use normal_mixture or normal_flow."
        )
    if jax.tree.leaves(data.context):
        raise ValueError(
            "latents with pseudo-inputs were asked for data with a context or missing values, under which every example would "
            "encode all of them again; use normal_mixture or normal_flow, or give priors.vamp to a model of your own."
        )
    squash, start = PSEUDO_INPUTS[data.space]
    return priors.vamp(data.shape, squash=squash, start=start)


def _of_dimension(prior: Callable[[int], Prior]) -> Callable[[int, Data], Prior]:
    """A prior that has to know nothing of the data."""
    return lambda latent_dim, data: prior(latent_dim)


def _on_the_circle(angles: Array, context: Any) -> tuple[Array, Any]:
    """Angles as points of the circle, so that a decoder has their period."""
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)]), context


_NORMAL, _UNIFORM_SPHERE = _of_dimension(priors.normal), _of_dimension(priors.uniform_sphere)

LATENTS: Mapping[str, Latents] = {
    "normal": Latents(posteriors.normal, _NORMAL),
    "multivariate_normal": Latents(posteriors.multivariate_normal, _NORMAL),
    "low_rank_normal": Latents(posteriors.low_rank_normal, _NORMAL),
    "laplace": Latents(posteriors.laplace, _of_dimension(priors.laplace)),
    "von_mises": Latents(posteriors.von_mises, _of_dimension(priors.uniform_circle), _on_the_circle),
    "von_mises_fisher": Latents(posteriors.von_mises_fisher, _UNIFORM_SPHERE),
    "power_spherical": Latents(posteriors.power_spherical, _UNIFORM_SPHERE),
    "spike_and_slab": Latents(posteriors.spike_and_slab, _of_dimension(priors.spike_and_slab)),
    "categorical": Latents(posteriors.categorical, _of_dimension(priors.categorical)),
    "deterministic": Latents(posteriors.deterministic, _NORMAL),
    "inverse_autoregressive": Latents(_inverse_autoregressive, _NORMAL),
    "normal_mixture": Latents(posteriors.normal, _of_dimension(priors.mixture)),
    "normal_vamp": Latents(posteriors.normal, _pseudo_inputs),
    "normal_flow": Latents(posteriors.normal, _of_dimension(_flow_prior)),
    "spike_and_slab_vamp": Latents(posteriors.spike_and_slab, _pseudo_inputs),
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
