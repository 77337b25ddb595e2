"""Sparse variables: exactly zero with some probability, Gaussian otherwise."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, require_value
from vae.distributions.bernoulli import Bernoulli
from vae.distributions.normal import Normal
from vae.distributions.relaxed_bernoulli import LogitRelaxedBernoulli
from vae.distributions.relaxed_categorical import require_temperature
from vae.requirements import require_same_shape
from vae.special.elementary import HALF_LOG_TWO_PI


@distribution
class SpikeAndSlab:
    """A point mass at 0 (the spike) mixed with a Gaussian (the slab), with independent components.

        z = s y,   s ~ Bernoulli(g),   y ~ slab;      p(z) = g slab(z) + (1 - g) delta(z),   g = sigmoid(spike_logits)

    spike_logits: logit of g, the probability that a component is active, of any shape; -inf side: always zero.
    slab:         Normal of the same shape.
    temperature:  T > 0 of the gate's relaxation, shape (); traced.

    Densities are with respect to Lebesgue measure plus a unit mass at 0: ln(1 - g) at exactly 0, ln g + ln slab(z) elsewhere.

    Raises ValueError for shapes that differ or a temperature that is not positive, TypeError for a slab that is not Normal.
    (Tonolini et al. 2020, equations 3 to 6.)
    """

    spike_logits: Float[Array, "*event"]
    slab: Normal
    temperature: Float[Array, ""] | float = 0.5

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True  # the gate by the gradient of its relaxation, which is biased

    def __post_init__(self):
        if not isinstance(self.slab, Normal):
            raise TypeError(f"SpikeAndSlab got a slab of type {type(self.slab).__name__}; wanted Normal.")
        require_same_shape("SpikeAndSlab", spike_logits=self.spike_logits, slab=self.slab.mean)
        require_temperature("SpikeAndSlab", self.temperature)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """g times the mean of the slab."""
        return jax.nn.sigmoid(self.spike_logits) * self.slab.mean

    @property
    def variance(self) -> Float[Array, "*event"]:
        """g (slab variance + (1 - g) slab mean^2)."""
        active, inactive = jax.nn.sigmoid(self.spike_logits), jax.nn.sigmoid(-self.spike_logits)
        return active * (self.slab.variance + inactive * jnp.square(self.slab.mean))

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """A draw with exact zeros; the gate passes back the gradient of its relaxation (straight-through)."""
        gate, slab = self._gate_and_slab(key)
        hard = (gate > 0.5).astype(gate.dtype)
        return (hard + (gate - jax.lax.stop_gradient(gate))) * slab

    def relaxed_sample(self, key: Array) -> Float[Array, "*event"]:
        """sigmoid((spike_logits + L) / T) y with L ~ Logistic(0, 1), y ~ slab: differentiable everywhere, never exactly zero.

        With the key of `sample` it uses the same noise, so T -> 0 leads to that draw. It is no draw of this distribution,
        whose density therefore says nothing about it.
        """
        gate, slab = self._gate_and_slab(key)
        return gate * slab

    def _gate_and_slab(self, key: Array) -> tuple[Array, Array]:
        gate_key, slab_key = jax.random.split(key)
        gate = jax.nn.sigmoid(LogitRelaxedBernoulli(self.spike_logits, self.temperature).sample(gate_key))
        return gate, self.slab.sample(slab_key)

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw with exact zeros and its log density."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log density in nats, summed over the event."""
        return jnp.sum(self.element_log_prob(value))

    def element_log_prob(self, value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        """Log density of each component in nats."""
        require_value(self, value, jnp.shape(self.spike_logits))
        elsewhere = jnp.where(value == 0, self.slab.mean, value)
        active = jax.nn.log_sigmoid(self.spike_logits) + self.slab.element_log_prob(elsewhere)
        return jnp.where(value == 0, jax.nn.log_sigmoid(-self.spike_logits), active)

    def entropy(self) -> Float[Array, ""]:
        """H = sum_i [ H(Bernoulli(g_i)) + g_i H(slab_i) ], in nats, with respect to the same measure as the density."""
        slab = 0.5 + HALF_LOG_TWO_PI + self.slab.log_std
        return Bernoulli(self.spike_logits).entropy() + jnp.sum(jax.nn.sigmoid(self.spike_logits) * slab)
