"""Encoder output -> distribution over the latent variables; the only place where that choice is made.

Each function takes the number of latent dimensions and returns a `Family(outputs, build)`, as `vae.likelihoods` does for data.
Scales leave the network as logarithms, bounded smoothly; concentrations as softplus(x) + 1, which keeps a new network's
posterior away from the prior.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions import (
    Deterministic,
    Laplace,
    LowRankNormal,
    MultivariateNormal,
    Normal,
    PowerSpherical,
    SpikeAndSlab,
    StraightThroughCategorical,
    Transformed,
    VonMises,
    VonMisesFisher,
)
from vae.flows import Flow
from vae.special import smooth_bound
from vae.types import Family

LOG_SCALE_LIMIT = 15.0
SMALLEST_SQUARED_NORM = 1e-12


def normal(latent_dim: int) -> Family:
    """q(z | x) = N(mean, diag(std)^2), both read off the network's 2 n outputs."""
    _require_dimension(latent_dim)

    def build(outputs: Float[Array, "two_latent"]) -> Normal:
        mean, raw = jnp.split(outputs, 2)
        return Normal(mean=mean, log_std=smooth_bound(raw, LOG_SCALE_LIMIT))

    return Family(outputs=(2 * latent_dim,), build=build)


def normal_maps(height: int, width: int, channels: int) -> Family:
    """q(z | x) = N(mean, diag(std)^2) over maps: at every place n outputs for the mean and n for ln std."""
    for size in (height, width, channels):
        _require_dimension(size)

    def build(outputs: Float[Array, "height width two_channels"]) -> Normal:
        mean, raw = jnp.split(outputs, 2, axis=-1)
        return Normal(mean=mean, log_std=smooth_bound(raw, LOG_SCALE_LIMIT))

    return Family(outputs=(height, width, 2 * channels), build=build)


def multivariate_normal(latent_dim: int) -> Family:
    """q(z | x) = N(mean, L L') with a full lower-triangular L: n outputs for the mean, n for ln diag L, the rest below it."""
    _require_dimension(latent_dim)
    rows, columns = jnp.tril_indices(latent_dim, -1)

    def build(outputs: Float[Array, "entries"]) -> MultivariateNormal:
        mean, raw, below = jnp.split(outputs, (latent_dim, 2 * latent_dim))
        diagonal = jnp.diag(jnp.exp(smooth_bound(raw, LOG_SCALE_LIMIT)))
        return MultivariateNormal(mean=mean, scale_tril=diagonal.at[rows, columns].set(below))

    return Family(outputs=(2 * latent_dim + len(rows),), build=build)


def low_rank_normal(latent_dim: int, rank: int = 2) -> Family:
    """q(z | x) = N(mean, F F' + diag(std)^2) with F of n x rank: (2 + rank) n outputs."""
    _require_dimension(latent_dim)

    def build(outputs: Float[Array, "entries"]) -> LowRankNormal:
        mean, raw, factor = jnp.split(outputs, (latent_dim, 2 * latent_dim))
        log_std = smooth_bound(raw, LOG_SCALE_LIMIT)
        return LowRankNormal(mean=mean, factor=factor.reshape(latent_dim, rank), log_diagonal_std=log_std)

    return Family(outputs=((2 + rank) * latent_dim,), build=build)


def laplace(latent_dim: int) -> Family:
    """q(z | x) = Laplace(mean, scale), both read off the network's 2 n outputs."""
    _require_dimension(latent_dim)

    def build(outputs: Float[Array, "two_latent"]) -> Laplace:
        mean, raw = jnp.split(outputs, 2)
        return Laplace(mean=mean, log_scale=smooth_bound(raw, LOG_SCALE_LIMIT))

    return Family(outputs=(2 * latent_dim,), build=build)


def von_mises_fisher(latent_dim: int) -> Family:
    """q(z | x) = vMF on the unit sphere of R^n: n outputs for the direction, one for the concentration.

    (Davidson et al. 2018, section 3; n is the ambient dimension, one more than that of the sphere.)
    """
    return _directional(latent_dim, VonMisesFisher)


def power_spherical(latent_dim: int) -> Family:
    """q(z | x) = power spherical on the unit sphere of R^n: n outputs for the direction, one for the concentration.

    (De Cao & Aziz 2020.)
    """
    return _directional(latent_dim, PowerSpherical)


def von_mises(latent_dim: int) -> Family:
    """q(z | x), n independent angles: n outputs for the cosine of each mean direction, n for the sine, n for the concentration.

    A decoder should see the cosine and the sine of the angles, which a pathwise gradient counts modulo 2 pi.
    """
    _require_dimension(latent_dim)

    def build(outputs: Float[Array, "three_latent"]) -> VonMises:
        cosine, sine, concentration = jnp.split(outputs, 3)
        nowhere = jnp.square(cosine) + jnp.square(sine) < SMALLEST_SQUARED_NORM  # where an angle has no gradient
        angle = jnp.arctan2(jnp.where(nowhere, 0.0, sine), jnp.where(nowhere, 1.0, cosine))
        return VonMises(angle=angle, concentration=jax.nn.softplus(concentration) + 1.0)

    return Family(outputs=(3 * latent_dim,), build=build)


def spike_and_slab(latent_dim: int) -> Family:
    """q(z | x), each dimension exactly zero or Gaussian: n outputs for the mean, n for ln std, n for the logit of being used.

    (Tonolini et al. 2020, equation 6.)
    """
    _require_dimension(latent_dim)

    def build(outputs: Float[Array, "three_latent"]) -> SpikeAndSlab:
        mean, raw, logits = jnp.split(outputs, 3)
        return SpikeAndSlab(spike_logits=logits, slab=Normal(mean=mean, log_std=smooth_bound(raw, LOG_SCALE_LIMIT)))

    return Family(outputs=(3 * latent_dim,), build=build)


def categorical(latent_dim: int, classes: int = 10, temperature: float = 0.5) -> Family:
    """q(z | x): n variables of K classes each, one-hot, with straight-through gradients. (Jang et al. 2017, section 2.2.)"""
    _require_dimension(latent_dim)

    def build(outputs: Float[Array, "latent classes"]) -> StraightThroughCategorical:
        return StraightThroughCategorical(logits=outputs, temperature=jnp.asarray(temperature))

    return Family(outputs=(latent_dim, classes), build=build)


def transformed(base: Family, flow: Flow, context_dim: int = 0) -> Family:
    """q(z | x): a base posterior pushed through a flow, whose parameters all examples share.

    flow:        made for the dimension of the base, with the same `context_dim`.
    context_dim: further outputs of the network, handed to the flow with each example.

    An inverse autoregressive flow gives log q of its own sample without inverting (Kingma et al. 2016, section 3). There is no
    closed form of the KL: charge it with `objectives.log_ratio`.
    """
    (size,) = base.outputs

    def build(outputs: Float[Array, "entries"], params) -> Transformed:
        context = outputs[size:] if context_dim else ()
        return Transformed(base.build(outputs[:size]), flow, params, context)

    return Family(outputs=(size + context_dim,), build=build, init=flow.init)


def deterministic(latent_dim: int) -> Family:
    """A point z = f(x), for autoencoders without a density."""
    _require_dimension(latent_dim)
    return Family(outputs=(latent_dim,), build=Deterministic)


def _directional(latent_dim: int, family) -> Family:
    _require_dimension(latent_dim, at_least=2)

    def build(outputs: Float[Array, "latent_and_one"]):
        raw, concentration = outputs[:-1], outputs[-1]
        direction = raw * jax.lax.rsqrt(jnp.sum(jnp.square(raw)) + SMALLEST_SQUARED_NORM)
        return family(direction=direction, concentration=jax.nn.softplus(concentration) + 1.0)

    return Family(outputs=(latent_dim + 1,), build=build)


def _require_dimension(latent_dim: int, at_least: int = 1) -> None:
    if not (isinstance(latent_dim, int) and latent_dim >= at_least):
        raise ValueError(f"latent_dim is {latent_dim}; wanted a whole number of at least {at_least}.")
