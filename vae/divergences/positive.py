"""KL rows between Laplace, gamma and beta distributions. Each is KL(q || p) in nats, one entry per component.

Written as sums of terms that are never negative and vanish at equality, so that float32 keeps the digits of a small divergence
between two large concentrations; `vae.special.gamma` has the terms.
"""

import jax.numpy as jnp
from jaxtyping import Array

from vae.distributions.beta import Beta
from vae.distributions.gamma import Gamma
from vae.distributions.laplace import Laplace
from vae.requirements import require_same_shape
from vae.special.elementary import as_floats, expm1_minus
from vae.special.gamma import (
    beta_remainder_bregman,
    cross_difference,
    entropy_bregman,
    log_bregman,
    remainder_bregman,
)


def laplace_laplace(q: Laplace, p: Laplace) -> Array:
    """With r = log_scale_q - log_scale_p and t = |mean_q - mean_p| / scale_q:

        KL = (e^r - 1 - r) + e^r (e^(-t) - 1 + t)

    which is ln(b_p / b_q) + |d| / b_p + (b_q / b_p) exp(-|d| / b_q) - 1 (Meyer 2021, "An alternative probabilistic
    interpretation of the Huber loss", appendix A), regrouped.
    """
    require_same_shape("KL", q=q.mean, p=p.mean)
    log_ratio = q.log_scale - p.log_scale
    shift = jnp.abs(q.mean - p.mean) * jnp.exp(-q.log_scale)
    return expm1_minus(log_ratio) + jnp.exp(log_ratio) * expm1_minus(-shift)


def gamma_gamma(q: Gamma, p: Gamma) -> Array:
    """With concentrations a, rates b, and rho = (a_q / b_q) / (a_p / b_p) the ratio of means:

        KL = (a_q - a_p) psi(a_q) - ln Gamma(a_q) + ln Gamma(a_p) + a_p ln(b_q / b_p) + a_q (b_p - b_q) / b_q
           = a_p (rho - 1 - ln rho) + 1/2 (a_p/a_q - 1 - ln(a_p/a_q)) + D_R(a_p, a_q)

    the second line by Stirling's formula, D_R the Bregman divergence of its remainder (Penny 2001, "KL-divergences of Normal,
    Gamma, Dirichlet and Wishart densities", for the first).
    """
    require_same_shape("KL", q=q.concentration, p=p.concentration)
    a_q, a_p, b_q, b_p = map(as_floats, (q.concentration, p.concentration, q.rate, p.rate))
    means = entropy_bregman(a_p, a_q * (b_p / b_q), cross_difference(a_p, a_q, b_p, b_q) / b_q)
    return means + 0.5 * log_bregman(a_p, a_q, a_p - a_q) + remainder_bregman(a_p, a_q)


def beta_beta(q: Beta, p: Beta) -> Array:
    """KL between beta distributions; psi is the digamma function, s = alpha + beta:

        KL = ln B(p) - ln B(q) + (alpha_q - alpha_p) psi(alpha_q) + (beta_q - beta_p) psi(beta_q) + (s_p - s_q) psi(s_q)

    (Penny 2001, the Dirichlet case), computed by `beta_kl`.
    """
    require_same_shape("KL", q=q.concentration1, p=p.concentration1)
    return beta_kl(*map(as_floats, (q.concentration1, q.concentration0, p.concentration1, p.concentration0)))


def beta_kl(a_q: Array, b_q: Array, a_p: Array, b_p: Array) -> Array:
    """KL(Beta(a_q, b_q) || Beta(a_p, b_p)) by Stirling's formula, with s = a + b and m = a / s:

        KL = s_p KL(Bernoulli(m_p) || Bernoulli(m_q)) + 1/2 [ h(a) + h(b) - h(s) ] + D

    h(x) = x_p/x_q - 1 - ln(x_p/x_q), D the Bregman divergence of the remainders. With a the smaller of q's two and
    c = (a_p - a_q) b_q - (b_p - b_q) a_q, h(b) - h(s) = ln terms of b_p s_q / (b_q s_p) - c (s_p - s_q) / (b_q s_q s_p).
    """
    swap = a_q > b_q
    a_q, b_q = jnp.where(swap, b_q, a_q), jnp.where(swap, a_q, b_q)
    a_p, b_p = jnp.where(swap, b_p, a_p), jnp.where(swap, a_p, b_p)
    s_q, s_p = a_q + b_q, a_p + b_p
    tilt = cross_difference(a_p, a_q, b_p, b_q) / s_q
    bernoulli = entropy_bregman(a_p, s_p * (a_q / s_q), tilt) + entropy_bregman(b_p, s_p * (b_q / s_q), -tilt)
    total = (a_p - a_q) + (b_p - b_q)
    fractions = log_bregman(b_p, s_p * (b_q / s_q), -tilt) - tilt / b_q * (total / s_p)
    remainder = beta_remainder_bregman((a_p, b_p), (a_q, b_q))
    return bernoulli + 0.5 * (log_bregman(a_p, a_q, a_p - a_q) + fractions) + remainder
