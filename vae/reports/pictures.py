"""What of a model, and of its data, is a picture, and how it becomes one; found from shapes and families alone."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae.evaluation.examples import Examples
from vae.spaces import DataSpace
from vae.spec import Data
from vae.trained import Trained
from vae.types import PyTree, Trace

PICTURED_SPACES: tuple[DataSpace, ...] = ("binary", "unit_interval", "uint8", "real")
WALKED_SPACES: tuple[DataSpace, ...] = ("unit_interval", "real")
CHANNELS = (1, 2, 3, 4)


class Drawable(NamedTuple):
    """What the figures of one latent group, or of the whole model, can be made of.

    sizes:     by group, how many numbers a value has.
    has_means: by group, whether the posterior has a closed-form mean that is of the shape and kind of a value, reals.
    walkable:  by group, whether its values are vectors of real numbers, along which one can go.
    pictures:  whether an example, and the decoder's mean, is an image.
    draws:     whether p(x|z) can be drawn from.
    """

    sizes: tuple[int, ...]
    has_means: tuple[bool, ...]
    walkable: tuple[bool, ...]
    pictures: bool
    draws: bool


def what_can_be_drawn(trained: Trained, examples: Examples) -> Drawable:
    """Which figures a model can have, found without computing anything."""
    first = jax.tree.map(lambda leaf: leaf[0], (examples.x, examples.context))

    def traced(trained: Trained, x: PyTree, context: PyTree) -> tuple:
        trace: Trace = trained.infer(x, context)(jax.random.key(0))
        means = tuple(_mean_of(latent.posterior) for latent in trace.latents)
        return trace.latents, means, _mean_of(trace.likelihood), _draw_of(trace.likelihood)

    latents, means, decoded, drawn = jax.eval_shape(traced, trained, *first)
    return Drawable(
        sizes=tuple(sum(leaf.size for leaf in jax.tree.leaves(latent.value)) for latent in latents),
        has_means=tuple(_is_real(latent.value) and _same_kind(mean, latent.value) for mean, latent in zip(means, latents)),
        walkable=tuple(
            _is_real(latent.value) and latent.value.ndim == 1 and latent.posterior.data_space in WALKED_SPACES
            for latent in latents
        ),
        pictures=_is_array(decoded) and is_picture(trained.spec, decoded),
        draws=_is_array(drawn) and _is_array(decoded) and drawn.shape == decoded.shape,
    )


def is_picture(spec: Data | None, array: Any) -> bool:
    """Whether data are gray or colour images and an array, or its shape, is one of them."""
    if spec is None or spec.space not in PICTURED_SPACES or tuple(array.shape)[-len(spec.shape) :] != tuple(spec.shape):
        return False
    return len(spec.shape) == 2 or (len(spec.shape) == 3 and spec.shape[-1] in CHANNELS)


def picture(images: Any, trained: Trained) -> np.ndarray:
    """`as_picture` of a model's images, with an axis of channels."""
    space, shape = (trained.spec.space, trained.spec.shape) if trained.spec else ("real", ())
    array = as_picture(images, space)
    return array[..., None] if len(shape) == 2 else array


def as_picture(images: Any, space: str) -> np.ndarray:
    """Images as floats in [0, 1]: the 256 values are scaled, what lies outside the range is cut off at its ends."""
    array = np.asarray(images, np.float32)
    return np.clip(array / np.float32(255.0) if space == "uint8" else array, 0.0, 1.0)


def some_rows(tree: PyTree, rows: Any) -> PyTree:
    """Rows of every array of a tree."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[rows], tree)


def _mean_of(distribution: Any) -> Any:
    """The mean of a family that has one in closed form, else None."""
    return getattr(distribution, "mean", None)


def _draw_of(likelihood: Any) -> Any:
    """A draw of a likelihood, None where it has none, which a family says by a TypeError."""
    try:
        return likelihood.sample(jax.random.key(0))
    except TypeError:
        return None


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.ShapeDtypeStruct)


def _is_real(value: Any) -> bool:
    """Whether a value is real numbers, at least one: a group without a dimension has nothing to draw."""
    return _is_array(value) and value.size > 0 and jnp.issubdtype(value.dtype, jnp.floating)


def _same_kind(mean: Any, value: Any) -> bool:
    """Whether a mean is an array of the shape and type of a value; that of a class is not."""
    return _is_array(mean) and (mean.shape, mean.dtype) == (value.shape, value.dtype)
