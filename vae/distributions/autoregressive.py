"""Classes on a grid, each given those before it: what a prior over codes is."""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PyTree

from vae.distributions.base import DataSpace, distribution, require_value, static_field
from vae.distributions.categorical import Categorical, at_temperature


@runtime_checkable
class Conditionals(Protocol):
    """What `Autoregressive` asks of a network; `vae.networks.CodeNetwork` is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a value."""
        ...

    @property
    def codes(self) -> int:
        """How many classes there are."""
        ...

    @property
    def logits(self) -> Callable[[PyTree, Array, PyTree], Array]:
        """(params, value, context) -> (*shape, K), the logits of every component given those before it."""
        ...

    @property
    def sample(self) -> Callable[..., Array]:
        """(params, key, context, temperature) -> value, its components drawn one after the other."""
        ...


@distribution
class Autoregressive:
    """Classes on a grid, each drawn given those before it:

        log p(k) = sum_i log p(k_i | k_1, ..., k_(i-1))

    network:     the conditionals; static, so build it once, where the model is built.
    params:      of the network.
    context:     what all of them are conditioned on, () for nothing.
    temperature: the conditionals are proportional to p^(1 / temperature), shape (); 1 is the model's own.

    Do not return it across a `vmap` over examples, which would copy `params` for each: reduce inside.
    (van den Oord et al. 2017, section 3.3.)
    """

    network: Conditionals = static_field()
    params: PyTree = ()
    context: PyTree = ()
    temperature: Float[Array, ""] | float = 1.0

    data_space: ClassVar[DataSpace] = "tokens"
    reparameterised: ClassVar[bool] = False

    def given(self, value: Integer[Array, "*event"]) -> Categorical:
        """The conditional of every component given those before it in `value`: independent ones, whose log p(value) is ours."""
        require_value(self, value, self.network.shape)
        return Categorical(at_temperature(self.network.logits(self.params, jnp.asarray(value), self.context), self.temperature))

    def sample(self, key: Array) -> Integer[Array, "*event"]:
        """One value, component after component."""
        return self.network.sample(self.params, key, self.context, self.temperature)

    def sample_and_log_prob(self, key: Array) -> tuple[Integer[Array, "*event"], Float[Array, ""]]:
        """A draw and its log probability."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Integer[Array, "*event"]) -> Float[Array, ""]:
        """Log probability in nats, summed over the event."""
        return self.given(value).log_prob(value)

    def element_log_prob(self, value: Integer[Array, "*event"]) -> Float[Array, "*event"]:
        """log p(k_i | k_1, ..., k_(i-1)) of each component in nats."""
        return self.given(value).element_log_prob(value)

    def at_temperature(self, temperature: Any) -> "Autoregressive":
        """The same with its conditionals at a temperature."""
        return Autoregressive(self.network, self.params, self.context, temperature)
