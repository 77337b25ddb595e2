"""The beta distribution with independent components."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, sum_over_event
from vae.distributions.gamma import limit_at_end, require_positive, standard_gamma, with_log_slope
from vae.requirements import require_same_shape
from vae.special.elementary import HALF_LOG_TWO_PI, as_floats, clip_in_value
from vae.special.gamma import entropy_bregman, stirling_error, stirling_error_slope


@distribution
class Beta:
    """Beta with independent components over an array of any shape.

        log p(x) = sum_i [ (alpha_i - 1) ln x_i + (beta_i - 1) ln(1 - x_i) - ln B(alpha_i, beta_i) ],    0 < x < 1

    concentration1: alpha > 0, any shape; weighs the end 1.
    concentration0: beta > 0, the same shape; weighs the end 0.
    Raises ValueError for a parameter that is not positive.

    float32 has no number between 1 - 6e-8 and 1: where beta is below 0.5 the upper end is coarse, and a model that lives there
    is better written with the ends exchanged, 1 - x ~ Beta(beta, alpha).
    """

    concentration1: Float[Array, "*event"]
    concentration0: Float[Array, "*event"]

    data_space: ClassVar[DataSpace] = "unit_interval"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        fields = {"concentration1": self.concentration1, "concentration0": self.concentration0}
        require_same_shape("Beta", **fields)
        require_positive("Beta", **fields)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """alpha / (alpha + beta)."""
        alpha, beta = self.concentration1, self.concentration0
        return alpha / (alpha + beta)

    @property
    def mode(self) -> Float[Array, "*event"]:
        """(alpha - 1) / (alpha + beta - 2) where both exceed 1; otherwise the end with more weight (0 where they tie)."""
        alpha, beta = self.concentration1, self.concentration0
        inside = (alpha > 1.0) & (beta > 1.0)
        total = jnp.where(inside, alpha + beta - 2.0, 1.0)
        end = jnp.greater(alpha, beta).astype(jnp.result_type(float, alpha))
        return jnp.where(inside, (alpha - 1.0) / total, end)

    @property
    def variance(self) -> Float[Array, "*event"]:
        """m (1 - m) / (s + 1) with s = alpha + beta, m = alpha / s."""
        alpha, beta = self.concentration1, self.concentration0
        total = alpha + beta
        return (alpha / total) * (beta / total) / (total + 1.0)

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """Draw x = g_a / (g_a + g_b) from two gamma draws, in logits, with implicit gradients in both parameters.

        Draws that float32 would round to 0 or 1 are returned as the nearest numbers inside, so that their density is finite;
        their slope is x (1 - x) d logit as of any other draw, so that the gradients of E ln x and E ln(1 - x) are unbiased.
        """
        alpha_key, beta_key = jax.random.split(key)
        scale_a, log_factor_a = standard_gamma(alpha_key, as_floats(self.concentration1))
        scale_b, log_factor_b = standard_gamma(beta_key, as_floats(self.concentration0))
        logit = jnp.log(scale_a / scale_b) + (log_factor_a - log_factor_b)
        limits = jnp.finfo(logit.dtype)
        logit = clip_in_value(logit, jnp.log(limits.tiny), -jnp.log(limits.epsneg))
        return with_log_slope(inside_unit_interval(jax.nn.sigmoid(logit)), jax.nn.log_sigmoid(logit))

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log density."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def element_log_prob(self, value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        """Log density of each component in nats, about the mean so that large concentrations keep their digits:

            -s KL(Bernoulli(m) || Bernoulli(x)) + 1/2 ln(alpha beta / (2 pi s)) - R(alpha) - R(beta) + R(s) - ln x - ln(1 - x)

        with s = alpha + beta, m = alpha / s and R the remainder of Stirling's formula. At the ends its limits; -inf beyond.
        """
        inside = (value > 0.0) & (value < 1.0)
        inner = jnp.where(inside, value, 0.5)
        a, b, rest = self.concentration1, self.concentration0, 1.0 - inner
        total = a + b
        tilt = (a * rest - b * inner) / total
        misfit = total * (entropy_bregman(a / total, inner, tilt) + entropy_bregman(b / total, rest, -tilt))
        remainders = stirling_error(a) + stirling_error(b) - stirling_error(total)
        spread = 0.5 * (jnp.log(a) + jnp.log(b) - jnp.log(total)) - HALF_LOG_TWO_PI - remainders
        density = spread - misfit - jnp.log(inner) - jnp.log(rest)
        return jnp.where(inside, density, at_ends(value, a - 1.0, jnp.log(b), b - 1.0, jnp.log(a)))

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log density in nats, summed over the event."""
        return sum_over_event(self, value)

    def entropy(self) -> Float[Array, ""]:
        """H = sum_i [ ln B(a, b) - (a - 1) psi(a) - (b - 1) psi(b) + (s - 2) psi(s) ], in nats, by Stirling's formula."""
        a, b = as_floats(self.concentration1), as_floats(self.concentration0)
        total = a + b

        def part(x, shift):
            return stirling_error(x) - 0.5 / x - (x - shift) * stirling_error_slope(x)

        leading = 0.5 * (jnp.log(a) + jnp.log(b)) - 1.5 * jnp.log(total) + HALF_LOG_TWO_PI + 0.5
        whole = stirling_error(total) - 1.0 / total - (total - 2.0) * stirling_error_slope(total)
        return jnp.sum(leading + part(a, 1.0) + part(b, 1.0) - whole)


def inside_unit_interval(value: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """`value` moved to the nearest normal number strictly between 0 and 1."""
    limits = jnp.finfo(value.dtype)
    return jnp.clip(value, limits.tiny, 1.0 - limits.epsneg)


def at_ends(value: Array, lower_exponent: Array, lower_finite: Array, upper_exponent: Array, upper_finite: Array) -> Array:
    """Log density at 0 and at 1 by `limit_at_end`; -inf elsewhere."""
    upper = jnp.where(value == 1.0, limit_at_end(upper_exponent, upper_finite), -jnp.inf)
    return jnp.where(value == 0.0, limit_at_end(lower_exponent, lower_finite), upper)
