"""Priors p(z), as parameters and a function of them."""

import jax
import jax.numpy as jnp

from vae.distributions import Distribution, Normal, standard_normal
from vae.types import Key, Prior


def fixed(distribution: Distribution) -> Prior:
    """A prior without parameters."""
    return Prior(init=lambda key: {}, build=lambda params, context, encode: distribution)


def normal(latent_dim: int) -> Prior:
    """The standard normal N(0, I)."""
    return fixed(standard_normal(latent_dim))


def tempered(prior: Distribution, temperature) -> Distribution:
    """The prior at a sampling temperature T: for a Gaussian N(mean, (T std)^2).

    Raises TypeError for another family at a temperature other than 1, where there is no such convention to follow.
    """
    if isinstance(temperature, (int, float)) and temperature == 1:
        return prior
    if isinstance(prior, Normal):
        return Normal(mean=prior.mean, log_std=prior.log_std + jnp.log(temperature))
    raise TypeError(f"a temperature of {temperature} was asked of a {type(prior).__name__} prior; only Normal has one: use 1.")


def sample_prior(prior: Distribution, key: Key, temperature=1.0) -> jax.Array:
    """One draw at a temperature; see `tempered`."""
    return tempered(prior, temperature).sample(key)
