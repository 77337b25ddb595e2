"""Encoder output -> distribution over the latent variables; the only place that choice is made."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions import Deterministic, Normal
from vae.types import Family

LOG_STD_BOUND = 15.0


def bounded_log_std(raw: Float[Array, "*n"], bound: float = LOG_STD_BOUND) -> Float[Array, "*n"]:
    """bound * tanh(raw / bound): the identity near zero, within +-bound always.

    A hard clip would end the gradient of a scale that has left its range; this one only shrinks it, so it can come back.
    """
    return bound * jnp.tanh(raw / bound)


def normal(latent_dim: int) -> Family:
    """q(z | x) = N(mean, diag(exp(log_std))^2), both read off the network's 2 * latent_dim outputs."""
    _require_dimension(latent_dim)

    def build(outputs: Float[Array, "two_latent"]) -> Normal:
        mean, raw = jnp.split(outputs, 2)
        return Normal(mean=mean, log_std=bounded_log_std(raw))

    return Family(outputs=(2 * latent_dim,), build=build)


def deterministic(latent_dim: int) -> Family:
    """A point z = f(x), for autoencoders without a density."""
    _require_dimension(latent_dim)
    return Family(outputs=(latent_dim,), build=Deterministic)


def _require_dimension(latent_dim: int) -> None:
    if not (isinstance(latent_dim, int) and latent_dim >= 1 and math.isfinite(latent_dim)):
        raise ValueError(f"latent_dim is {latent_dim}; wanted a whole number of at least 1.")
