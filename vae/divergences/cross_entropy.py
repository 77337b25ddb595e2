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
from vae.distributions.low_rank_normal import LowRankNormal, whitened_square
from vae.distributions.multivariate_normal import MultivariateNormal
from vae.distributions.normal import HALF_LOG_TWO_PI, Normal
from vae.divergences import gaussian
from vae.divergences.gaussian import Gaussian

Row = Callable[[Any, Any], Array]


def cross_entropy(q: Distribution, p: Distribution, table: Mapping[tuple[type, type], Row] | None = None) -> Float[Array, ""]:
    """H(q, p) = -E_q[log p(z)] = H(q) + KL(q || p), in nats, exact, shape ().

    q, p:  two distributions over the same event.
    table: rows to use before the library's own, keyed by (type of q, type of p).
    Raises TypeError for a pair without a closed form.
    """
    pair = (type(q), type(p))
    row = (table or {}).get(pair) or CROSS_ENTROPY_TABLE.get(pair)
    if row is None:
        names = f"{type(q).__name__}, {type(p).__name__}"
        raise TypeError(
            f"cross_entropy({names}) has no closed form here: average -p.log_prob over draws of q, "
            f"or pass your own row as table={{({names}): function}}."
        )
    return jnp.sum(row(q, p))


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
    q, p = gaussian.as_low_rank(q), gaussian.as_low_rank(p)
    top, bottom, log_det = p.factorised()
    precision = 1.0 - jnp.sum(jnp.square(top), axis=1)
    variance = jnp.exp(2.0 * (q.log_diagonal_std - p.log_diagonal_std))
    square = whitened_square(top, bottom, gaussian.relative_columns(q, p))
    half_log_det = jnp.sum(p.log_diagonal_std) + log_det
    return 0.5 * (jnp.sum(variance * precision) + square) + half_log_det + p.mean.size * HALF_LOG_TWO_PI


def bernoulli_bernoulli(q: Bernoulli, p: Bernoulli) -> Array:
    """Per component: softplus(l_p) - mean_q l_p, written so that neither tail cancels."""
    return jax.nn.sigmoid(q.logits) * jax.nn.softplus(-p.logits) + jax.nn.sigmoid(-q.logits) * jax.nn.softplus(p.logits)


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
}
