"""All mass at one class: what a quantiser's choice of code is, as a posterior."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from vae.distributions.base import DataSpace, distribution, require_value, shape_of


@distribution
class PointMass:
    """The distribution over classes that always gives `value`: log p(v) = 0 where v = value, minus infinity elsewhere.

    value: integer array of shape `event`, the class of each component.

    Unlike a point among real numbers (`Deterministic`) it has a probability, and so a KL: that to a `Categorical` prior is
    -log p(value), log K nats for each of K equally likely codes. A model that quantises makes its codes a latent group by

        latent_group(PointMass(index), Categorical(jnp.zeros((*index.shape, codes))), key, given(values, 0))

    No gradient passes through a class; that of a straight-through code passes beside it, in what the decoder sees.
    """

    value: Integer[Array, "*event"]

    data_space: ClassVar[DataSpace] = "tokens"
    reparameterised: ClassVar[bool] = True

    @property
    def mode(self) -> Integer[Array, "*event"]:
        """The class."""
        return self.value

    def sample(self, key: Array) -> Integer[Array, "*event"]:
        """The class, whatever the key."""
        return self.value

    def sample_and_log_prob(self, key: Array) -> tuple[Integer[Array, "*event"], Float[Array, ""]]:
        """The class and 0."""
        return self.value, jnp.zeros(())

    def log_prob(self, value: Integer[Array, "*event"]) -> Float[Array, ""]:
        """0 nats at the class, minus infinity elsewhere."""
        return jnp.sum(self.element_log_prob(value))

    def element_log_prob(self, value: Integer[Array, "*event"]) -> Float[Array, "*event"]:
        """Log probability of each component in nats."""
        require_value(self, value, shape_of(self.value))
        return jnp.where(jnp.asarray(value) == self.value, 0.0, -jnp.inf)

    def entropy(self) -> Float[Array, ""]:
        """0 nats."""
        return jnp.zeros(())
