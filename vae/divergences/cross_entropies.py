"""Cross-entropies -E_q[log p] in closed form, in nats.

Each row is written from the density of p, not from a KL row, so that KL = cross-entropy - entropy says something about both.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import Distribution
from vae.distributions.bernoulli import Bernoulli
from vae.distributions.beta import Beta
from vae.distributions.categorical import Categorical
from vae.distributions.gamma import Gamma
from vae.distributions.kumaraswamy import Kumaraswamy
from vae.distributions.laplace import LOG_TWO, Laplace
from vae.distributions.low_rank_normal import LowRankNormal, whitened_square
from vae.distributions.multivariate_normal import MultivariateNormal
from vae.distributions.normal import Normal
from vae.distributions.point_mass import PointMass
from vae.distributions.power_spherical import PowerSpherical
from vae.distributions.relaxed_categorical import StraightThroughCategorical
from vae.distributions.spike_and_slab import SpikeAndSlab
from vae.distributions.uniform_sphere import UniformCircle, UniformSphere
from vae.distributions.von_mises import VonMises
from vae.distributions.von_mises_fisher import VonMisesFisher
from vae.divergences import directional, discrete, gaussian
from vae.divergences.gaussian import Gaussian
from vae.divergences.kumaraswamy import expected_logs
from vae.divergences.table import KL_TABLE, kl_divergence
from vae.requirements import require_same_shape
from vae.special import mean_resultant_length, mean_resultant_shortfall, von_mises_fisher_information
from vae.special.elementary import HALF_LOG_TWO_PI, as_floats, sigmoid
from vae.special.gamma import harmonic, log_beta

Row = Callable[[Any, Any], Array]


def cross_entropy(q: Distribution, p: Distribution, table: Mapping[tuple[type, type], Row] | None = None) -> Float[Array, ""]:
    """H(q, p) = -E_q[log p(z)] = H(q) + KL(q || p), in nats, exact, shape ().

    q, p:  two distributions over the same event.
    table: rows to use before the library's own, keyed by (type of q, type of p).
    A pair of the KL table without a row here is the sum on the right, where q has an `entropy`.
    Raises TypeError for a pair without a closed form.
    """
    pair = (type(q), type(p))
    row = (table or {}).get(pair) or CROSS_ENTROPY_TABLE.get(pair) or (entropy_plus_kl if pair in KL_TABLE else None)
    if row is None:
        names = f"{type(q).__name__}, {type(p).__name__}"
        raise TypeError(
            f"cross_entropy({names}) has no closed form here: average -p.log_prob over draws of q, "
            f"or pass your own row as table={{({names}): function}}."
        )
    return jnp.sum(row(q, p))


def entropy_plus_kl(q: Any, p: Any) -> Float[Array, ""]:
    """H(q) + KL(q || p), for a pair without a row of its own."""
    return q.entropy() + kl_divergence(q, p)


def normal_normal(q: Normal, p: Normal) -> Array:
    """Per component: 1/2 [ e^(2 r) + d^2 ] + log_std_p + 1/2 ln(2 pi), r and d as in the KL of the same pair."""
    gaussian.require_same_event(q, p)
    shift = (q.mean - p.mean) * jnp.exp(-p.log_std)
    return 0.5 * (jnp.exp(2.0 * (q.log_std - p.log_std)) + jnp.square(shift)) + p.log_std + HALF_LOG_TWO_PI


def triangular(q: Gaussian, p: Gaussian) -> Float[Array, ""]:
    """1/2 [ |Lp^-1 Lq|^2 + |Lp^-1 (mean_q - mean_p)|^2 ] + sum ln diag Lp + n/2 ln(2 pi)."""
    relative, shift, _ = gaussian.relative_factor(q, p)
    half_log_det = jnp.sum(jnp.log(jnp.diagonal(gaussian.scale_tril(p))))
    return 0.5 * (jnp.sum(jnp.square(relative)) + jnp.sum(jnp.square(shift))) + half_log_det + shift.size * HALF_LOG_TWO_PI


def low_rank(q: Normal | LowRankNormal, p: Normal | LowRankNormal) -> Float[Array, ""]:
    """1/2 [ sum_i e^(2 r_i) (1 - h_i) + tr(U' (I + V V')^-1 U) + d' (I + V V')^-1 d ] + 1/2 ln det Sp + n/2 ln(2 pi).

    The symbols are those of the KL row `gaussian.low_rank`; O(n k^2).
    """
    gaussian.require_same_event(q, p)
    if gaussian.dense(p):
        return triangular(q, p)
    q, p = gaussian.as_low_rank(q), gaussian.as_low_rank(p)
    top, bottom, log_det = p.factorised()
    precision = 1.0 - jnp.sum(jnp.square(top), axis=1)
    variance = jnp.exp(2.0 * (q.log_diagonal_std - p.log_diagonal_std))
    square = whitened_square(top, bottom, gaussian.relative_columns(q, p))
    half_log_det = jnp.sum(p.log_diagonal_std) + log_det
    return 0.5 * (jnp.sum(variance * precision) + square) + half_log_det + p.mean.size * HALF_LOG_TWO_PI


def bernoulli_bernoulli(q: Bernoulli, p: Bernoulli) -> Array:
    """Per component: softplus(l_p) - mean_q l_p, written so that neither tail cancels."""
    return _of_gates(q.logits, p.logits)


def _of_gates(q_logits: Array, p_logits: Array) -> Array:
    require_same_shape("cross_entropy", q=q_logits, p=p_logits)
    return sigmoid(q_logits) * jax.nn.softplus(-p_logits) + sigmoid(-q_logits) * jax.nn.softplus(p_logits)


def categorical_categorical(q: Categorical | StraightThroughCategorical, p: Categorical | StraightThroughCategorical) -> Array:
    """Per component: - sum_k q_k ln p_k."""
    require_same_shape("cross_entropy", q=q.logits, p=p.logits)
    return -jnp.sum(jax.nn.softmax(q.logits) * jax.nn.log_softmax(p.logits), axis=-1)


def spike_and_slab_spike_and_slab(q: SpikeAndSlab, p: SpikeAndSlab) -> Array:
    """Per component: that of the gates, and g times that of the slabs."""
    return _of_gates(q.spike_logits, p.spike_logits) + sigmoid(q.spike_logits) * normal_normal(q.slab, p.slab)


def laplace_laplace(q: Laplace, p: Laplace) -> Array:
    """Per component: E|z - mean_p| / b_p + ln(2 b_p) with E|z - mean_p| = |d| + b_q exp(-|d| / b_q), d = mean_q - mean_p."""
    require_same_shape("cross_entropy", q=q.mean, p=p.mean)
    distance = jnp.abs(q.mean - p.mean)
    reach = distance * jnp.exp(-p.log_scale) + jnp.exp(q.log_scale - p.log_scale - distance * jnp.exp(-q.log_scale))
    return reach + p.log_scale + LOG_TWO


def gamma_gamma(q: Gamma, p: Gamma) -> Array:
    """Per component: ln Gamma(a_p) - a_p ln b_p - (a_p - 1) [psi(a_q) - ln b_q] + b_p a_q / b_q."""
    require_same_shape("cross_entropy", q=q.concentration, p=p.concentration)
    mean_log = jax.scipy.special.digamma(q.concentration) - jnp.log(q.rate)
    normaliser = jax.lax.lgamma(as_floats(p.concentration)) - p.concentration * jnp.log(p.rate)
    return normaliser - (p.concentration - 1.0) * mean_log + p.rate * q.mean


def beta_beta(q: Beta, p: Beta) -> Array:
    """Per component: ln B(p) - (alpha_p - 1) E[ln z] - (beta_p - 1) E[ln(1 - z)], E[ln z] = psi(alpha_q) - psi(s_q)."""
    require_same_shape("cross_entropy", q=q.concentration1, p=p.concentration1)
    digamma = jax.scipy.special.digamma
    alpha, beta = q.concentration1, q.concentration0
    return _of_beta(p, digamma(alpha) - digamma(alpha + beta), digamma(beta) - digamma(alpha + beta))


def kumaraswamy_beta(q: Kumaraswamy, p: Beta) -> Array:
    """As `beta_beta` with E[ln z] = -(psi(b + 1) + gamma) / a and E[ln(1 - z)] = S, integrated as in the KL row."""
    require_same_shape("cross_entropy", q=q.concentration1, p=p.concentration1)
    a, b = as_floats(q.concentration1), as_floats(q.concentration0)
    return _of_beta(p, -harmonic(b) / a, expected_logs(a, b)[0])


def _of_beta(p: Beta, mean_log: Array, mean_log_rest: Array) -> Array:
    alpha, beta = p.concentration1, p.concentration0
    return log_beta(alpha, beta) - (alpha - 1.0) * mean_log - (beta - 1.0) * mean_log_rest


def von_mises_von_mises(q: VonMises, p: VonMises) -> Array:
    """Per angle, that of directions on the circle: 1 - <direction_q, direction_p> is 2 sin^2((angle_q - angle_p) / 2)."""
    require_same_shape("cross_entropy", q=q.angle, p=p.angle)
    apart = 2.0 * jnp.square(jnp.sin(0.5 * (q.angle - p.angle)))
    return _of_von_mises_fisher(2, q.concentration, p.concentration, apart) + 2.0 * HALF_LOG_TWO_PI


def von_mises_fisher_von_mises_fisher(q: VonMisesFisher, p: VonMisesFisher) -> Array:
    """ln area + L(kappa_p) - kappa_p A(kappa_q) <direction_q, direction_p>, with ln 0F1 = L = kappa A - K.

    Only differences of 1 - A, which float32 keeps where A is near 1, are multiplied with kappa.
    """
    directional.require_same_dim(q.dim, p.dim)
    apart = 0.5 * jnp.sum(jnp.square(q.direction - p.direction))
    return UniformSphere(p.dim).entropy() + _of_von_mises_fisher(p.dim, q.concentration, p.concentration, apart)


def _of_von_mises_fisher(dim: int, q_concentration: Array, p_concentration: Array, apart: Array) -> Array:
    """-E_q[ln dP/dU], U uniform."""
    shortfall = mean_resultant_shortfall(dim, q_concentration) - mean_resultant_shortfall(dim, p_concentration)
    projection = shortfall + mean_resultant_length(dim, q_concentration) * apart
    return p_concentration * projection - von_mises_fisher_information(dim, p_concentration)


def von_mises_uniform_circle(q: VonMises, p: UniformCircle) -> Array:
    """ln(2 pi) for each angle, whatever q is."""
    directional.require_same_angles(q, p)
    return p.entropy()


def to_uniform_sphere(q: VonMisesFisher | PowerSpherical, p: UniformSphere) -> Array:
    """ln area, whatever q is."""
    directional.require_same_dim(q.dim, p.dim)
    return p.entropy()


CROSS_ENTROPY_TABLE: dict[tuple[type, type], Row] = {
    (Normal, Normal): normal_normal,
    (Normal, MultivariateNormal): triangular,
    (Normal, LowRankNormal): low_rank,
    (MultivariateNormal, Normal): triangular,
    (MultivariateNormal, MultivariateNormal): triangular,
    (MultivariateNormal, LowRankNormal): triangular,
    (LowRankNormal, Normal): low_rank,
    (LowRankNormal, MultivariateNormal): triangular,
    (LowRankNormal, LowRankNormal): low_rank,
    (Bernoulli, Bernoulli): bernoulli_bernoulli,
    (Categorical, Categorical): categorical_categorical,
    (PointMass, Categorical): discrete.point_mass_categorical,
    (StraightThroughCategorical, StraightThroughCategorical): categorical_categorical,
    (SpikeAndSlab, SpikeAndSlab): spike_and_slab_spike_and_slab,
    (Laplace, Laplace): laplace_laplace,
    (Gamma, Gamma): gamma_gamma,
    (Beta, Beta): beta_beta,
    (Kumaraswamy, Beta): kumaraswamy_beta,
    (VonMises, VonMises): von_mises_von_mises,
    (VonMises, UniformCircle): von_mises_uniform_circle,
    (VonMisesFisher, VonMisesFisher): von_mises_fisher_von_mises_fisher,
    (VonMisesFisher, UniformSphere): to_uniform_sphere,
    (PowerSpherical, UniformSphere): to_uniform_sphere,
}
