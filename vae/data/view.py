"""How a data set is shown to a model: binarised or not, in training and, always the same, in evaluation."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32

from vae.data import pixels
from vae.data.dataset import Dataset, Split
from vae.data.feeds import Feed, feed
from vae.data.keyed import binarise
from vae.types import Data, Key, PyTree

MEAN_IMAGES = 10_000
"""Training images from which the mean image is taken, at most."""


class View(NamedTuple):
    """How pixels are shown.

    space: the space the values are in.
    train: (key, uint8 pixels) -> what the model sees, inside the step.
    store: (uint8 pixels, salt) -> the pixels to store for training, before the first step.
    fixed: (uint8 pixels, salt) -> what the model sees in evaluation, the same for ever.
    """

    space: str
    train: Callable
    store: Callable
    fixed: Callable


def _unchanged(images: np.ndarray, salt: str) -> np.ndarray:
    return images


def _drawn_once(images: np.ndarray, salt: str) -> np.ndarray:
    return binarise(images, salt)


def _drawn_floats(images: np.ndarray, salt: str) -> np.ndarray:
    return binarise(images, salt).astype(np.float32)


def _unit_interval(images: np.ndarray, salt: str) -> np.ndarray:
    return images.astype(np.float32) / np.float32(255.0)


def _zero_or_one(images: np.ndarray, salt: str) -> np.ndarray:
    return (images > 0).astype(np.float32)


VIEWS = {
    "dynamic": View("binary", pixels.dynamic_binarisation, _unchanged, _drawn_floats),
    "static": View("binary", pixels.binary, _drawn_once, _drawn_floats),
    "none": View("real", pixels.unit_interval, _unchanged, _unit_interval),
    "uint8": View("uint8", pixels.stored, _unchanged, _unchanged),
}
"""By the name of the binarisation: fresh draws every step, one fixed draw, gray in [0, 1], or the 256 values as they are."""

BINARY = View("binary", pixels.binary, _unchanged, _zero_or_one)
"""Of a data set whose pixels are 0 and 255 as they come: nothing is left to draw."""


def view_of(dataset: Dataset, binarisation: str) -> View:
    """The view of a data set; a binary one needs no binarisation. ValueError names the known binarisations."""
    if binarisation not in VIEWS:
        raise ValueError(f"binarisation is {binarisation!r}; wanted one of {', '.join(VIEWS)}.")
    return BINARY if dataset.binary and binarisation != "uint8" else VIEWS[binarisation]


def training_feed(dataset: Dataset, binarisation: str, *, resident: bool | None = None) -> Feed:
    """The training split as `vae.fit` takes it, with the mean image for the decoder's output bias."""
    view = view_of(dataset, binarisation)
    stored = view.store(dataset.train.x, "train") if dataset.render is None else dataset.train.x
    spec = Data(shape=dataset.shape, space=view.space, mean=mean_image(dataset))
    return feed(stored, partial(_prepare, dataset.render, view.train), spec=spec, resident=resident)


def _prepare(render: Callable | None, show: Callable, key: Key, stored: PyTree) -> tuple[PyTree, PyTree]:
    images = stored if render is None else jax.vmap(render)(stored)
    return show(key, images), ()


def mean_image(dataset: Dataset) -> Float32[Array, "height width channels"]:
    """The mean training image in [0, 1], of at most `MEAN_IMAGES` images spread evenly over the split."""
    stride = -(-len(dataset.train.x) // MEAN_IMAGES)
    images = stored_images(dataset, dataset.train.x[::stride])
    return jnp.asarray(images.mean(axis=0, dtype=np.float64) / 255.0, jnp.float32)


def stored_images(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """Stored examples as uint8 images."""
    return np.asarray(stored if dataset.render is None else jax.jit(jax.vmap(dataset.render))(stored))


def evaluation_images(dataset: Dataset, split: str, binarisation: str, limit: int) -> tuple[np.ndarray, np.ndarray | None]:
    """What a model sees of the first `limit` examples of a split in evaluation, and their labels.

    The binarisation is one fixed draw per split, whatever the seed, the machine and the training binarisation.
    """
    part: Split = getattr(dataset, split)
    images = stored_images(dataset, part.x[:limit])
    return view_of(dataset, binarisation).fixed(images, split), None if part.label is None else part.label[:limit]
