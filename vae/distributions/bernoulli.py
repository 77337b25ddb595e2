"""Independent binary variables, parameterised by logits."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, sum_over_event
from vae.special.elementary import magnitude


@distribution
class Bernoulli:
    """Bernoulli with independent components over an array of any shape.

        log p(x) = sum_i [ x_i l_i - softplus(l_i) ]

    logits: l = ln(p / (1 - p)), any shape; stable from -1e4 to 1e4 and beyond.

    A value between 0 and 1 (a gray pixel) is scored as the cross-entropy it stands for; that is no likelihood, since the
    probabilities of gray images do not sum to one. `data_space` says so to whoever reports the number.
    """

    logits: Float[Array, "*event"]

    data_space: ClassVar[DataSpace] = "binary"
    reparameterised: ClassVar[bool] = False

    @property
    def mean(self) -> Float[Array, "*event"]:
        """sigmoid(logits)."""
        return jax.nn.sigmoid(self.logits)

    @property
    def mode(self) -> Float[Array, "*event"]:
        """1 where the logit is positive."""
        return jnp.greater(self.logits, 0).astype(jnp.result_type(float, self.logits))

    @property
    def variance(self) -> Float[Array, "*event"]:
        """p (1 - p), from both tails so that it does not vanish early."""
        return jax.nn.sigmoid(self.logits) * jax.nn.sigmoid(-self.logits)

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """Draw 0 or 1, by comparing logistic noise with the logit; not differentiable."""
        noise = jax.random.logistic(key, jnp.shape(self.logits), jnp.result_type(float, self.logits))
        return (noise < self.logits).astype(jnp.result_type(float, self.logits))

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log probability."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log probability in nats, summed over the event; a cross-entropy where values are not 0 or 1."""
        return sum_over_event(self, value)

    def element_log_prob(self, value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        """Log probability of each component in nats."""
        return bernoulli_log_prob(self.logits, value)

    def entropy(self) -> Float[Array, ""]:
        """H = sum_i [ softplus(l_i) - l_i sigmoid(l_i) ], in nats, written in |l| since it is even in l."""
        even = magnitude(self.logits)
        return jnp.sum(jnp.log1p(jnp.exp(-even)) + even * jax.nn.sigmoid(-even))


@jax.custom_jvp
def bernoulli_log_prob(logits: Float[Array, "*event"], value: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """x l - softplus(l) elementwise, with softplus(l) = max(l, 0) + ln(1 + exp(-|l|)).

    The derivative x - sigmoid(l) reuses the one exponential of the value: autodiff of `softplus` computes a second one,
    and the likelihood of an image is a good part of a training step.
    """
    return _from_tail(logits, value, jnp.exp(-magnitude(logits)))


@bernoulli_log_prob.defjvp
def _bernoulli_log_prob_jvp(primals, tangents):
    logits, value = primals
    d_logits, d_value = tangents
    tail = jnp.exp(-magnitude(logits))
    probability = jnp.where(logits >= 0, 1.0, tail) / (1.0 + tail)
    return _from_tail(logits, value, tail), (value - probability) * d_logits + logits * d_value


def _from_tail(logits: Array, value: Array, tail: Array) -> Array:
    """The log probability, with tail = exp(-|l|).

    The selection comes last on purpose: XLA's CPU compiler does not fuse it with the sum over the pixels. Otherwise it makes
    one kernel of the decoder's matrix product, this and the sum, which is slower than the product in a kernel of its own.
    """
    log = _log1p_of_share(tail)
    return jnp.where(logits >= 0, (value - 1.0) * logits - log, value * logits - log)


def _log1p_of_share(t: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """ln(1 + t) for t in [0, 1], as 2 artanh(s) = 2 (s + s^3 / 3 + s^5 / 5 + ...) with s = t / (2 + t) <= 1/3.

    Seven terms leave out less than 2e-8 of it, so that it is as exact in float32 as `jnp.log1p`, which covers every t and
    therefore computes two formulas for every pixel.
    """
    s = t / (2.0 + t)
    square = s * s
    series: Array | float = 1.0 / 13.0
    for odd in (11.0, 9.0, 7.0, 5.0, 3.0, 1.0):
        series = 1.0 / odd + square * series
    return 2.0 * s * series
