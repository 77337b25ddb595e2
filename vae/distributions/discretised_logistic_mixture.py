"""Mixtures of discretised logistics: one mixture per pixel, shared by its channels."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, require_value, shape_of
from vae.distributions.discretised_logistic import (
    LARGEST,
    discretised_logistic_log_prob,
    discretised_logistic_mean,
    sample_discretised_logistic,
)
from vae.requirements import require_same_shape


@distribution
class DiscretisedLogisticMixture:
    """Mixture of K discretised logistics for each pixel of C channels, values 0..255.

        P(x) = sum_k softmax(logits)_k prod_c DiscretisedLogistic(x_c; m_kc, scale_kc)
        m_kc = location_kc + sum_{c' < c} coupling_kcc' (x_c' - 127.5)

    logits:    (*sites, K) log weights of the components, not normalised.
    location:  (*sites, K, C) in units of pixel values; log_scale the same shape.
    coupling:  (*sites, K, C, C), of which what lies under the diagonal is used: how far the channels before it move the
               location of a channel. None for channels that are independent within a component.
    A value has the shape (*sites, C). It sums to one over all values, since each channel does given those before it.

    Raises ValueError for shapes that do not belong together. (Salimans et al. 2017, equations 1 to 3.)
    """

    logits: Float[Array, "*sites components"]
    location: Float[Array, "*sites components channels"]
    log_scale: Float[Array, "*sites components channels"]
    coupling: Float[Array, "*sites components channels channels"] | None = None

    data_space: ClassVar[DataSpace] = "uint8"
    reparameterised: ClassVar[bool] = False

    def __post_init__(self):
        name = "DiscretisedLogisticMixture"
        require_same_shape(name, location=self.location, log_scale=self.log_scale)
        location = shape_of(self.location)
        if location[:-1] != shape_of(self.logits):
            raise ValueError(
                f"{name} got logits {shape_of(self.logits)} and location {location}; wanted (*sites, K) and (*sites, K, C)."
            )
        if self.coupling is not None and shape_of(self.coupling) != (*location, location[-1]):
            raise ValueError(f"{name} got coupling {shape_of(self.coupling)}; wanted {(*location, location[-1])} or None.")

    @property
    def mean(self) -> Float[Array, "*sites channels"]:
        """The exact mean. Raises AttributeError for coupled channels, whose mean has no closed form."""
        if self.coupling is not None:
            raise AttributeError(
                "the mean of a DiscretisedLogisticMixture with coupled channels has no closed form; average draws of sample."
            )
        weights = jax.nn.softmax(self.logits)[..., None]
        return jnp.sum(weights * discretised_logistic_mean(self.location, self.log_scale), axis=-2)

    def sample(self, key: Array) -> Float[Array, "*sites channels"]:
        """A component for each pixel, then its channels one after another; not differentiable."""
        component_key, channels_key = jax.random.split(key)
        component = jax.random.categorical(component_key, self.logits)
        location, log_scale = _of_component(self.location, component, 1), _of_component(self.log_scale, component, 1)
        coupling = None if self.coupling is None else _of_component(self.coupling, component, 2)
        channels: list[Array] = []
        for c, channel_key in enumerate(jax.random.split(channels_key, location.shape[-1])):
            centre = location[..., c]
            if coupling is not None:
                centre = centre + sum((coupling[..., c, i] * (x - LARGEST / 2) for i, x in enumerate(channels)), 0.0)
            channels.append(sample_discretised_logistic(channel_key, centre, log_scale[..., c]))
        return jnp.stack(channels, axis=-1)

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*sites channels"], Float[Array, ""]]:
        """A draw and its log probability."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Array) -> Float[Array, ""]:
        """Log probability of the values 0..255 (bytes or floats) in nats, summed over the event."""
        return jnp.sum(self.element_log_prob(value))

    def element_log_prob(self, value: Array) -> Float[Array, "*sites"]:
        """Log probability of each pixel, its channels together, in nats."""
        require_value(self, value, shape_of(self.logits)[:-1] + shape_of(self.location)[-1:])
        value = jnp.asarray(value).astype(jnp.result_type(float, self.location))[..., None, :]
        location = self.location
        if self.coupling is not None:
            earlier = jnp.tril(self.coupling, k=-1)
            location = location + jnp.sum(earlier * (value - LARGEST / 2)[..., None, :], axis=-1)
        channels = discretised_logistic_log_prob(location, self.log_scale, value)
        return jax.nn.logsumexp(jax.nn.log_softmax(self.logits) + jnp.sum(channels, axis=-1), axis=-1)


def _of_component(array: Array, component: Array, trailing: int) -> Array:
    """Entry `component` of the axis of components, which is followed by `trailing` axes."""
    index = component.reshape(*component.shape, *(1,) * (trailing + 1))
    return jnp.squeeze(jnp.take_along_axis(array, index, axis=-trailing - 1), axis=-trailing - 1)
