"""How networks see an example: classes as one-hot vectors, counts as logarithms, what is missing as 0 beside a mask.

A view is a function of (x, context) or of (z, context) that gives another such pair; `through` puts it before a network.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vae.networks.base import as_float
from vae.spaces import DataSpace
from vae.spec import OBSERVED, Data, given_of, may_be_missing
from vae.types import Key, Network, PyTree

View = Callable[[PyTree, PyTree], tuple[PyTree, PyTree]]


def through(network: Network, view: View | None) -> Network:
    """The network behind a view of its inputs; the network itself where there is none."""
    if view is None:
        return network

    def init(key: Key, *inputs: PyTree) -> tuple[PyTree, PyTree]:
        return network.init(key, *jax.eval_shape(view, *inputs))

    def apply(
        params: PyTree, state: PyTree, *inputs: PyTree, training: bool = False, key: Key | None = None
    ) -> tuple[PyTree, PyTree]:
        return network.apply(params, state, *view(*inputs), training=training, key=key)

    return network._replace(init=init, apply=apply)


class Features(NamedTuple):
    """How the entries of x become numbers for a network.

    see:    (x, data) -> numbers.
    spread: (mask over the entries of x, data) -> mask over those numbers.
    """

    see: Callable[[Array, Data], Array]
    spread: Callable[[Array, Data], Array] = lambda mask, data: mask


def see_table(x: Float[Array, "columns"], data: Data) -> Float[Array, "features"]:
    """The numbers of a row, counts as logarithms, then its classes as one-hot vectors behind each other."""
    numbers, classes, there = places_of(data)
    counts = np.array([data.columns[place].space == "count" for place in numbers], bool)
    shown = x[numbers]
    codes = jax.nn.one_hot(x[classes].astype(jnp.int32), there.shape[1])
    return jnp.concatenate([jnp.where(counts, jnp.log1p(jnp.where(counts, shown, 0.0)), shown), codes[np.nonzero(there)]])


def spread_table(mask: Bool[Array, "columns"], data: Data) -> Bool[Array, "features"]:
    """The mask of a row as one of what `see_table` makes of it."""
    numbers, classes, there = places_of(data)
    return jnp.concatenate([mask[numbers], mask[classes][np.nonzero(there)[0]]])


def places_of(data: Data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The columns of numbers, those of classes, and for each of these which codes it has, (classes, widest)."""
    sizes = np.array([len(column.categories) if column.space == "tokens" else 0 for column in data.columns], int)
    classes = np.flatnonzero(sizes)
    return np.flatnonzero(sizes == 0), classes, np.arange(sizes.max(initial=0)) < sizes[classes, None]


FEATURES: Mapping[DataSpace, Features] = {
    "count": Features(lambda x, data: jnp.log1p(as_float(x))),
    "tokens": Features(lambda x, data: jax.nn.one_hot(x, data.tokens), lambda mask, data: mask[..., None]),
    "mixed": Features(see_table, spread_table),
}
"""By the space of the data; numbers of the others are seen as they are, bytes on a scale from 0 to 1."""


def encoder_view(data: Data) -> View | None:
    """How an encoder sees (x, context), None where it sees them as they are: entries as `FEATURES` has them, tokens of which
    it is not known how many there are as they are.

    What is missing is 0 in all of them, and the mask stands behind x along its last axis, as further columns or channels; of
    the context the encoder sees what is given beside the mask.
    """
    known = data.space in FEATURES and not (data.space == "tokens" and data.tokens == 0)
    if not known and not may_be_missing(data.context):
        return None
    features = FEATURES[data.space] if known else Features(lambda x, data: as_float(x))

    def view(x: Array, context: PyTree) -> tuple[Array, PyTree]:
        if not may_be_missing(context):
            return features.see(x, data), context
        mask = jnp.asarray(context[OBSERVED], bool)
        there = features.spread(mask, data)
        seen = jnp.where(there, features.see(x, data), 0.0)
        beside = mask.reshape(*mask.shape, *(1,) * (seen.ndim - mask.ndim)).astype(seen.dtype)
        return jnp.concatenate([seen, beside], axis=-1), given_of(context)

    return view


def decoder_view(data: Data) -> View | None:
    """How a decoder sees (z, context), None where it sees them as they are: without the mask."""
    return (lambda z, context: (z, given_of(context))) if may_be_missing(data.context) else None
