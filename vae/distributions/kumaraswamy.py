"""The Kumaraswamy distribution: like a beta distribution, with a distribution function that can be inverted."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, sum_over_event
from vae.distributions.beta import at_ends, inside_unit_interval
from vae.distributions.gamma import require_positive
from vae.requirements import require_same_shape
from vae.special.elementary import as_floats, log1mexp
from vae.special.gamma import harmonic, lgamma_bregman, log_beta


@distribution
class Kumaraswamy:
    """Kumaraswamy with independent components over an array of any shape.

        log p(x) = sum_i [ ln a_i + ln b_i + (a_i - 1) ln x_i + (b_i - 1) ln(1 - x_i^a_i) ],    0 < x < 1

    a: > 0, any shape.
    b: > 0, the same shape.
    Raises ValueError for a parameter that is not positive. (Kumaraswamy 1980; x^a is Beta(1, b).)

    As for `Beta`, the upper end is coarse in float32 where b is below 0.5.
    """

    a: Float[Array, "*event"]
    b: Float[Array, "*event"]

    data_space: ClassVar[DataSpace] = "real"

    def __post_init__(self):
        require_same_shape("Kumaraswamy", a=self.a, b=self.b)
        require_positive("Kumaraswamy", a=self.a, b=self.b)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """E x = b B(1 + 1/a, b)."""
        return jnp.exp(jnp.log(self.b) + log_beta(1.0 + 1.0 / self.a, self.b))

    @property
    def mode(self) -> Float[Array, "*event"]:
        """((a - 1) / (a b - 1))^(1/a) where a >= 1, b >= 1 and a b > 1; otherwise 1 where a b > 1 or a > b, else 0."""
        inside = (self.a >= 1.0) & (self.b >= 1.0) & (self.a * self.b > 1.0)
        base = jnp.where(inside, (self.a - 1.0) / jnp.where(inside, self.a * self.b - 1.0, 1.0), 1.0)
        end = jnp.asarray((self.a >= 1.0) | (self.a > self.b)).astype(jnp.result_type(float, self.a))
        return jnp.where(inside, base ** (1.0 / self.a), end)

    @property
    def variance(self) -> Float[Array, "*event"]:
        """E x^2 - (E x)^2 = (E x)^2 [exp(D(1) - D(1 + b)) - 1], D(y) = lnGamma(y + 2/a) - 2 lnGamma(y + 1/a) + lnGamma(y).

        The second differences D are sums of two Bregman divergences of ln Gamma, so nothing cancels where the law is narrow.
        """
        step = 1.0 / as_floats(self.a)

        def second_difference(y):
            return lgamma_bregman(y + 2.0 * step, y + step, step) + lgamma_bregman(y, y + step, -step)

        narrowing = second_difference(jnp.ones_like(step)) - second_difference(1.0 + as_floats(self.b))
        return jnp.square(self.mean) * jnp.expm1(narrowing)

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """x = (1 - u^(1/b))^(1/a) with u uniform, in logs; differentiable in both parameters.

        Draws that float32 would round to 0 or 1 are returned as the nearest numbers inside.
        """
        return self.sample_and_log_prob(key)[0]

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log density, from the logarithm of the draw: the slope in a draw near 1e-38 would overflow."""
        exponential = jax.random.exponential(key, jnp.shape(self.a), jnp.result_type(float, self.a))
        limits = jnp.finfo(exponential.dtype)
        log_power = log1mexp(jnp.maximum(exponential / self.b, limits.tiny))
        log_value = jnp.clip(log_power / self.a, jnp.log(limits.tiny), -limits.epsneg)
        return inside_unit_interval(jnp.exp(log_value)), jnp.sum(self._log_density(log_value))

    def element_log_prob(self, value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        """Log density of each component in nats; at 0 and 1 its limits, -inf beyond."""
        inside = (value > 0.0) & (value < 1.0)
        density = self._log_density(jnp.log(jnp.where(inside, value, 0.5)))
        level = jnp.log(self.a) + jnp.log(self.b)
        return jnp.where(inside, density, at_ends(value, self.a - 1.0, level, self.b - 1.0, level))

    def _log_density(self, log_value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        """Log density of each component at e^log_value, with respect to the value."""
        log_rest = log1mexp(-self.a * log_value)
        return jnp.log(self.a) + jnp.log(self.b) + (self.a - 1.0) * log_value + (self.b - 1.0) * log_rest

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log density in nats, summed over the event."""
        return sum_over_event(self, value)

    def entropy(self) -> Float[Array, ""]:
        """H = sum_i [ 1 - 1/b + (1 - 1/a) (psi(b + 1) + gamma) - ln(a b) ], in nats; gamma is Euler's constant."""
        level = jnp.log(self.a) + jnp.log(self.b)
        return jnp.sum(1.0 - 1.0 / self.b + (1.0 - 1.0 / self.a) * harmonic(as_floats(self.b)) - level)
