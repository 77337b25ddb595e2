"""Continuous relaxations of the categorical distribution, whose samples carry a gradient to the logits."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, require_value
from vae.distributions.categorical import Categorical, require_classes
from vae.requirements import require

SMALLEST = 1e-30  # its reciprocal, which a gradient multiplies, is far from the end of float32


@distribution
class RelaxedCategorical:
    """Gumbel-softmax, or Concrete, distribution on the simplex with independent components.

        x = softmax((l + g) / T),   g_k ~ Gumbel
        p(x) = (K-1)! T^(K-1) prod_k [ softmax(l)_k x_k^(-T-1) ] / (sum_k softmax(l)_k x_k^-T)^K

    logits:      l, (*event, K).
    temperature: T > 0, shape (); traced, so that annealing is a schedule. As T -> 0 samples approach one-hot vectors with
                 the probabilities softmax(l); `hard` is that limit.

    Entries smaller than 1e-30 are raised to it, so that the density and its gradient are finite at every sample. Below a
    temperature of about 0.3 that begins to matter: use `ExpRelaxedCategorical`, the same variable in log space.
    The KL of two of these has no closed form. To charge KL(hard || hard) instead is common; it is a choice (it is no bound on
    log p(x) for a soft sample), made by the objective that asks for it.

    Raises ValueError for logits without an axis of classes, or a temperature that is not positive.
    (Maddison et al. 2017, definition 1; Jang et al. 2017, equations 2 and 3.)
    """

    logits: Float[Array, "*event classes"]
    temperature: Float[Array, ""] | float

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        require_classes("RelaxedCategorical", self.logits)
        require_temperature("RelaxedCategorical", self.temperature)

    @property
    def hard(self) -> Categorical:
        """The categorical that this relaxes."""
        return Categorical(logits=self.logits)

    def sample(self, key: Array) -> Float[Array, "*event classes"]:
        """A point on the simplex for each component, differentiable in the logits and the temperature."""
        return at_least_smallest(jnp.exp(ExpRelaxedCategorical(self.logits, self.temperature).sample(key)))

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event classes"], Float[Array, ""]]:
        """A draw and its log density."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Float[Array, "*event classes"]) -> Float[Array, ""]:
        """Log density in nats with respect to the first K-1 coordinates, summed over the event."""
        return jnp.sum(self.element_log_prob(value))

    def element_log_prob(self, value: Float[Array, "*event classes"]) -> Float[Array, "*event"]:
        """Log density of each component in nats."""
        require_value(self, value, jnp.shape(self.logits))
        log_value = jnp.log(at_least_smallest(value))
        in_log_space = ExpRelaxedCategorical(self.logits, self.temperature).element_log_prob(log_value)
        return in_log_space - jnp.sum(log_value, axis=-1)


@distribution
class ExpRelaxedCategorical:
    """The logarithm y = ln x of a `RelaxedCategorical` x: the same variable where small entries do not underflow.

        y = log_softmax((l + g) / T),   g_k ~ Gumbel
        ln p(y) = ln (K-1)! + (K-1) ln T + sum_k (l_k - T y_k) - K ln sum_k exp(l_k - T y_k)

    logits:      l, (*event, K).
    temperature: T > 0, shape ().

    A ratio of two such densities at y equals that of the densities at exp(y): a decoder is fed exp(y), rates are taken at y.

    Raises ValueError as `RelaxedCategorical` does. (Maddison et al. 2017, appendix C.3, "ExpConcrete".)
    """

    logits: Float[Array, "*event classes"]
    temperature: Float[Array, ""] | float

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        require_classes("ExpRelaxedCategorical", self.logits)
        require_temperature("ExpRelaxedCategorical", self.temperature)

    @property
    def hard(self) -> Categorical:
        """The categorical that this relaxes."""
        return Categorical(logits=self.logits)

    def sample(self, key: Array) -> Float[Array, "*event classes"]:
        """The logarithm of a point on the simplex, differentiable in the logits and the temperature."""
        noise = jax.random.gumbel(key, jnp.shape(self.logits), jnp.result_type(float, self.logits))
        return jax.nn.log_softmax((self.logits + noise) / self.temperature)

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event classes"], Float[Array, ""]]:
        """A draw and its log density."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Float[Array, "*event classes"]) -> Float[Array, ""]:
        """Log density in nats with respect to the first K-1 coordinates, summed over the event."""
        return jnp.sum(self.element_log_prob(value))

    def element_log_prob(self, value: Float[Array, "*event classes"]) -> Float[Array, "*event"]:
        """Log density of each component in nats."""
        require_value(self, value, jnp.shape(self.logits))
        classes = self.logits.shape[-1]
        shifted = jax.nn.log_softmax(self.logits - self.temperature * value)
        constant = math.lgamma(classes) + (classes - 1) * jnp.log(self.temperature)
        return constant + jnp.sum(shifted, axis=-1)


@distribution
class StraightThroughCategorical:
    """One-hot categorical whose sampler passes back the gradient of its Gumbel-softmax relaxation.

        forward: one_hot(argmax(l + g)), exactly categorical;   backward: softmax((l + g) / T)

    logits:      l, (*event, K); a value is a one-hot array of the same shape.
    temperature: T > 0 of the backward pass, shape ().

    The distribution is exactly categorical, so its KL is in the table; only the gradient of the sampler is biased.

    Raises ValueError as `RelaxedCategorical` does. (Jang et al. 2017, section 2.2.)
    """

    logits: Float[Array, "*event classes"]
    temperature: Float[Array, ""] | float

    data_space: ClassVar[DataSpace] = "tokens"
    reparameterised: ClassVar[bool] = True  # by the gradient of its relaxation, which is biased

    def __post_init__(self):
        require_classes("StraightThroughCategorical", self.logits)
        require_temperature("StraightThroughCategorical", self.temperature)

    @property
    def mean(self) -> Float[Array, "*event classes"]:
        """softmax(logits)."""
        return jax.nn.softmax(self.logits)

    @property
    def mode(self) -> Float[Array, "*event classes"]:
        """The one-hot vector of the largest logit."""
        dtype = jnp.result_type(float, self.logits)
        return jax.nn.one_hot(jnp.argmax(self.logits, axis=-1), self.logits.shape[-1], dtype=dtype)

    def sample(self, key: Array) -> Float[Array, "*event classes"]:
        """A one-hot vector for each component."""
        log_soft = ExpRelaxedCategorical(self.logits, self.temperature).sample(key)
        soft = jnp.exp(log_soft)
        hard = jax.nn.one_hot(jnp.argmax(log_soft, axis=-1), self.logits.shape[-1], dtype=soft.dtype)
        return hard + (soft - jax.lax.stop_gradient(soft))

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event classes"], Float[Array, ""]]:
        """A draw and its log probability."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Float[Array, "*event classes"]) -> Float[Array, ""]:
        """Log probability of one-hot vectors in nats, summed over the event."""
        return jnp.sum(self.element_log_prob(value))

    def element_log_prob(self, value: Float[Array, "*event classes"]) -> Float[Array, "*event"]:
        """Log probability of each component in nats."""
        require_value(self, value, jnp.shape(self.logits))
        return jnp.sum(value * jax.nn.log_softmax(self.logits), axis=-1)

    def entropy(self) -> Float[Array, ""]:
        """H = - sum_k p_k ln p_k summed over the event, in nats."""
        return Categorical(logits=self.logits).entropy()


def at_least_smallest(value: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`value`, or 1e-30 where it is smaller, without a gradient there."""
    return jnp.where(value <= SMALLEST, SMALLEST, value)


def require_temperature(family: str, temperature: Array | float) -> None:
    """Refuse a temperature that has axes, or is known now and not positive."""
    if jnp.shape(temperature) != ():
        raise ValueError(f"{family} got a temperature of shape {jnp.shape(temperature)}; wanted a scalar: vmap over batches.")
    require(temperature > 0, f"{family} got a temperature of {temperature}; wanted a positive number, such as 1.")
