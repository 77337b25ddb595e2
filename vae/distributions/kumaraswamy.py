"""The Kumaraswamy distribution: like a beta distribution, with a distribution function that can be inverted."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, sum_over_event
from vae.distributions.beta import at_ends, inside_unit_interval
from vae.distributions.gamma import require_positive, with_log_slope
from vae.requirements import require_same_shape
from vae.special.elementary import as_floats, clip_in_value, log1mexp
from vae.special.gamma import harmonic, lgamma_bregman, log_beta


@distribution
class Kumaraswamy:
    """Kumaraswamy with independent components over an array of any shape.

        log p(x) = sum_i [ ln a_i + ln b_i + (a_i - 1) ln x_i + (b_i - 1) ln(1 - x_i^a_i) ],    0 < x < 1

    concentration1: a > 0, any shape; weighs the end 1.
    concentration0: b > 0, the same shape; weighs the end 0.
    Raises ValueError for a parameter that is not positive. (Kumaraswamy 1980; x^a is Beta(1, b).)

    As for `Beta`, the upper end is coarse in float32 where b is below 0.5.
    """

    concentration1: Float[Array, "*event"]
    concentration0: Float[Array, "*event"]

    data_space: ClassVar[DataSpace] = "unit_interval"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        fields = {"concentration1": self.concentration1, "concentration0": self.concentration0}
        require_same_shape("Kumaraswamy", **fields)
        require_positive("Kumaraswamy", **fields)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """E x = b B(1 + 1/a, b)."""
        a, b = self.concentration1, self.concentration0
        return jnp.exp(jnp.log(b) + log_beta(1.0 + 1.0 / a, b))

    @property
    def mode(self) -> Float[Array, "*event"]:
        """((a - 1) / (a b - 1))^(1/a) where a >= 1, b >= 1 and a b > 1; otherwise 1 where a b > 1 or a > b, else 0."""
        a, b = self.concentration1, self.concentration0
        inside = (a >= 1.0) & (b >= 1.0) & (a * b > 1.0)
        base = jnp.where(inside, (a - 1.0) / jnp.where(inside, a * b - 1.0, 1.0), 1.0)
        end = jnp.asarray((a >= 1.0) | (a > b)).astype(jnp.result_type(float, a))
        return jnp.where(inside, base ** (1.0 / a), end)

    @property
    def variance(self) -> Float[Array, "*event"]:
        """E x^2 - (E x)^2 = (E x)^2 [exp(D(1) - D(1 + b)) - 1], D(y) = lnGamma(y + 2/a) - 2 lnGamma(y + 1/a) + lnGamma(y).

        The second differences D are sums of two Bregman divergences of ln Gamma, so nothing cancels where the law is narrow.
        """
        step = 1.0 / as_floats(self.concentration1)

        def second_difference(y):
            return lgamma_bregman(y + 2.0 * step, y + step, step) + lgamma_bregman(y, y + step, -step)

        narrowing = second_difference(jnp.ones_like(step)) - second_difference(1.0 + as_floats(self.concentration0))
        return jnp.square(self.mean) * jnp.expm1(narrowing)

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """x = (1 - u^(1/b))^(1/a) with u uniform, in logs; differentiable in both parameters.

        Draws that float32 would round to 0 or 1 are returned as the nearest numbers inside, with the slope of any other draw.
        """
        return self.sample_and_log_prob(key)[0]

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log density, from the logarithm of the draw: the slope in a draw near 1e-38 would overflow."""
        a, b = self.concentration1, self.concentration0
        exponential = jax.random.exponential(key, jnp.shape(a), jnp.result_type(float, a))
        limits = jnp.finfo(exponential.dtype)
        log_power = log1mexp(jnp.maximum(exponential / b, limits.tiny))
        log_value = clip_in_value(log_power / a, jnp.log(limits.tiny), -limits.epsneg)
        value = with_log_slope(inside_unit_interval(jnp.exp(log_value)), log_value)
        return value, jnp.sum(self._log_density(log_value))

    def element_log_prob(self, value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        """Log density of each component in nats; at 0 and 1 its limits, -inf beyond."""
        inside = (value > 0.0) & (value < 1.0)
        density = self._log_density(jnp.log(jnp.where(inside, value, 0.5)))
        a, b = self.concentration1, self.concentration0
        level = jnp.log(a) + jnp.log(b)
        return jnp.where(inside, density, at_ends(value, a - 1.0, level, b - 1.0, level))

    def _log_density(self, log_value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        """Log density of each component at e^log_value, with respect to the value."""
        a, b = self.concentration1, self.concentration0
        return jnp.log(a) + jnp.log(b) + (a - 1.0) * log_value + (b - 1.0) * log1mexp(-a * log_value)

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log density in nats, summed over the event."""
        return sum_over_event(self, value)

    def entropy(self) -> Float[Array, ""]:
        """H = sum_i [ 1 - 1/b + (1 - 1/a) (psi(b + 1) + gamma) - ln(a b) ], in nats; gamma is Euler's constant."""
        a, b = self.concentration1, self.concentration0
        level = jnp.log(a) + jnp.log(b)
        return jnp.sum(1.0 - 1.0 / b + (1.0 - 1.0 / a) * harmonic(as_floats(b)) - level)
