"""Encoder output -> distribution over the latent variables; the only place that choice is made."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions import Deterministic, Normal
from vae.likelihoods import smooth_bound
from vae.types import Family

LOG_STD_LIMIT = 15.0


def normal(latent_dim: int) -> Family:
    """q(z | x) = N(mean, diag(exp(log_std))^2), both read off the network's 2 * latent_dim outputs; log_std bounded smoothly."""
    _require_dimension(latent_dim)

    def build(outputs: Float[Array, "two_latent"]) -> Normal:
        mean, raw = jnp.split(outputs, 2)
        return Normal(mean=mean, log_std=smooth_bound(raw, LOG_STD_LIMIT))

    return Family(outputs=(2 * latent_dim,), build=build)


def deterministic(latent_dim: int) -> Family:
    """A point z = f(x), for autoencoders without a density."""
    _require_dimension(latent_dim)
    return Family(outputs=(latent_dim,), build=Deterministic)


def _require_dimension(latent_dim: int) -> None:
    if not (isinstance(latent_dim, int) and latent_dim >= 1):
        raise ValueError(f"latent_dim is {latent_dim}; wanted a whole number of at least 1.")
