"""Jensen-Shannon divergences, in nats: the geometric ones of Gaussians in closed form, the ordinary one by Monte Carlo.

The geometric ones compare both arguments with N_s, the normalised geometric mean p1^(1-s) p2^s of two Gaussians, which has the
precision (1-s) S1^-1 + s S2^-1. They differ in which s and in the direction of the divergences:

                                   weights (1-a, a) and          a -> 0        a -> 1
    geometric (Nielsen)            KL(p1 || N_a), KL(p2 || N_a)          0             0
    geometric (Deasy)              the same with N_(1-a)                 KL(p1 || p2)  KL(p2 || p1)
    dual                           KL(N_a || p1), KL(N_a || p2)          0             0

Each has a `_per_factor` form with one entry per component where both covariances are diagonal and a scalar otherwise, which,
with the skew bound, is a row for the table that `kl_divergence` takes.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float

from vae.distributions.base import Distribution
from vae.distributions.multivariate_normal import MultivariateNormal
from vae.distributions.normal import Normal
from vae.divergences import gaussian
from vae.divergences.gaussian import Gaussian
from vae.divergences.table import incomparable
from vae.requirements import concrete, require


def geometric_jensen_shannon(q: Distribution, p: Distribution, skew: Any) -> Float[Array, ""]:
    """(1-a) KL(q || N_a) + a KL(p || N_a), in nats, shape (); 0 at both ends of the skew a.

    q, p: Gaussians of any covariance over the same event.
    skew: a in [0, 1], may be traced; 1/2 makes it symmetric.
    Raises ValueError for another skew, TypeError for other families. (Nielsen 2019, definition 2 with the geometric mean.)
    """
    return jnp.sum(geometric_jensen_shannon_per_factor(q, p, skew))


def geometric_jensen_shannon_per_factor(q: Distribution, p: Distribution, skew: Any) -> Array:
    """`geometric_jensen_shannon`, unsummed where it factorises."""
    first, second, mean, row = around_geometric_mean(q, p, skew)
    return (1.0 - skew) * row(first, mean) + skew * row(second, mean)


def interpolating_jensen_shannon(q: Distribution, p: Distribution, skew: Any) -> Float[Array, ""]:
    """(1-a) KL(q || N_(1-a)) + a KL(p || N_(1-a)), in nats, shape (): from KL(q || p) at a = 0 to KL(p || q) at a = 1.

    The skew geometric Jensen-Shannon divergence of Deasy, Simidjievski & Lio 2020, which equals `geometric_jensen_shannon` at
    a = 1/2. Arguments and errors as there.
    """
    return jnp.sum(interpolating_jensen_shannon_per_factor(q, p, skew))


def interpolating_jensen_shannon_per_factor(q: Distribution, p: Distribution, skew: Any) -> Array:
    """`interpolating_jensen_shannon`, unsummed where it factorises."""
    first, second, mean, row = around_geometric_mean(q, p, 1.0 - skew)
    return (1.0 - skew) * row(first, mean) + skew * row(second, mean)


def dual_geometric_jensen_shannon(q: Distribution, p: Distribution, skew: Any) -> Float[Array, ""]:
    """(1-a) KL(N_a || q) + a KL(N_a || p) = -ln int q(z)^(1-a) p(z)^a dz, in nats, shape ().

    The skew Bhattacharyya distance. Arguments and errors as in `geometric_jensen_shannon`. (Nielsen 2019, section 3.)
    """
    return jnp.sum(dual_geometric_jensen_shannon_per_factor(q, p, skew))


def dual_geometric_jensen_shannon_per_factor(q: Distribution, p: Distribution, skew: Any) -> Array:
    """`dual_geometric_jensen_shannon`, unsummed where it factorises."""
    first, second, mean, row = around_geometric_mean(q, p, skew)
    return (1.0 - skew) * row(mean, first) + skew * row(mean, second)


def around_geometric_mean(q: Distribution, p: Distribution, skew: Any) -> tuple[Gaussian, Gaussian, Gaussian, Any]:
    """q, p and their geometric mean N_s, shifted so that N_s is centred at 0, and the KL row for the three.

    Only differences of means matter. With d = mean_q - mean_p the offsets are mean_q - mean_s = s S_s Sp^-1 d and
    mean_p - mean_s = -(1-s) S_s Sq^-1 d; taken after rounding mean_s they would be noise wherever one std is tiny.
    """
    if concrete(skew):
        require(0.0 <= skew <= 1.0, f"a geometric Jensen-Shannon divergence got a skew of {skew}, wanted one in [0, 1].")
    q, p = gaussian.require_gaussians("a geometric Jensen-Shannon divergence", q, p)
    gaussian.require_same_event(q, p)
    if isinstance(q, Normal) and isinstance(p, Normal):
        return *_diagonal_mean(q, p, skew), gaussian.normal_normal
    return *_full_mean(q, p, skew), gaussian.triangular


def _diagonal_mean(q: Normal, p: Normal, skew: Any) -> tuple[Normal, Normal, Normal]:
    log_precision = jnp.logaddexp(jnp.log1p(-skew) - 2.0 * q.log_std, jnp.log(skew) - 2.0 * p.log_std)
    log_std = -0.5 * log_precision
    difference = q.mean - p.mean
    q_offset = skew * jnp.exp(2.0 * (log_std - p.log_std)) * difference
    p_offset = (skew - 1.0) * jnp.exp(2.0 * (log_std - q.log_std)) * difference
    centre = Normal(mean=jnp.zeros_like(difference), log_std=log_std)
    return Normal(mean=q_offset, log_std=q.log_std), Normal(mean=p_offset, log_std=p.log_std), centre


def _full_mean(q: Gaussian, p: Gaussian, skew: Any) -> tuple[MultivariateNormal, MultivariateNormal, MultivariateNormal]:
    q_factor, p_factor = gaussian.scale_tril(q), gaussian.scale_tril(p)
    factor = harmonic_factor(q_factor, p_factor, skew)
    difference = q.mean - p.mean

    def covariance_times(vector):
        return jnp.matmul(factor, jnp.matmul(factor.T, vector, precision="highest"), precision="highest")

    q_offset = skew * covariance_times(cho_solve((p_factor, True), difference))
    p_offset = (skew - 1.0) * covariance_times(cho_solve((q_factor, True), difference))
    means = (q_offset, p_offset, jnp.zeros_like(difference))
    factors = (q_factor, p_factor, factor)
    first, second, centre = (MultivariateNormal(mean=m, scale_tril=f) for m, f in zip(means, factors, strict=True))
    return first, second, centre


def harmonic_factor(q_factor: Float[Array, "n n"], p_factor: Float[Array, "n n"], skew: Any) -> Float[Array, "n n"]:
    """The Cholesky factor of [ (1-s) (Lq Lq')^-1 + s (Lp Lp')^-1 ]^-1, without forming a precision.

    The precision is K' K with K the stack of sqrt(1-s) Lq^-1 and sqrt(s) Lp^-1. A triangular T with T' T = K' K comes from the
    orthogonal factorisation of K; with the order of components reversed, T is lower triangular, and so is its inverse.
    """
    identity = jnp.eye(q_factor.shape[0], dtype=q_factor.dtype)
    q_inverse, p_inverse = (solve_triangular(f, identity, lower=True) for f in (q_factor, p_factor))
    stacked = jnp.concatenate([jnp.sqrt(1.0 - skew) * q_inverse, jnp.sqrt(skew) * p_inverse])
    reversed_root = gaussian.triangular_root(stacked[:, ::-1].T).T
    return solve_triangular(reversed_root[::-1, ::-1], identity, lower=True)


def monte_carlo_jensen_shannon(
    q: Distribution, p: Distribution, key: Array, samples: int
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Estimate 1/2 KL(q || m) + 1/2 KL(p || m) with m = (q + p) / 2: the mean and its standard error, in nats, in [0, ln 2].

    q, p:    anything with `sample_and_log_prob` and `log_prob`.
    samples: how many draws of each; memory grows with it.
    Raises TypeError for a pair whose values are different things, or without a density. (Lin 1991, equation 4.1, with equal
    weights.)
    """
    if sentence := incomparable(q, p):
        raise TypeError(sentence)

    def log_ratio(own: Distribution, other: Distribution, key: Array) -> Array:
        value, log_own = own.sample_and_log_prob(key)
        return log_own - jnp.logaddexp(log_own, other.log_prob(value)) + math.log(2.0)

    q_key, p_key = jax.random.split(key)
    from_q = jax.vmap(lambda k: log_ratio(q, p, k))(jax.random.split(q_key, samples))
    from_p = jax.vmap(lambda k: log_ratio(p, q, k))(jax.random.split(p_key, samples))
    variance = jnp.var(from_q, ddof=1) + jnp.var(from_p, ddof=1)
    return 0.5 * (jnp.mean(from_q) + jnp.mean(from_p)), 0.5 * jnp.sqrt(variance / samples)
