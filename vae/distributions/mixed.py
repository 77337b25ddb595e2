"""Columns of several kinds: numbers, answers of yes and no, counts and classes in one row."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, is_density, is_reparameterised, require_value, static_field
from vae.distributions.factorised import require_factorised


@distribution
class Mixed:
    """Independent columns, each of a family of its own; those of one family stand together in one part.

        log p(x) = sum over parts k of log p_k(x at the columns of k)

    parts:  a distribution over a vector for each family that occurs, with independent components.
    places: for each part, which columns of the row its components are; every column once.

    A row is a vector of floats in which a class is its code 0, 1, ...; the parts are as many as there are kinds of columns,
    however many columns there are.

    Raises TypeError for a part whose components are not independent; ValueError for columns that are there twice or not at all.
    """

    parts: tuple[Any, ...]  # Factorised, and the moments they have
    places: tuple[tuple[int, ...], ...] = static_field()

    data_space: ClassVar[DataSpace] = "mixed"

    def __post_init__(self):
        for part in self.parts:
            require_factorised("Mixed", part)
        found = sorted(place for places in self.places for place in places)
        if len(self.parts) != len(self.places) or found != list(range(len(found))):
            raise ValueError(
                f"Mixed got {len(self.parts)} parts for the columns {self.places}; wanted every column 0, 1, ... once, in the "
                "places of one part."
            )

    @property
    def reparameterised(self) -> bool:
        """Whether every part is."""
        return all(is_reparameterised(part) for part in self.parts)

    @property
    def is_density(self) -> bool:
        """Whether every part is."""
        return all(is_density(part) for part in self.parts)

    @property
    def mean(self) -> Float[Array, "columns"]:
        """The mean of each column; of classes that of their codes, which says something only where they have an order."""
        return self._row([part.mean for part in self.parts])

    @property
    def mode(self) -> Float[Array, "columns"]:
        """The most probable value of each column."""
        return self._row([part.mode for part in self.parts])

    def sample(self, key: Array) -> Float[Array, "columns"]:
        """A row."""
        keys = jax.random.split(key, len(self.parts))
        return self._row([part.sample(own) for part, own in zip(self.parts, keys, strict=True)])

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "columns"], Float[Array, ""]]:
        """A row and its log density."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value: Array) -> Float[Array, ""]:
        """Log density (of the numbers) and log mass (of the others) in nats, summed over the columns."""
        return jnp.sum(self.element_log_prob(value))

    def element_log_prob(self, value: Array) -> Float[Array, "columns"]:
        """Log density or log mass of each column in nats."""
        require_value(self, value, (sum(map(len, self.places)),))
        pairs = zip(self.parts, self.places, strict=True)
        return self._row([part.element_log_prob(in_part(part, value[np.array(at)])) for part, at in pairs])

    def _row(self, values: list[Array]) -> Float[Array, "columns"]:
        """What the parts say, in the order of the columns."""
        order = np.argsort([place for places in self.places for place in places])
        return jnp.concatenate([value.astype(jnp.result_type(float)) for value in values])[order]


def in_part(part: Any, values: Float[Array, "own"]) -> Array:
    """What a row holds for a part, as the part takes it: codes of classes as whole numbers."""
    return values.astype(jnp.int32) if part.data_space == "tokens" else values
