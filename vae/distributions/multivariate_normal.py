"""The Gaussian with a full covariance matrix."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, require_value, shape_of
from vae.requirements import concrete, require
from vae.special.elementary import HALF_LOG_TWO_PI


@distribution
class MultivariateNormal:
    """Gaussian N(mean, L L') over a vector of n components.

        log p(z) = -1/2 |L^-1 (z - mean)|^2 - sum_i ln L_ii - n/2 ln(2 pi)

    mean:       location, (n,).
    scale_tril: L, the lower triangular Cholesky factor of the covariance with a positive diagonal, (n, n).

    Only the lower triangle is read, so that no gradient leaves it. A stack of them (the components of a mixture) is made by
    `jax.vmap(MultivariateNormal)(means, factors)`.
    Raises ValueError where the sizes disagree, L has an entry above its diagonal or one that is not finite, or a diagonal entry
    is not positive.
    """

    mean: Float[Array, "n"]
    scale_tril: Float[Array, "n n"]

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        mean, scale_tril = shape_of(self.mean), shape_of(self.scale_tril)
        if len(mean) != 1 or scale_tril != (*mean, *mean):
            raise ValueError(
                f"MultivariateNormal got mean {mean} and scale_tril {scale_tril}, wanted (n,) and (n, n): "
                "pass one example and add batch axes with jax.vmap."
            )
        if concrete(self.scale_tril):
            factor = np.asarray(self.scale_tril)
            require(
                np.all(np.triu(factor, 1) == 0.0) and np.all(np.diagonal(factor) > 0.0) and np.all(np.isfinite(factor)),
                "MultivariateNormal got a scale_tril that is not lower triangular with a positive diagonal, or not finite, "
                "wanted a Cholesky factor: pass jnp.linalg.cholesky(covariance).",
            )

    @property
    def mode(self) -> Float[Array, "n"]:
        """The mean."""
        return self.mean

    @property
    def covariance(self) -> Float[Array, "n n"]:
        """L L'."""
        factor = jnp.tril(self.scale_tril)
        return jnp.matmul(factor, factor.T, precision="highest")

    @property
    def variance(self) -> Float[Array, "n"]:
        """The diagonal of the covariance."""
        return jnp.sum(jnp.square(jnp.tril(self.scale_tril)), axis=1)

    @property
    def half_log_det(self) -> Float[Array, ""]:
        """1/2 ln det covariance = sum_i ln L_ii."""
        return jnp.sum(jnp.log(jnp.diagonal(self.scale_tril)))

    def sample(self, key: Array) -> Float[Array, "n"]:
        """z = mean + L eps with eps ~ N(0, I); differentiable in both parameters."""
        return self.sample_and_log_prob(key)[0]

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "n"], Float[Array, ""]]:
        """The draw and its log density, taken from the noise itself: nothing is solved."""
        noise = jax.random.normal(key, jnp.shape(self.mean), jnp.result_type(float, self.mean))
        value = self.mean + jnp.matmul(jnp.tril(self.scale_tril), noise, precision="highest")
        return value, self._log_prob_of_noise(noise)

    def log_prob(self, value: Float[Array, "n"]) -> Float[Array, ""]:
        """Log density in nats."""
        require_value(self, value, shape_of(self.mean))
        return self._log_prob_of_noise(solve_triangular(self.scale_tril, value - self.mean, lower=True))

    def entropy(self) -> Float[Array, ""]:
        """H = sum_i ln L_ii + n/2 ln(2 pi e), in nats."""
        return self.half_log_det + self.mean.size * (HALF_LOG_TWO_PI + 0.5)

    def _log_prob_of_noise(self, noise: Float[Array, "n"]) -> Float[Array, ""]:
        return -0.5 * jnp.sum(jnp.square(noise)) - self.half_log_det - self.mean.size * HALF_LOG_TWO_PI
