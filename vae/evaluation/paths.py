"""The way from one latent value to another, by what the values are: a line, a great circle, an arc, classes one after another.

A path maps two values of one group and places on the way, 0 at the first and 1 at the second, to the values there:

    path(start, end, places (steps,)) -> (steps, *event)

Which one a latent space has is looked up by the family of its posterior or prior; `interpolate` of generate.py takes others.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from vae.distributions import (
    AtSample,
    ExpRelaxedCategorical,
    PowerSpherical,
    StraightThroughCategorical,
    UniformCircle,
    UniformSphere,
    VonMises,
    VonMisesFisher,
)
from vae.distributions.base import is_continuous
from vae.evaluation.rows import shapes_of_pass
from vae.trained import Trained
from vae.types import Latent, PyTree

Path = Callable[[PyTree, PyTree, Float[Array, "steps"]], PyTree]

PARALLEL = 1e-5


def straight(start: PyTree, end: PyTree, places: Float[Array, "steps"]) -> PyTree:
    """(1 - t) a + t b, in Euclidean space and in a simplex of probabilities."""

    def line(a: Array, b: Array) -> Array:
        t = along(places, a)
        return (1.0 - t) * a[None] + t * b[None]

    return jax.tree.map(line, start, end)


def line_of_probabilities(
    start: Float[Array, "*event k"], end: Float[Array, "*event k"], places: Float[Array, "steps"]
) -> Float[Array, "steps *event k"]:
    """Of logarithms of probabilities: ln((1 - t) exp a + t exp b)."""
    t = along(places, start)
    return jnp.logaddexp(jnp.log1p(-t) + start[None], jnp.log(t) + end[None])


def along(places: Float[Array, "steps"], value: Array) -> Array:
    """The places as a leading axis before those of a value."""
    return places.reshape(-1, *(1,) * jnp.ndim(value))


def great_circle(
    start: Float[Array, "*event n"], end: Float[Array, "*event n"], places: Float[Array, "steps"], unit: bool = True
) -> Float[Array, "steps *event n"]:
    """The shorter way round the sphere, at a constant speed:

        cos(t w) u + sin(t w) v,   u = a / |a|,   v the unit vector across u towards b,   w the angle between a and b

    On the unit sphere; with unit=False times the norm (1 - t) |a| + t |b|, see `norm_preserving`. Between opposite points,
    where no way is shorter, one is chosen. (Shoemake 1985.)
    """
    if start.shape[-1] == 1:
        return straight(start, end, places)  # a line has no way round
    norms = [jnp.linalg.norm(each, axis=-1, keepdims=True) for each in (start, end)]
    u, towards = (each / jnp.maximum(norm, PARALLEL) for each, norm in zip((start, end), norms, strict=True))
    cosine = jnp.sum(u * towards, axis=-1, keepdims=True)
    across = towards - cosine * u
    sine = jnp.linalg.norm(across, axis=-1, keepdims=True)
    axis = jax.nn.one_hot(jnp.argmin(jnp.abs(u), axis=-1), u.shape[-1], dtype=u.dtype)
    any_way = axis - jnp.sum(axis * u, axis=-1, keepdims=True) * u
    v = jnp.where(sine > PARALLEL, across, any_way)
    v = v - jnp.sum(v * u, axis=-1, keepdims=True) * u  # what rounding has left along u
    v = v / jnp.maximum(jnp.linalg.norm(v, axis=-1, keepdims=True), PARALLEL)
    t = along(places, start)
    angle = t * jnp.arctan2(sine, cosine)[None]
    way = jnp.cos(angle) * u[None] + jnp.sin(angle) * v[None]
    return way if unit else ((1.0 - t) * norms[0][None] + t * norms[1][None]) * way


norm_preserving: Path = partial(great_circle, unit=False)
"""A great circle whose radius goes from |a| to |b|: draws of a Gaussian in many dimensions lie in a shell, which the middle of
a straight line leaves. (White 2016, section 2.2.)"""


def shorter_arc(
    start: Float[Array, "*event"], end: Float[Array, "*event"], places: Float[Array, "steps"]
) -> Float[Array, "steps *event"]:
    """Of angles in radians: a + t d, d = b - a wrapped to [-pi, pi); in [-pi, pi)."""
    return wrapped(start[None] + along(places, start) * wrapped(end - start)[None])


def wrapped(angle: Array) -> Array:
    """The same angle in [-pi, pi)."""
    return jnp.mod(angle + jnp.pi, 2.0 * jnp.pi) - jnp.pi


def stepwise(start: PyTree, end: PyTree, places: Float[Array, "steps"], vectors: bool = False) -> PyTree:
    """Component by component from a to b, in a fixed mixed order; a single class changes half way.

    vectors: whether the last axis is one component (a one-hot vector).
    """

    def steps(a: Array, b: Array) -> Array:
        components = jnp.shape(a)[: jnp.ndim(a) - vectors]
        order = np.random.default_rng(0).permutation(int(np.prod(components, dtype=int))).reshape(components)
        thresholds = jnp.asarray((order + 0.5) / max(order.size, 1), jnp.float32).reshape(*components, *(1,) * vectors)
        return jnp.where(along(places, a) > thresholds[None], b[None], a[None])

    return jax.tree.map(steps, start, end)


def nearest_codes(codebook: Float[Array, "codes n"]) -> Path:
    """Of codes of a codebook: each takes the code nearest to the straight line between the two vectors.

    k(t) = argmin_k | e_k - (1 - t) e_a - t e_b |
    """

    def path(start: Integer[Array, "*event"], end: Integer[Array, "*event"], places: Float[Array, "steps"]):
        line = straight(codebook[start], codebook[end], places)
        dots = jnp.tensordot(line, codebook, axes=([-1], [-1]))
        norms = jnp.broadcast_to(jnp.sum(jnp.square(codebook), axis=-1), dots.shape)
        return jnp.argmin(norms - 2.0 * dots, axis=-1).astype(jnp.result_type(start))

    return path


PATHS: Mapping[type, Path] = {
    VonMisesFisher: great_circle,
    PowerSpherical: great_circle,
    UniformSphere: great_circle,
    VonMises: shorter_arc,
    UniformCircle: shorter_arc,
    StraightThroughCategorical: partial(stepwise, vectors=True),
    ExpRelaxedCategorical: line_of_probabilities,
}
"""The path by the family of a posterior or prior. Of no row, real numbers go straight and classes stepwise."""


def path_of(latent: Latent, table: Mapping[type, Path] = PATHS) -> Path:
    """The path of a latent space, by the type of the group's posterior, then of its prior; shapes are enough."""
    prior: Any = latent.prior.base if isinstance(latent.prior, AtSample) else latent.prior
    for family in (type(latent.posterior), type(prior)):
        if family in table:
            return table[family]
    return straight if is_continuous(latent.posterior) else partial(stepwise, vectors=False)


def between(trained: Trained, start: tuple, end: tuple, steps: int, paths: Sequence[Path] | None = None) -> tuple:
    """(pairs, steps, ...) codes of each group on the way between those of each pair; see `generate.interpolate`.

    Raises ValueError for fewer than two steps, and for another number of paths than of groups.
    """
    if steps < 2:
        raise ValueError(f"steps is {steps}; wanted at least 2, the codes at both ends.")
    chosen = paths_of(trained) if paths is None else tuple(paths)
    chosen = chosen or (straight,) * len(start)
    if len(chosen) != len(start):
        raise ValueError(f"got {len(chosen)} paths for {len(start)} latent groups; wanted one for each.")
    places = jnp.linspace(0.0, 1.0, steps)
    walks = (lambda a, b, path=path: path(a, b, places) for path in chosen)
    return tuple(jax.vmap(walk)(a, b) for walk, a, b in zip(walks, start, end, strict=True))


def paths_of(trained: Trained) -> tuple[Path, ...]:
    """The path of each latent group by its family; () where nothing is known of the data, or where there is no group."""
    return () if trained.spec is None else tuple(map(path_of, shapes_of_pass(trained, trained.spec).latents))
