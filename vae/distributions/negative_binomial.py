"""Counts that vary more than a Poisson variable does."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, sum_over_event
from vae.distributions.poisson import Poisson
from vae.requirements import require_same_shape
from vae.special.elementary import HALF_LOG_TWO_PI, expm1_minus
from vae.special.gamma import stirling_error


@distribution
class NegativeBinomial:
    """Negative binomial by mean m and inverse dispersion r, with independent components over an array of any shape.

        P(x) = Gamma(x + r) / (Gamma(r) x!) (r / (r + m))^r (m / (r + m))^x,   variance m + m^2 / r

    A Poisson variable whose rate is Gamma distributed with mean m and shape r; r -> infinity is Poisson.

    log_mean:       ln m, any shape.
    log_dispersion: ln r, the same shape (theta in scVI; SciPy's nbinom with n = r, p = r / (r + m)).

    Raises ValueError for shapes that differ. (Lopez et al. 2018, online methods.)
    """

    log_mean: Float[Array, "*event"]
    log_dispersion: Float[Array, "*event"]

    data_space: ClassVar[DataSpace] = "count"
    reparameterised: ClassVar[bool] = False

    def __post_init__(self):
        require_same_shape("NegativeBinomial", log_mean=self.log_mean, log_dispersion=self.log_dispersion)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """exp(log_mean)."""
        return jnp.exp(self.log_mean)

    @property
    def variance(self) -> Float[Array, "*event"]:
        """m + m^2 / r."""
        return jnp.exp(self.log_mean) + jnp.exp(2.0 * self.log_mean - self.log_dispersion)

    @property
    def mode(self) -> Float[Array, "*event"]:
        """floor(m (r - 1) / r), 0 where r <= 1."""
        return jnp.floor(jnp.exp(self.log_mean) * jnp.maximum(-jnp.expm1(-self.log_dispersion), 0.0))

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """A Poisson draw at a Gamma distributed rate, which is formed in log space; not differentiable."""
        rate_key, count_key = jax.random.split(key)
        log_gamma = jax.random.loggamma(rate_key, jnp.exp(self.log_dispersion))
        return Poisson(log_rate=log_gamma + self.log_mean - self.log_dispersion).sample(count_key)

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log probability."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Array) -> Float[Array, ""]:
        """Log probability of counts (integers or floats) in nats, summed over the event."""
        return sum_over_event(self, value)

    def element_log_prob(self, value: Array) -> Float[Array, "*event"]:
        """Log probability of each count in nats, as Loader (2000) writes the binomial: with n = x + r and S = stirling_error,

            t_r = ln[ n / (r + m) ],   t_x = ln[ n m / (x (r + m)) ],   D(t) = e^t - 1 - t
            ln P(x) = S(n) - S(r) - S(x) - r D(t_r) - x D(t_x) - 1/2 ln(2 pi x) - 1/2 ln(n / r),   - r ln(1 + m / r) at x = 0

        The textbook form subtracts log gamma functions that are larger than the result by up to eight digits.
        """
        value = jnp.asarray(value).astype(jnp.result_type(float, self.log_mean))
        positive = jnp.where(value > 0, value, 1.0)
        dispersion = jnp.exp(self.log_dispersion)
        trials = positive + dispersion
        log_count, log_trials = jnp.log(positive), jnp.log(trials)
        shift = log_trials - jnp.logaddexp(self.log_dispersion, self.log_mean)
        deviance = dispersion * expm1_minus(shift) + positive * expm1_minus(shift + self.log_mean - log_count)
        corrections = stirling_error(trials) - stirling_error(dispersion) - stirling_error(positive)
        smooth = -HALF_LOG_TWO_PI - 0.5 * log_count - 0.5 * (log_trials - self.log_dispersion)
        none = -dispersion * jax.nn.softplus(self.log_mean - self.log_dispersion)
        return jnp.where(value > 0, corrections - deviance + smooth, none)
