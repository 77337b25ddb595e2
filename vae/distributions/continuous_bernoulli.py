"""The exponential family on [0, 1] that normalises the Bernoulli likelihood of gray pixels."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, sum_over_event
from vae.special.elementary import log1mexp, magnitude

SERIES_BELOW = 1.0


@distribution
class ContinuousBernoulli:
    """Continuous Bernoulli with independent components over an array of any shape, values in [0, 1].

        p(x) = exp(l x) l / (e^l - 1),   1 at l = 0

    logits: l, any shape. With lambda = sigmoid(l) this is C(lambda) lambda^x (1 - lambda)^(1 - x), the normaliser C included.

    Everything is written for the variable y = x (l < 0) or 1 - x (l >= 0), an exponential of rate a = |l| truncated to [0, 1],
    so that nothing of the size of l is ever subtracted; near l = 0 it is a Taylor series in l.
    (Loaiza-Ganem & Cunningham 2019, equations 3 to 8.)
    """

    logits: Float[Array, "*event"]

    data_space: ClassVar[DataSpace] = "unit_interval"
    reparameterised: ClassVar[bool] = True

    @property
    def mean(self) -> Float[Array, "*event"]:
        """1 / (1 - e^-l) - 1 / l, which is 1/2 at l = 0 and not sigmoid(l)."""
        folded = _folded_mean(magnitude(self.logits))
        return jnp.where(self.logits >= 0, 1.0 - folded, folded)

    @property
    def mode(self) -> Float[Array, "*event"]:
        """1 where the logit is positive, else 0."""
        return jnp.greater(self.logits, 0).astype(jnp.result_type(float, self.logits))

    @property
    def variance(self) -> Float[Array, "*event"]:
        """1 / a^2 - e^-a / (1 - e^-a)^2, which is 1/12 at a = 0."""
        rate, square = magnitude(self.logits), jnp.square(self.logits)
        series = 1.0 / 12.0 + square * (-1.0 / 240.0 + square * (1.0 / 6048.0 - square * (1.0 / 172800.0)))
        far = jnp.where(rate < SERIES_BELOW, SERIES_BELOW, rate)
        direct = 1.0 / jnp.square(far) - jnp.exp(-far) / jnp.square(jnp.expm1(-far))
        return jnp.where(rate < SERIES_BELOW, series, direct)

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """The inverse distribution function of uniform noise u, ln(1 + u (e^l - 1)) / l: differentiable in the logits."""
        noise = jax.random.uniform(key, jnp.shape(self.logits), jnp.result_type(float, self.logits))
        rate = magnitude(self.logits)
        near = rate < 0.05
        series = noise - rate * noise * (1.0 - noise) * (0.5 - rate * (1.0 - 2.0 * noise) / 6.0)
        far = jnp.where(near, 1.0, rate)
        folded = jnp.where(near, series, -jnp.log1p(noise * jnp.expm1(-far)) / far)
        return jnp.where(self.logits >= 0, 1.0 - folded, folded)

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log density."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log density in nats, summed over the event."""
        return sum_over_event(self, value)

    def element_log_prob(self, value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        """Log density of each component in nats."""
        folded = jnp.where(self.logits >= 0, 1.0 - value, value)
        rate = magnitude(self.logits)
        return -rate * folded - _log_normaliser(rate)

    def entropy(self) -> Float[Array, ""]:
        """H = sum_i [ a_i E[y_i] + ln((1 - e^-a_i) / a_i) ], in nats."""
        rate = magnitude(self.logits)
        return jnp.sum(rate * _folded_mean(rate) + _log_normaliser(rate))


def _log_normaliser(rate: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """ln of the integral of e^(-a y) over [0, 1]: ln((1 - e^-a) / a) = -a/2 + a^2/24 - a^4/2880 + a^6/181440 - ..."""
    square = rate * rate
    even = square * (1 / 24 + square * (-1 / 2880 + square * (1 / 181440 - square / 9676800)))
    far = jnp.where(rate < SERIES_BELOW, SERIES_BELOW, rate)
    return jnp.where(rate < SERIES_BELOW, -0.5 * rate + even, log1mexp(far) - jnp.log(far))


def _folded_mean(rate: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """E[y] = 1/a - 1/(e^a - 1) = 1/2 - a/12 + a^3/720 - a^5/30240 + ..., minus the derivative of the log normaliser."""
    square = rate * rate
    series = 0.5 - rate * (1 / 12 + square * (-1 / 720 + square * (1 / 30240 - square / 1209600)))
    far = jnp.where(rate < SERIES_BELOW, SERIES_BELOW, rate)
    return jnp.where(rate < SERIES_BELOW, series, 1.0 / far + jnp.exp(-far) / jnp.expm1(-far))
