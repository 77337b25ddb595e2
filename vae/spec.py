"""What is known of the data that a model is built for: said by the data, read by the models that are made for them."""

from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Array, PyTree

from vae.spaces import DataSpace

OBSERVED, GIVEN = "observed", "given"
"""The entries of a context: which entries of x are observed, where any may be missing, and what else is conditioned on then."""


class Column(NamedTuple):
    """One column of a table.

    name:       as the file has it.
    space:      "real", "binary", "count", or "tokens" for a categorical one.
    categories: of a categorical column, in the order of their codes 0, 1, ...; () for numbers.
    """

    name: str
    space: DataSpace
    categories: tuple[str, ...] = ()


class Data(NamedTuple):
    """What a model has to know of the data it is built for; part of a run's record, but for `mean` and `scale`.

    shape:   of one example, (height, width, channels) for images.
    space:   what the values are, a `DataSpace`; what a likelihood says of data of another is no NLL, see `vae.spaces`.
    mean:    the mean of each entry over the observed training values, 0 for classes, from which the decoder's output bias
             starts; None where a trained model is rebuilt.
    context: what one example is conditioned on, a pytree of `jax.ShapeDtypeStruct`; () for nothing.
    scale:   the standard deviation of each entry over the training examples, 1 where it is no real number; None where nothing
             is to be standardised. 1 throughout where a trained model is rebuilt, whose state has the numbers.
    columns: of a table, one for each entry of x; () for other data.
    tokens:  of the space "tokens", how many different ones there are; 0 for other data.
    """

    shape: tuple[int, ...]
    space: DataSpace
    mean: Array | None = None
    context: PyTree = ()
    scale: Array | None = None
    columns: tuple[Column, ...] = ()
    tokens: int = 0


def may_be_missing(context: PyTree) -> bool:
    """Whether a context, or its shapes, says which entries of x are observed."""
    return isinstance(context, Mapping) and OBSERVED in context


def given_of(context: PyTree) -> PyTree:
    """What an example is conditioned on, without the mask; () for nothing."""
    return context.get(GIVEN, ()) if may_be_missing(context) else context
