"""Renyi divergences between Gaussians, in nats."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import Distribution
from vae.distributions.normal import Normal
from vae.divergences import gaussian
from vae.divergences.gaussian import Gaussian
from vae.requirements import concrete, require


def renyi_divergence(q: Distribution, p: Distribution, alpha: Any) -> Float[Array, ""]:
    """Renyi divergence of order alpha, in nats, shape ():

        D(q || p) = 1 / (alpha - 1) ln int q(z)^alpha p(z)^(1 - alpha) dz
                  = alpha/2 d' S^-1 d - 1 / (2 (alpha - 1)) ln( det S / (det Sq^(1-alpha) det Sp^alpha) ),
        S = alpha Sp + (1 - alpha) Sq,   d = mean_q - mean_p

    q, p:  Gaussians of any covariance over the same event.
    alpha: order > 0, may be traced. At 1 it is KL(q || p); it grows with alpha; at 1/2 it is twice the Bhattacharyya distance.
           Beyond 1 it is infinite where S is not positive definite, that is where q has too heavy tails for p; the gradient
           there is 0.
    Raises ValueError for alpha <= 0, TypeError for other families. (Gil, Alajaji & Linder 2013, table 2.)
    """
    return jnp.sum(renyi_per_factor(q, p, alpha))


def renyi_per_factor(q: Distribution, p: Distribution, alpha: Any) -> Array:
    """`renyi_divergence` with one entry per component where both covariances are diagonal; a scalar otherwise."""
    if concrete(alpha):
        require(alpha > 0, f"renyi_divergence got alpha = {alpha}, wanted alpha > 0: 1 is the KL divergence.")
    q, p = gaussian.require_gaussians("renyi_divergence", q, p)
    if isinstance(q, Normal) and isinstance(p, Normal):
        return _diagonal(q, p, jnp.asarray(alpha))
    return _full(q, p, jnp.asarray(alpha))


def _diagonal(q: Normal, p: Normal, alpha: Array) -> Array:
    """In units of p's std, with v the variance of q, r = ln v / 2 and b = 1 - alpha, so that s = 1 + b (v - 1):

    alpha d^2 / (2 s) + 1/2 [ ln(1 + b (v - 1)) / b - 2 r ]
    """
    gaussian.require_same_event(q, p)
    log_ratio = q.log_std - p.log_std
    shift = (q.mean - p.mean) * jnp.exp(-p.log_std)
    mixed = alpha + (1.0 - alpha) * jnp.exp(2.0 * log_ratio)
    finite = mixed > 0.0
    log_ratio, shift, mixed = (jnp.where(finite, x, safe) for x, safe in ((log_ratio, 0.0), (shift, 0.0), (mixed, 1.0)))
    log_det = log1p_over(jnp.expm1(2.0 * log_ratio), 1.0 - alpha) - 2.0 * log_ratio
    value = 0.5 * (alpha * jnp.square(shift) / mixed + gaussian.not_negative(log_det))
    return jnp.where(finite, value, jnp.inf)


def _full(q: Gaussian, p: Gaussian, alpha: Array) -> Float[Array, ""]:
    """The same in the coordinates that turn p into N(0, I): there q has the covariance I + B, and S is I + (1 - alpha) B."""
    relative, shift, log_ratio = gaussian.relative_factor(q, p)
    identity = jnp.eye(shift.size, dtype=relative.dtype)
    excess = jnp.matmul(relative, relative.T, precision="highest") - identity
    beta = 1.0 - alpha
    smallest = jnp.min(1.0 + beta * jnp.linalg.eigvalsh(jax.lax.stop_gradient(excess)))
    finite = smallest > 0.0
    excess, shift = jnp.where(finite, excess, 0.0), jnp.where(finite, shift, 0.0)
    distance = jnp.sum(shift * jnp.linalg.solve(identity + beta * excess, shift))
    log_det = gaussian.not_negative(log_det_over(excess, beta) - 2.0 * jnp.sum(jnp.where(finite, log_ratio, 0.0)))
    return jnp.where(finite, 0.5 * (alpha * distance + log_det), jnp.inf)


def log1p_over(x: Array, b: Array) -> Array:
    """ln(1 + b x) / b for 1 + b x > 0, continued by x at b = 0; by the series of ln(1 + t) / t for small t = b x."""
    t = b * x
    small = jnp.abs(t) < 0.1
    terms = 1.0 + t * (-1 / 2 + t * (1 / 3 + t * (-1 / 4 + t * (1 / 5 + t * (-1 / 6 + t * (1 / 7 - t / 8))))))
    safe_b = jnp.where(small, 1.0, b)
    return jnp.where(small, x * jnp.where(small, terms, 1.0), jnp.log1p(jnp.where(small, 0.0, t)) / safe_b)


@jax.custom_jvp
def log_det_over(matrix: Float[Array, "n n"], b: Array) -> Float[Array, ""]:
    """ln det(I + b B) / b for symmetric B, continued by tr B at b = 0.

    From the eigenvalues of B, so that b may be 0; the derivative in B is tr((I + b B)^-1 dB), which, unlike that of single
    eigenvalues, exists where eigenvalues coincide.
    """
    return jnp.sum(log1p_over(jnp.linalg.eigvalsh(matrix), b))


@log_det_over.defjvp
def _log_det_over_jvp(primals, tangents):
    (matrix, b), (d_matrix, d_b) = primals, tangents
    eigenvalues = jnp.linalg.eigvalsh(matrix)
    value, from_b = jax.jvp(lambda b: jnp.sum(log1p_over(eigenvalues, b)), (b,), (d_b,))
    inverse = jnp.linalg.inv(jnp.eye(matrix.shape[0], dtype=matrix.dtype) + b * matrix)
    return value, from_b + jnp.sum(inverse * d_matrix)
