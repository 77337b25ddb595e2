"""Further ways to charge a latent group, beside `analytic` and `log_ratio`: functions (latent, key) -> nats."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from vae.divergences.jensen_shannon import geometric_jensen_shannon_per_factor, interpolating_jensen_shannon_per_factor
from vae.objectives.core import Rate
from vae.requirements import require
from vae.types import Key, Latent


def geometric_jensen_shannon(skew: Any = 0.5) -> Rate:
    """The geometric Jensen-Shannon divergence of posterior and prior in place of the KL (Nielsen 2019); Gaussians only.

    skew: a in [0, 1]; the divergence is 0 at both ends. The sum with the log-likelihood is no bound on the evidence.
    """

    def rate(latent: Latent, key: Key) -> Array:
        return geometric_jensen_shannon_per_factor(latent.posterior, latent.prior, skew)

    return rate


def interpolating_jensen_shannon(skew: Any = 0.5) -> Rate:
    """The skew geometric Jensen-Shannon divergence of Deasy et al. 2020, from KL(q || p) at a skew of 0 to KL(p || q)
    at 1; Gaussians only.
    """

    def rate(latent: Latent, key: Key) -> Array:
        return interpolating_jensen_shannon_per_factor(latent.posterior, latent.prior, skew)

    return rate


def absolute(scale: float = 1.0) -> Rate:
    """| z | / scale per dimension, at the sample: minus the log density of a Laplace prior, up to a constant (an L1 rate).

    It pulls codes to zero; for an encoder with or without a density.
    """
    require(scale > 0, f"absolute got a scale of {scale}; wanted a positive number.")

    def rate(latent: Latent, key: Key) -> Array:
        return jnp.abs(latent.value) / scale

    return rate
