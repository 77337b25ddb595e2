"""A distribution pushed through a flow."""

from collections.abc import Callable
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Array, Float, PyTree

from vae.distributions.base import (
    DataSpace,
    Distribution,
    distribution,
    is_density,
    is_reparameterised,
    of_base,
    static_field,
)


@runtime_checkable
class Bijection(Protocol):
    """What `Transformed` asks of a flow: `vae.flows.Flow` without its `init`."""

    @property
    def forward_and_log_det(self) -> Callable[[PyTree, Array, PyTree], tuple[Array, Array]]:
        """(params, z, context) -> x, ln |det dx/dz|."""
        ...

    @property
    def inverse_and_log_det(self) -> Callable[[PyTree, Array, PyTree], tuple[Array, Array]]:
        """(params, x, context) -> z, ln |det dz/dx|."""
        ...


@distribution
class Transformed:
    """The distribution of x = f(z) with z ~ base and f an invertible flow.

        log p(x) = log base(z) - ln |det df/dz|,    z = f^-1(x)

    base:    distribution of z.
    flow:    f and its inverse with log-determinants; static, so build it once, where the model is built.
    params:  the flow's parameters, from `flow.init`.
    context: what the flow is conditioned on (a vector from the encoder), () for nothing.

    As a prior, with parameters among the model's generative ones:

        flow = masked_autoregressive(n, hidden=(64,))
        prior = Prior(init=flow.init, build=lambda params, context, encode: Transformed(standard_normal(n), flow, params))

    As a posterior, with `params` among the posterior's and a `context` computed by the encoder: log q of the own draw comes
    from `sample_and_log_prob` and never inverts the flow. Do not return it across a `vmap` over examples, which would copy
    `params` for each: reduce inside. There is no closed form of its mean, entropy or KL divergence.
    """

    base: Distribution
    flow: Bijection = static_field()
    params: PyTree = ()
    context: PyTree = ()

    data_space: ClassVar[DataSpace] = "real"
    reparameterised = of_base(is_reparameterised)  # a flow is differentiable in its parameters and context
    is_density = of_base(is_density)

    def sample(self, key: Array) -> Array:
        """x = f(z) with z a draw of the base."""
        return self.flow.forward_and_log_det(self.params, self.base.sample(key), self.context)[0]

    def sample_and_log_prob(self, key: Array) -> tuple[Array, Float[Array, ""]]:
        """The draw and its log density, from the forward direction alone."""
        noise, log_base = self.base.sample_and_log_prob(key)
        value, log_det = self.flow.forward_and_log_det(self.params, noise, self.context)
        return value, log_base - log_det

    def log_prob(self, value: Array) -> Float[Array, ""]:
        """Log density of any value in nats, by the inverse direction."""
        noise, log_det = self.flow.inverse_and_log_det(self.params, value, self.context)
        return self.base.log_prob(noise) + log_det
