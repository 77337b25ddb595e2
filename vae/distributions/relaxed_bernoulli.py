"""Continuous relaxations of the Bernoulli distribution, whose samples carry a gradient to the logits."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, require_value
from vae.distributions.bernoulli import Bernoulli
from vae.distributions.relaxed_categorical import at_least_smallest, require_temperature


@distribution
class RelaxedBernoulli:
    """Binary Concrete distribution on (0, 1) with independent components.

        x = sigmoid((l + L) / T),   L ~ Logistic(0, 1)
        p(x) = T sigmoid(u) sigmoid(-u) / (x (1 - x)),   u = T logit(x) - l

    logits:      l, any shape.
    temperature: T > 0, shape (); traced. As T -> 0 samples approach 0 or 1 with the probabilities of `hard`.

    Samples stay between 1e-30 and the largest float32 below 1, so that the density and its gradient are finite at every one.
    Where many would round to 1 (logits / T beyond 16) use `LogitRelaxedBernoulli`, the same variable on the real line.

    Raises ValueError for a temperature that is not positive. (Maddison et al. 2017, appendix B, equation 28.)
    """

    logits: Float[Array, "*event"]
    temperature: Float[Array, ""] | float

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        require_temperature("RelaxedBernoulli", self.temperature)

    @property
    def hard(self) -> Bernoulli:
        """The Bernoulli that this relaxes."""
        return Bernoulli(logits=self.logits)

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """A number between 0 and 1 for each component, differentiable in the logits and the temperature."""
        return open_unit(jax.nn.sigmoid(LogitRelaxedBernoulli(self.logits, self.temperature).sample(key)))

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log density."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log density in nats, summed over the event."""
        return jnp.sum(self.element_log_prob(value))

    def element_log_prob(self, value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        """Log density of each component in nats."""
        require_value(self, value, jnp.shape(self.logits))
        value = open_unit(value)
        log_value, log_rest = jnp.log(value), jnp.log1p(-value)
        on_the_line = LogitRelaxedBernoulli(self.logits, self.temperature).element_log_prob(log_value - log_rest)
        return on_the_line - log_value - log_rest


@distribution
class LogitRelaxedBernoulli:
    """The logit y = ln(x / (1 - x)) of a `RelaxedBernoulli` x: the logistic distribution with location l/T and scale 1/T.

        p(y) = T sigmoid(u) sigmoid(-u),   u = T y - l

    logits:      l, any shape.
    temperature: T > 0, shape ().

    A ratio of two such densities at y equals that of the densities at sigmoid(y): a decoder is fed sigmoid(y), rates are
    taken at y.

    Raises ValueError for a temperature that is not positive. (Maddison et al. 2017, appendix C.3.2.)
    """

    logits: Float[Array, "*event"]
    temperature: Float[Array, ""] | float

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        require_temperature("LogitRelaxedBernoulli", self.temperature)

    @property
    def hard(self) -> Bernoulli:
        """The Bernoulli that this relaxes."""
        return Bernoulli(logits=self.logits)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """l / T."""
        return self.logits / self.temperature

    @property
    def mode(self) -> Float[Array, "*event"]:
        """l / T."""
        return self.logits / self.temperature

    @property
    def variance(self) -> Float[Array, "*event"]:
        """pi^2 / (3 T^2), the same for each component."""
        return jnp.full(jnp.shape(self.logits), math.pi**2 / 3.0) / jnp.square(self.temperature)

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """A real number for each component, differentiable in the logits and the temperature."""
        noise = jax.random.logistic(key, jnp.shape(self.logits), jnp.result_type(float, self.logits))
        return (self.logits + noise) / self.temperature

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log density."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log density in nats, summed over the event."""
        return jnp.sum(self.element_log_prob(value))

    def element_log_prob(self, value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        """Log density of each component in nats."""
        require_value(self, value, jnp.shape(self.logits))
        standardised = self.temperature * value - self.logits
        return jnp.log(self.temperature) + jax.nn.log_sigmoid(standardised) + jax.nn.log_sigmoid(-standardised)

    def entropy(self) -> Float[Array, ""]:
        """H = 2 - ln T for each component, in nats."""
        return (2.0 - jnp.log(self.temperature)) * float(jnp.size(self.logits))


def open_unit(value: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """`value` moved off 0 to 1e-30, and off 1 to the largest floating-point number below, without a gradient there."""
    largest = 1.0 - float(jnp.finfo(jnp.result_type(value)).epsneg)
    return at_least_smallest(jnp.where(value >= largest, largest, value))
