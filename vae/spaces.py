"""What the values of an example are, and which likelihoods are likelihoods of them.

A distribution and a data set each declare a space. A likelihood scores data of its own space, or of a space that lies in its
own with the same reference measure (counting or Lebesgue); what it says of other data is no likelihood, even if it is a number.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

DataSpace = Literal["binary", "unit_interval", "uint8", "real", "count", "tokens", "mixed"]
"""0 and 1; reals in [0, 1]; whole numbers 0 to 255; reals; whole numbers from 0 on; classes; columns of several kinds."""

CONTINUOUS: tuple[DataSpace, ...] = ("unit_interval", "real")
"""Spaces of real numbers."""

DISCRETE: tuple[DataSpace, ...] = ("binary", "uint8", "count", "tokens")
"""Spaces whose likelihoods are probabilities, so that a number of bits has a meaning."""

PROPER: Mapping[DataSpace, tuple[DataSpace, ...]] = {
    "binary": ("binary", "uint8", "count"),
    "unit_interval": ("unit_interval", "real"),
    "uint8": ("uint8", "count"),
    "real": ("real",),
    "count": ("count",),
    "tokens": ("tokens",),
    "mixed": ("mixed",),
}
"""By the space of the data, the spaces of the likelihoods that are likelihoods of them."""

SCORED: Mapping[DataSpace, tuple[DataSpace, ...]] = {
    "binary": ("unit_interval", "real"),
    "unit_interval": ("binary",),
    "uint8": ("real",),
    "count": ("real",),
}
"""The spaces of likelihoods that give a number for such data, though it is none of a probability of them: the cross-entropy of
gray pixels under a Bernoulli, the density of a Gaussian at whole numbers."""


def is_likelihood(data: DataSpace, likelihood: DataSpace) -> bool:
    """Whether a likelihood of one space is one of data of another."""
    return likelihood in PROPER[data]


def can_score(data: DataSpace, likelihood: DataSpace) -> bool:
    """Whether a likelihood gives such data a number at all."""
    return is_likelihood(data, likelihood) or likelihood in SCORED.get(data, ())


class Words(NamedTuple):
    """What a person is told of a space.

    values:      what the values are.
    likelihoods: the library's functions that make a likelihood of them.
    """

    values: str
    likelihoods: tuple[str, ...]


WORDS: Mapping[DataSpace, Words] = {
    "binary": Words("zeros and ones", ("bernoulli",)),
    "unit_interval": Words("real numbers in [0, 1]", ("continuous_bernoulli", "normal_learned_std")),
    "uint8": Words("whole numbers from 0 to 255", ("discretised_logistic", "discretised_logistic_mixture")),
    "real": Words("real numbers", ("normal_learned_std", "normal")),
    "count": Words("counts", ("negative_binomial", "poisson")),
    "tokens": Words("classes", ("tokens",)),
    "mixed": Words("columns of several kinds", ("mixed",)),
}
"""By space."""
