"""Counts with more zeros than their distribution explains."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import distribution, is_density, of_base, require_value, space_of
from vae.distributions.factorised import require_factorised
from vae.requirements import require_same_shape


@distribution
class ZeroInflated:
    """A distribution over counts in which each component is replaced by 0 with probability w = sigmoid(logits).

        P(0) = w + (1 - w) base(0),   P(x) = (1 - w) base(x) for x > 0

    base:   a family of independent counts, Poisson or NegativeBinomial.
    logits: logit of w for each component, the shape of the event.

    Raises TypeError for a base whose components are not independent, ValueError for shapes that differ.
    (Lopez et al. 2018, online methods.)
    """

    base: Any  # Factorised, and the moments it has
    logits: Float[Array, "*event"]

    reparameterised: ClassVar[bool] = False  # the choice of a zero passes no gradient to the logits
    data_space = of_base(space_of)
    is_density = of_base(is_density)

    def __post_init__(self):
        require_factorised("ZeroInflated", self.base)
        for parameter in jax.tree.leaves(self.base):
            require_same_shape("ZeroInflated", logits=self.logits, base=parameter)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """(1 - w) times the mean of the base."""
        return jax.nn.sigmoid(-self.logits) * self.base.mean

    @property
    def variance(self) -> Float[Array, "*event"]:
        """(1 - w) (variance + w mean^2) of the base."""
        kept, dropped = jax.nn.sigmoid(-self.logits), jax.nn.sigmoid(self.logits)
        return kept * (self.base.variance + dropped * jnp.square(self.base.mean))

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """A draw of the base with dropped components; not differentiable."""
        base_key, drop_key = jax.random.split(key)
        value = self.base.sample(base_key)
        dropped = jax.random.logistic(drop_key, jnp.shape(self.logits), jnp.result_type(float, self.logits)) < self.logits
        return jnp.where(dropped, jnp.zeros_like(value), value)

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log probability."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Array) -> Float[Array, ""]:
        """Log probability in nats, summed over the event."""
        return jnp.sum(self.element_log_prob(value))

    def element_log_prob(self, value: Array) -> Float[Array, "*event"]:
        """Log probability of each component in nats; both cases are sums in log space."""
        require_value(self, value, jnp.shape(self.logits))
        kept = jax.nn.log_sigmoid(-self.logits) + self.base.element_log_prob(value)
        return jnp.where(jnp.asarray(value) == 0, jnp.logaddexp(jax.nn.log_sigmoid(self.logits), kept), kept)
