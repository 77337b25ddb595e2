"""A density in other units: what a model of standardised data says of the data as they are."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, is_density, is_reparameterised, of_base, require_value, shape_of
from vae.distributions.factorised import require_factorised
from vae.distributions.masked import Masked
from vae.requirements import require_same_shape
from vae.spaces import DISCRETE


@distribution
class Affine:
    """The distribution of y = shift + scale u with u ~ base, entry by entry.

        log p(y) = log base(u) - sum_i ln scale_i,    u = (y - shift) / scale

    so that nats are those of y in its own units: with scale c the same data cost ln c more for each entry.

    base:  a density over an array of any shape; whole numbers in it (the classes and counts of a `Mixed`) have shift 0 and
           scale 1, which leave them as they are, bit for bit.
    shift: what u = 0 stands for, the shape of a value.
    scale: what one unit of u is, positive, the same shape.

    Raises TypeError for a base over a discrete space, whose probabilities know no scale, and for one with a mask, which goes
    around since what is missing has no scale to pay for; ValueError for shapes that differ.
    """

    base: Any  # Distribution, and the moments it has
    shift: Float[Array, "*event"]
    scale: Float[Array, "*event"]

    def __post_init__(self):
        require_same_shape("Affine", shift=self.shift, scale=self.scale)
        if isinstance(self.base, Masked):
            raise TypeError(
                "Affine got a Masked distribution; wanted the mask outside: Masked(base=Affine(base, shift, scale), mask)."
            )
        if self.base.data_space in DISCRETE:
            raise TypeError(
                f"Affine got a {type(self.base).__name__} over the space {self.base.data_space}, whose probabilities have no "
                "units; wanted a density of real numbers: leave the data as they are."
            )

    reparameterised = of_base(is_reparameterised)
    is_density = of_base(is_density)

    @property
    def data_space(self) -> DataSpace:
        """Real numbers, also where those of the base lie in an interval; columns of several kinds remain that."""
        return "mixed" if self.base.data_space == "mixed" else "real"

    @property
    def mean(self) -> Float[Array, "*event"]:
        """shift + scale E[u]."""
        return self._moved(self.base.mean)

    @property
    def mode(self) -> Float[Array, "*event"]:
        """shift + scale times the mode of the base: the largest density stays where it is."""
        return self._moved(self.base.mode)

    @property
    def variance(self) -> Float[Array, "*event"]:
        """scale^2 Var[u]."""
        return jnp.square(self.scale) * self.base.variance

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """A draw of the base, moved."""
        return self._moved(self.base.sample(key))

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """The draw and its log density, which is not computed from the moved draw."""
        value, log_prob = self.base.sample_and_log_prob(key)
        return self._moved(value), log_prob - jnp.sum(jnp.log(self.scale))

    def log_prob(self, value: Array) -> Float[Array, ""]:
        """Log density of a value in its own units, in nats."""
        return self.base.log_prob(self._standardised(value)) - jnp.sum(jnp.log(self.scale))

    def element_log_prob(self, value: Array) -> Float[Array, "*event"]:
        """Log density of each entry in nats. Raises TypeError for a base whose entries are not independent."""
        require_factorised("Affine", self.base)
        elements = self.base.element_log_prob(self._standardised(value))
        require_same_shape("Affine", scale=self.scale, components=elements)
        return elements - jnp.log(self.scale)

    def entropy(self) -> Float[Array, ""]:
        """H[u] + sum_i ln scale_i, in nats."""
        return self.base.entropy() + jnp.sum(jnp.log(self.scale))

    def _standardised(self, value: Array) -> Float[Array, "*event"]:
        require_value(self, value, shape_of(self.shift))
        return (value - self.shift) / self.scale

    def _moved(self, value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        return self.shift + self.scale * value
