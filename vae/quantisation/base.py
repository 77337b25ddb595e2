"""What every quantiser shares: the record of its functions, what it says of one example, the straight-through gradient."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PyTree

from vae.distributions.base import Distribution
from vae.distributions.point_mass import PointMass
from vae.requirements import concrete
from vae.settings import Settings
from vae.types import Key


class Assigned(NamedTuple):
    """What a quantiser says of the vectors of one example.

    posterior:  q(k | x) over the codes, (places, depth): a `PointMass` at the nearest ones, a `Categorical` where they are
    drawn. seen:       codes -> the vectors that the decoder sees, (places, outputs), with the gradient that is passed to the
    encoder. penalty:    what the vectors and the codebook lose by not being each other, summed over places and dimensions,
    shape (). statistics: what `update` needs of this example, () for nothing.
    """

    posterior: Distribution
    seen: Callable[[Array], Float[Array, "places outputs"]]
    penalty: Float[Array, ""] | float = 0.0
    statistics: PyTree = ()


class Quantiser(NamedTuple):
    """A quantiser as pure functions of one example.

    inputs:  numbers that the encoder gives at each place.
    outputs: numbers that the decoder sees at each place.
    depth:   codes at each place.
    codes:   how many different ones there are, 0 to codes - 1.
    init(key) -> params, state                              params are differentiated, the state is not
    assign(params, state, vectors, settings) -> Assigned    vectors: (places, inputs)
    lookup(params, state, index) -> vectors                 index: (places, depth) -> (places, outputs)
    update(state, statistics, key) -> state                 after the vmap: the statistics have a leading batch axis
    """

    inputs: int
    outputs: int
    depth: int
    codes: int
    init: Callable[[Key], tuple[PyTree, PyTree]]
    assign: Callable[[PyTree, PyTree, Array, Settings], Assigned]
    lookup: Callable[[PyTree, PyTree, Array], Float[Array, "places outputs"]]
    update: Callable[[PyTree, PyTree, Key], PyTree]


def straight_through(vectors: Float[Array, "*shape"], codes: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The codes, with the gradient of the vectors:

        y = stop(c) + v - stop(v)

    so that what the decoder asks of its input reaches the encoder as if nothing had been rounded, and the codebook not at all;
    bit for bit the codes, however large the vectors are. (van den Oord et al. 2017, section 3.2; Bengio et al. 2013.)
    """
    return jax.lax.stop_gradient(codes) + (vectors - jax.lax.stop_gradient(vectors))


def pinned(
    index: Integer[Array, "places depth"],
    vectors: Float[Array, "places outputs"],
    lookup: Callable[[Array], Array],
    penalty: Any = 0.0,
    statistics: PyTree = (),
) -> Assigned:
    """What a quantiser without a choice says: all mass at `index`, codes seen with the gradient of `vectors`."""
    return Assigned(
        posterior=PointMass(index),
        seen=lambda value: straight_through(vectors, lookup(value)),
        penalty=penalty,
        statistics=statistics,
    )


def squared_distance(one: Float[Array, "*shape"], other: Float[Array, "*shape"]) -> Float[Array, ""]:
    """| a - b |^2, summed over all axes."""
    return jnp.sum(jnp.square(one - other))


def commitment_to(
    vectors: Float[Array, "*shape"], codes: Float[Array, "*shape"], settings: Settings, commitment: float
) -> Float[Array, ""]:
    """b | v - stop(c) |^2 with the setting "commitment" as b, summed over places and dimensions of the example.

    It keeps the encoder near the codes that it has chosen. (van den Oord et al. 2017, equation 3, third term.)
    """
    return settings.get("commitment", commitment) * squared_distance(vectors, jax.lax.stop_gradient(codes))


def looked_up(codebook: Float[Array, "codes dim"], index: Array) -> Float[Array, "*shape_of_index dim"]:
    """The vectors of codes; NaN for a code that there is not, where it is not known in time to be refused."""
    require_codes(index, codebook.shape[0])
    return codebook.at[jnp.asarray(index, jnp.int32)].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def require_codes(index: Any, codes: int) -> None:
    """Refuse a code that there is not, and one that is no whole number."""
    if not jnp.issubdtype(jnp.result_type(index), jnp.integer):
        raise TypeError(f"got codes of the type {jnp.result_type(index)}; wanted whole numbers from 0 to {codes - 1}.")
    if concrete(index) and jnp.size(index):
        low, high = int(jnp.min(index)), int(jnp.max(index))
        if low < 0 or high >= codes:
            wrong = low if low < 0 else high
            raise ValueError(f"got the code {wrong}, but there are {codes} codes; wanted whole numbers from 0 to {codes - 1}.")


def as_vectors(vectors: Array) -> Float[Array, "places inputs"]:
    """In float32, whatever the network runs in: bfloat16 has no digits for distances, nor for more than 256 codes."""
    return vectors.astype(jnp.float32)


def unchanged(state: PyTree, statistics: PyTree, key: Key) -> PyTree:
    """The update of a quantiser that learns nothing from statistics."""
    return state


def only_index(assigned: Assigned, composition: str) -> Integer[Array, "places depth"]:
    """The codes of a quantiser that has no choice; TypeError for one that draws them."""
    if not isinstance(assigned.posterior, PointMass):
        drawn = type(assigned.posterior).__name__
        raise TypeError(
            f"{composition} got a quantiser whose codes are drawn from a {drawn}; wanted one that takes the nearest: "
            "by_gradient, by_moving_average, finite_scalar or lookup_free."
        )
    return assigned.posterior.value
