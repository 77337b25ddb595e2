"""The Gaussian whose covariance is a low-rank matrix plus a diagonal one."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, require_value, shape_of
from vae.special.elementary import HALF_LOG_TWO_PI


@distribution
class LowRankNormal:
    """Gaussian N(mean, W W' + D^2) over a vector of n components, with D = diag(exp(log_diagonal_std)).

        log p(z) = -1/2 |z - mean|^2_P - 1/2 ln det(W W' + D^2) - n/2 ln(2 pi),    P = (W W' + D^2)^-1

    mean:             location, (n,).
    factor:           W, (n, k); k may be 0, which leaves a diagonal Gaussian.
    log_diagonal_std: ln of the diagonal of D, (n,).

    Cost and memory are linear in n: O(n k^2). With V = D^-1 W everything goes through the thin factorisation
    [V; I] = [Q1; Q2] R, which is Woodbury's identity (I + V V')^-1 = I - Q1 Q1' and the matrix determinant lemma
    det(I + V V') = det(I + V' V) = det(R)^2 without ever forming V' V, whose condition number is the square. In float32 it
    keeps its digits while |V| is below about 1e4.
    Raises ValueError where the sizes disagree.
    """

    mean: Float[Array, "n"]
    factor: Float[Array, "n k"]
    log_diagonal_std: Float[Array, "n"]

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        mean, factor, log_std = shape_of(self.mean), shape_of(self.factor), shape_of(self.log_diagonal_std)
        if len(mean) != 1 or log_std != mean or len(factor) != 2 or factor[:1] != mean:
            raise ValueError(
                f"LowRankNormal got mean {mean}, factor {factor} and log_diagonal_std {log_std}, wanted (n,), (n, k) and (n,): "
                "pass one example and add batch axes with jax.vmap."
            )

    @property
    def mode(self) -> Float[Array, "n"]:
        """The mean."""
        return self.mean

    @property
    def covariance(self) -> Float[Array, "n n"]:
        """W W' + D^2, the one thing here that is quadratic in n."""
        low_rank = jnp.matmul(self.factor, self.factor.T, precision="highest")
        return low_rank + jnp.diag(jnp.exp(2.0 * self.log_diagonal_std))

    @property
    def variance(self) -> Float[Array, "n"]:
        """The diagonal of the covariance."""
        return jnp.sum(jnp.square(self.factor), axis=1) + jnp.exp(2.0 * self.log_diagonal_std)

    @property
    def half_log_det(self) -> Float[Array, ""]:
        """1/2 ln det(W W' + D^2) = sum_i ln D_ii + ln |det R|."""
        return jnp.sum(self.log_diagonal_std) + self.factorised()[2]

    def sample(self, key: Array) -> Float[Array, "n"]:
        """z = mean + W eps + D eta with eps, eta standard normal; differentiable in every parameter."""
        factor_key, diagonal_key = jax.random.split(key)
        dtype = jnp.result_type(float, self.mean)
        common = jax.random.normal(factor_key, self.factor.shape[1:], dtype)
        own = jax.random.normal(diagonal_key, self.mean.shape, dtype)
        return self.mean + jnp.matmul(self.factor, common, precision="highest") + jnp.exp(self.log_diagonal_std) * own

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "n"], Float[Array, ""]]:
        """The draw and its log density."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Float[Array, "n"]) -> Float[Array, ""]:
        """Log density in nats."""
        require_value(self, value, shape_of(self.mean))
        top, bottom, log_det = self.factorised()
        standardised = (value - self.mean) * jnp.exp(-self.log_diagonal_std)
        distance = whitened_square(top, bottom, standardised)
        return -0.5 * distance - jnp.sum(self.log_diagonal_std) - log_det - self.mean.size * HALF_LOG_TWO_PI

    def entropy(self) -> Float[Array, ""]:
        """H = 1/2 ln det(W W' + D^2) + n/2 ln(2 pi e), in nats."""
        return self.half_log_det + self.mean.size * (HALF_LOG_TWO_PI + 0.5)

    def factorised(self) -> tuple[Float[Array, "n k"], Float[Array, "k k"], Float[Array, ""]]:
        """Q1, Q2 and ln |det R| of the thin factorisation [D^-1 W; I] = [Q1; Q2] R."""
        scaled = in_units(self.factor, self.log_diagonal_std)
        scaled = scaled.astype(jnp.promote_types(scaled.dtype, jnp.float32))  # no factorisation takes half precision
        stacked = jnp.concatenate([scaled, jnp.eye(scaled.shape[1], dtype=scaled.dtype)])
        orthonormal, triangular = jnp.linalg.qr(stacked)
        log_det = jnp.sum(jnp.log(jnp.abs(jnp.diagonal(triangular))))
        return orthonormal[: self.mean.size], orthonormal[self.mean.size :], log_det


@jax.custom_jvp
def in_units(columns: Float[Array, "n m"], log_unit: Float[Array, "n"]) -> Float[Array, "n m"]:
    """Row i divided by e^(log_unit_i). The derivative in log_unit is minus the value: autodiff forms cotangent times `columns`
    first, which overflows where both are large though their quotient by the unit is not."""
    return columns * jnp.exp(-log_unit)[:, None]


@in_units.defjvp
def _in_units_jvp(primals, tangents):
    columns, log_unit = primals
    value = in_units(columns, log_unit)
    return value, tangents[0] * jnp.exp(-log_unit)[:, None] - value * tangents[1][:, None]


def whitened_square(top: Float[Array, "n k"], bottom: Float[Array, "k k"], columns: Float[Array, "n *m"]) -> Float[Array, ""]:
    """tr(X' (I + V V')^-1 X) = |X - Q1 Q1' X|^2 + |Q2 Q1' X|^2, a sum of squares, from the factorisation [V; I] = [Q1; Q2] R.

    It is the squared residual of [X; 0] after projection on the columns of [V; I], so nothing large is subtracted from
    anything large.
    """
    weights = jnp.matmul(top.T, columns, precision="highest")
    residual = columns - jnp.matmul(top, weights, precision="highest")
    shrunk = jnp.matmul(bottom, weights, precision="highest")
    return jnp.sum(jnp.square(residual)) + jnp.sum(jnp.square(shrunk))
