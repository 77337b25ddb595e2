"""Likelihoods of partly observed data: missing values, and padding."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vae.distributions.base import distribution, is_density, is_reparameterised, of_base, shape_of, space_of
from vae.distributions.factorised import require_factorised


@distribution
class Masked:
    """A distribution scored on the observed components only.

        log p(x_observed) = sum over observed i of log p_i(x_i)

    base: a family of independent components.
    mask: true where a component is observed, with the shape of `base.element_log_prob`.
    fill: a value in the support of the base that stands in for what is missing, so that NaN there reaches neither the
          number nor any gradient.

    Draws are of the base, whole: what is missing is imputed. Nothing else of the base is changed.

    Raises TypeError for a base whose components are not independent: the marginal of a joint density is not a sum of parts.
    """

    base: Any  # Factorised, and the moments it has
    mask: Bool[Array, "*event"]
    fill: Any = 0

    data_space = of_base(space_of)
    reparameterised = of_base(is_reparameterised)
    is_density = of_base(is_density)

    def __post_init__(self):
        require_factorised("Masked", self.base)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """The mean of the base, missing components included."""
        return self.base.mean

    @property
    def mode(self) -> Array:
        """The mode of the base, missing components included."""
        return self.base.mode

    def sample(self, key: Array) -> Array:
        """A draw of the base, missing components included."""
        return self.base.sample(key)

    def sample_and_log_prob(self, key: Array) -> tuple[Array, Float[Array, ""]]:
        """A draw of the base and the log density of its observed part."""
        value = self.base.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Array) -> Float[Array, ""]:
        """Log density of the observed components in nats."""
        return jnp.sum(self.element_log_prob(value))

    def element_log_prob(self, value: Array) -> Array:
        """Log density of each component in nats, 0 where it is missing."""
        value = jnp.asarray(value)
        observed = jnp.asarray(self.mask, bool)
        if value.shape[: observed.ndim] != observed.shape:
            raise self._mismatch(f"a value of shape {value.shape}")
        trailing = (1,) * (value.ndim - observed.ndim)
        filled = jnp.where(observed.reshape(observed.shape + trailing), value, jnp.asarray(self.fill, value.dtype))
        elements = self.base.element_log_prob(filled)
        if shape_of(elements) != observed.shape:
            raise self._mismatch(f"{type(self.base).__name__} components of shape {shape_of(elements)}")
        return jnp.where(observed, elements, 0.0)

    def _mismatch(self, other: str) -> ValueError:
        return ValueError(
            f"Masked got a mask of shape {shape_of(self.mask)} for {other}; wanted one entry for each component: "
            "broadcast the mask or reshape the value first."
        )
