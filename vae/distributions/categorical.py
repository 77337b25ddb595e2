"""Independent variables that each take one of K values, parameterised by logits."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from vae.distributions.base import DataSpace, distribution, require_value, shape_of, static_field


@distribution
class Categorical:
    """Categorical over {0, ..., K-1} with independent components.

        log p(x) = sum_i [ l_{i, x_i} - ln sum_k exp(l_ik) ]

    logits:     (*event, K) unnormalised log probabilities; a value is an integer array of shape `event`.
    data_space: what the classes stand for, "tokens" or the values of a pixel, "uint8".

    Raises ValueError for logits without an axis of classes.
    """

    logits: Float[Array, "*event classes"]
    data_space: DataSpace = static_field(default="tokens")

    reparameterised: ClassVar[bool] = False

    def __post_init__(self):
        require_classes("Categorical", self.logits)

    @property
    def probabilities(self) -> Float[Array, "*event classes"]:
        """softmax(logits)."""
        return jax.nn.softmax(self.logits)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """sum_k k p_k, which has a meaning where the classes are numbers (the values of a pixel)."""
        classes = jnp.arange(self.probabilities.shape[-1], dtype=self.probabilities.dtype)
        return jnp.matmul(self.probabilities, classes, precision="highest")

    @property
    def mode(self) -> Integer[Array, "*event"]:
        """The class with the largest logit."""
        return jnp.argmax(self.logits, axis=-1)

    def sample(self, key: Array) -> Integer[Array, "*event"]:
        """The argmax of the logits plus Gumbel noise; not differentiable."""
        return jax.random.categorical(key, self.logits)

    def sample_and_log_prob(self, key: Array) -> tuple[Integer[Array, "*event"], Float[Array, ""]]:
        """A draw and its log probability."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Integer[Array, "*event"]) -> Float[Array, ""]:
        """Log probability in nats, summed over the event."""
        return jnp.sum(self.element_log_prob(value))

    def element_log_prob(self, value: Integer[Array, "*event"]) -> Float[Array, "*event"]:
        """Log probability of each component in nats."""
        require_value(self, value, shape_of(self.logits)[:-1])
        return categorical_log_prob(self.logits, value)

    def entropy(self) -> Float[Array, ""]:
        """H = - sum_k p_k ln p_k summed over the event, in nats."""
        log_probs = jax.nn.log_softmax(self.logits)
        return -jnp.sum(jnp.exp(log_probs) * log_probs)


def categorical_log_prob(logits: Float[Array, "*event classes"], value: Integer[Array, "*event"]) -> Float[Array, "*event"]:
    """l_x - ln sum_k exp(l_k) along the last axis."""
    index = jnp.asarray(value).astype(jnp.int32)[..., None]
    return jnp.take_along_axis(jax.nn.log_softmax(logits), index, axis=-1)[..., 0]


def require_classes(family: str, logits: Array) -> None:
    """Refuse logits without a last axis of classes."""
    if len(shape_of(logits)) == 0 or shape_of(logits)[-1] < 1:
        raise ValueError(
            f"{family} got logits of shape {shape_of(logits)}; wanted (..., K) with the K classes on the last axis."
        )


def at_temperature(logits: Float[Array, "*event classes"], temperature: Any) -> Float[Array, "*event classes"]:
    """Logits of p^(1 / T), normalised; at T = 0 all mass is on the most probable class, shared by equal ones.

    >>> at_temperature(jnp.array([1.0, 3.0, 2.0]), 0.0).tolist()
    [-inf, 0.0, -inf]
    """
    if isinstance(temperature, int | float) and temperature == 1:
        return logits
    warm = jnp.asarray(temperature) > 0
    most = jnp.where(logits == jnp.max(logits, axis=-1, keepdims=True), 0.0, -jnp.inf)
    return jnp.where(warm, logits / jnp.where(warm, temperature, 1.0), most)
