"""KL rows between Gaussians. Each is KL(q || p) in nats, unsummed where it factorises.

Three formulas serve the nine pairs: componentwise for two diagonal covariances, by triangular factors as soon as one
covariance is full, and by low-rank factors for the rest, which stays linear in the dimension. A low-rank p of few dimensions
goes by triangular factors too, which take any diagonal, however thin.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from vae.distributions.low_rank_normal import LowRankNormal, in_units, whitened_square
from vae.distributions.multivariate_normal import MultivariateNormal
from vae.distributions.normal import Normal
from vae.special.elementary import expm1_minus

Gaussian = Normal | MultivariateNormal | LowRankNormal
DENSE = 64  # dimensions up to which a factor of the whole covariance is cheap


def normal_normal(q: Normal, p: Normal) -> Array:
    """Per component, with r = log_std_q - log_std_p and d the difference of means in units of p's std:

        1/2 [ e^(2 r) - 1 - 2 r + d^2 ]

    Neither term is ever negative. The gradient in mean is d / std_p, in log_std_q expm1(2 r); with v = 2 log_std and
    p = N(0, 1) that is mean and 1/2 expm1(v) per unit of v. (Kingma & Welling 2014, appendix B.)
    Raises ValueError where the shapes differ.
    """
    require_same_event(q, p)
    shift = (q.mean - p.mean) * jnp.exp(-p.log_std)
    return 0.5 * (expm1_minus(2.0 * (q.log_std - p.log_std)) + jnp.square(shift))


def triangular(q: Gaussian, p: Gaussian) -> Float[Array, ""]:
    """Any pair of which one covariance is full, from Cholesky factors Lq, Lp with M = Lp^-1 Lq and r_i = ln Lq_ii - ln Lp_ii:

        1/2 [ sum_i (e^(2 r_i) - 1 - 2 r_i) + sum_{i > j} M_ij^2 + |Lp^-1 (mean_q - mean_p)|^2 ]

    This is 1/2 [ |M|^2 + |Lp^-1 d|^2 - n ] + sum ln diag Lp - sum ln diag Lq, ordered so that every term is >= 0: M is lower
    triangular with diagonal e^(r_i). (Rasmussen & Williams 2006, equation A.23.)
    """
    relative, shift, log_ratio = relative_factor(q, p)
    off_diagonal = jnp.tril(relative, -1)
    return 0.5 * (jnp.sum(expm1_minus(2.0 * log_ratio)) + jnp.sum(jnp.square(off_diagonal)) + jnp.sum(jnp.square(shift)))


def low_rank(q: Normal | LowRankNormal, p: Normal | LowRankNormal) -> Float[Array, ""]:
    """Pairs of low-rank plus diagonal covariances in O(n k^2), with r_i = ln Dq_ii - ln Dp_ii and V = Dp^-1 Wp, U = Dp^-1 Wq:

        1/2 [ sum_i (e^(2 r_i) - 1 - 2 r_i - e^(2 r_i) h_i) + tr(U' (I + V V')^-1 U) + d' (I + V V')^-1 d ]
            + 1/2 ln det(I + Vp' Vp) - 1/2 ln det(I + Vq' Vq)

    where d is the difference of means in units of Dp, h_i = 1 - [(I + V V')^-1]_ii the leverage of component i, Vq = Dq^-1 Wq
    and Vp = V. Rounding may leave a tiny negative number near equality: it is returned as 0, with its gradient; and where |V|
    exceeds 1e4, e^(2 r_i) (1 - h_i) loses its digits. A low-rank p of up to 64 dimensions is therefore left to `triangular`.
    (Rasmussen & Williams 2006, equation A.23, through Woodbury's identity A.9 and the determinant lemma A.10.)
    """
    require_same_event(q, p)
    return triangular(q, p) if dense(p) else by_woodbury(as_low_rank(q), as_low_rank(p))


def dense(p: Gaussian) -> bool:
    """Whether p goes by triangular factors although its covariance is not full."""
    return isinstance(p, LowRankNormal) and p.mean.size <= DENSE


def by_woodbury(q: LowRankNormal, p: LowRankNormal) -> Float[Array, ""]:
    """The formula of `low_rank`."""
    top, bottom, p_log_det = p.factorised()
    log_ratio = q.log_diagonal_std - p.log_diagonal_std
    per_component = expm1_minus(2.0 * log_ratio) - jnp.exp(2.0 * log_ratio) * jnp.sum(jnp.square(top), axis=1)
    square = whitened_square(top, bottom, relative_columns(q, p))
    return not_negative(0.5 * (jnp.sum(per_component) + square) + p_log_det - q.factorised()[2])


def relative_columns(q: LowRankNormal, p: LowRankNormal) -> Float[Array, "n columns"]:
    """The columns of q's factor and the difference of means, in units of the diagonal std of p."""
    columns = jnp.concatenate([q.factor, (q.mean - p.mean)[:, None]], axis=1)
    return in_units(columns, p.log_diagonal_std)


def relative_factor(q: Gaussian, p: Gaussian) -> tuple[Float[Array, "n n"], Float[Array, "n"], Float[Array, "n"]]:
    """Lp^-1 Lq, Lp^-1 (mean_q - mean_p) and ln diag Lq - ln diag Lp: all that a pair of Gaussians is, up to an affine map.

    Scales known by their logarithms are subtracted before they are exponentiated, or gradients would pass through L / scale
    and overflow long before the divergence does. Where the scales are close, Lp^-1 Lq is I + Lp^-1 (Lq - Lp), and the logarithm
    of its diagonal follows from the second term: what the divergence of near neighbours is made of keeps its digits.
    """
    require_same_event(q, p)
    (q_log, q_factor), (p_log, p_factor) = row_scaled_factor(q), row_scaled_factor(p)

    def solve(columns):
        return columns if isinstance(p, Normal) else solve_triangular(p_factor, columns, lower=True)

    scaled = jnp.exp(q_log - p_log)[:, None] * q_factor
    alike = isinstance(q, MultivariateNormal) == isinstance(p, MultivariateNormal)  # both or neither with scales in logs
    by_scale = jnp.expm1(q_log - p_log)[:, None] * q_factor + (q_factor - p_factor)
    difference = by_scale if alike else scaled - p_factor
    log_ratio = q_log - p_log + jnp.log(jnp.diagonal(q_factor)) - jnp.log(jnp.diagonal(p_factor))
    close = jnp.abs(log_ratio) < 0.5
    near = jnp.all(close)
    relative = solve(jnp.where(near, difference, scaled)) + jnp.where(near, jnp.eye(q.mean.size, dtype=scaled.dtype), 0.0)
    shift = solve(jnp.exp(-p_log) * (q.mean - p.mean))
    excess = jnp.diagonal(difference) / jnp.diagonal(p_factor)
    return relative, shift, jnp.where(close, jnp.log1p(jnp.where(close, excess, 0.0)), log_ratio)


def row_scaled_factor(gaussian: Gaussian) -> tuple[Float[Array, "n"], Float[Array, "n n"]]:
    """(l, F) with the Cholesky factor of the covariance L = diag(e^l) F, and l whatever scales are known by their logarithms.

    The diagonal of F is positive. O(n^2 (n + k)) for a low-rank covariance.
    """
    if isinstance(gaussian, MultivariateNormal):
        return jnp.zeros_like(gaussian.mean), jnp.tril(gaussian.scale_tril)
    identity = jnp.eye(gaussian.mean.size, dtype=jnp.result_type(float, gaussian.mean))
    if isinstance(gaussian, Normal):
        return gaussian.log_std, identity
    scaled = in_units(gaussian.factor, gaussian.log_diagonal_std)
    return gaussian.log_diagonal_std, triangular_root(jnp.concatenate([identity, scaled], axis=1))


def scale_tril(gaussian: Gaussian) -> Float[Array, "n n"]:
    """The Cholesky factor of the covariance, with a positive diagonal."""
    log_scale, factor = row_scaled_factor(gaussian)
    return jnp.exp(log_scale)[:, None] * factor


def as_low_rank(gaussian: Normal | LowRankNormal) -> LowRankNormal:
    """A diagonal Gaussian over a vector is one of rank 0."""
    if isinstance(gaussian, LowRankNormal):
        return gaussian
    return LowRankNormal(
        mean=gaussian.mean,
        factor=jnp.zeros((*gaussian.mean.shape, 0), jnp.result_type(float, gaussian.mean)),
        log_diagonal_std=gaussian.log_std,
    )


def triangular_root(root: Float[Array, "n m"]) -> Float[Array, "n n"]:
    """The lower triangular L with a positive diagonal and L L' = A A', for A of full row rank.

    From the orthogonal factorisation of A' rather than the Cholesky factor of A A', whose condition number is the square.
    """
    root = root.astype(jnp.promote_types(root.dtype, jnp.float32))  # no factorisation takes half precision
    upper = jnp.linalg.qr(root.T)[1]
    sign = jnp.where(jnp.diagonal(upper) < 0.0, -1.0, 1.0)
    return upper.T * sign[None, :]


def require_same_event(q: Any, p: Any) -> None:
    """Refuse two Gaussians over events of different shape: broadcasting would count components twice."""
    if jnp.shape(q.mean) != jnp.shape(p.mean):
        names = f"{type(q).__name__} over {jnp.shape(q.mean)} and {type(p).__name__} over {jnp.shape(p.mean)}"
        raise ValueError(f"a divergence got {names}, wanted equal shapes: flatten or broadcast the parameters of one first.")


def require_gaussians(divergence: str, q: Any, p: Any) -> tuple[Gaussian, Gaussian]:
    """q and p as they are; refuses what is not a Gaussian."""
    if not (isinstance(q, Gaussian) and isinstance(p, Gaussian)):
        names = f"{type(q).__name__} and {type(p).__name__}"
        raise TypeError(f"{divergence} got {names}, wanted two of Normal, MultivariateNormal and LowRankNormal.")
    return q, p


def not_negative(x: Array) -> Array:
    """max(x, 0) with the gradient of x: for what is negative only by rounding."""
    return jnp.where(x < 0.0, x - jax.lax.stop_gradient(x), x)
