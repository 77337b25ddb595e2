"""Mixtures of discretised logistics: one mixture per pixel, shared by its channels."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, require_value, shape_of
from vae.distributions.discretised_logistic import (
    LARGEST,
    discretised_logistic_log_prob,
    discretised_logistic_mean,
    sample_discretised_logistic,
)
from vae.requirements import require_same_shape

LATTICE = 128
"""Points at which the mean of coupled channels is integrated."""


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
        """The mean, exact for channels that are independent within a component.

        Coupled channels have none in closed form, since what a channel passes on is cut off at 0 and 255: theirs is integrated
        numerically, over the noise of all channels at the `LATTICE` points of a Kronecker sequence.
        """
        weights = jax.nn.softmax(self.logits)[..., None]
        if self.coupling is None:
            return jnp.sum(weights * discretised_logistic_mean(self.location, self.log_scale), axis=-2)
        noise = jax.scipy.special.logit(jnp.asarray(_kronecker_sequence(LATTICE, self.location.shape[-1]), jnp.float32))
        total, _ = jax.lax.scan(lambda sum_, at: (sum_ + self._at_noise(at), None), jnp.zeros_like(self.location), noise)
        return jnp.sum(weights * total / LATTICE, axis=-2)

    def _at_noise(self, noise: Float[Array, "channels"]) -> Float[Array, "*sites components channels"]:
        """What every component gives, its channels one after another, at a logistic number for each of them.

        Rounding passes the gradient through, so that it is that of the mean before rounding.
        """
        channels: list[Array] = []
        for c in range(self.location.shape[-1]):
            raw = _moved(self.location, self.coupling, channels) + jnp.exp(self.log_scale[..., c]) * noise[c]
            kept = jnp.clip(raw, 0.0, LARGEST)
            channels.append(kept + jax.lax.stop_gradient(jnp.round(kept) - kept))
        return jnp.stack(channels, axis=-1)

    def sample(self, key: Array) -> Float[Array, "*sites channels"]:
        """A component for each pixel, then its channels one after another; not differentiable."""
        component_key, channels_key = jax.random.split(key)
        component = jax.random.categorical(component_key, self.logits)
        location, log_scale = _of_component(self.location, component, 1), _of_component(self.log_scale, component, 1)
        coupling = None if self.coupling is None else _of_component(self.coupling, component, 2)
        channels: list[Array] = []
        for c, channel_key in enumerate(jax.random.split(channels_key, self.location.shape[-1])):
            channels.append(sample_discretised_logistic(channel_key, _moved(location, coupling, channels), log_scale[..., c]))
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


def _moved(location: Array, coupling: Array | None, earlier: list[Array]) -> Array:
    """The location of the next channel given those before it."""
    c = len(earlier)
    moves = () if coupling is None else (coupling[..., c, i] * (x - LARGEST / 2) for i, x in enumerate(earlier))
    return location[..., c] + sum(moves, 0.0)


def _kronecker_sequence(points: int, dimensions: int) -> np.ndarray:
    """(points, dimensions) numbers inside (0, 1), evenly spread: the fractions of (j + 1/2) sqrt(p) for the first primes p."""
    primes = [p for p in range(2, 8 + 8 * dimensions) if all(p % q for q in range(2, p))]
    return np.modf((np.arange(points)[:, None] + 0.5) * np.sqrt(primes[:dimensions]))[0]


def _of_component(array: Array, component: Array, trailing: int) -> Array:
    """Entry `component` of the axis of components, which is followed by `trailing` axes."""
    index = component.reshape(*component.shape, *(1,) * (trailing + 1))
    return jnp.squeeze(jnp.take_along_axis(array, index, axis=-trailing - 1), axis=-trailing - 1)
