"""How a data set is shown to a model: binarised or not, in training and, always the same, in evaluation."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32

from vae.data import pixels
from vae.data.dataset import SPLITS, Dataset, Split, as_split
from vae.data.feeds import Feed, Splits, feed
from vae.data.keyed import binarise
from vae.data.loading import load
from vae.data.sources.function import PATTERN, find_function
from vae.spaces import DataSpace
from vae.spec import Data
from vae.types import Key, PyTree

MEAN_IMAGES = 10_000
"""Training images from which the mean image is taken, at most."""

VALIDATION_LIMIT = 5_000
TEST_LIMIT = 10_000


class View(NamedTuple):
    """How pixels are shown.

    space: the space the values are in.
    train: (key, uint8 pixels) -> what the model sees, inside the step.
    store: (uint8 pixels, salt) -> the pixels to store for training, before the first step.
    fixed: (uint8 pixels, salt) -> what the model sees in evaluation, the same for ever.
    """

    space: DataSpace
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
    "none": View("unit_interval", pixels.unit_interval, _unchanged, _unit_interval),
    "uint8": View("uint8", pixels.stored, _unchanged, _unchanged),
}
"""By the name of the binarisation: fresh draws every step, one fixed draw, gray in [0, 1], or the 256 values as they are."""

BINARY = View("binary", pixels.binary, _unchanged, _zero_or_one)
"""Of a data set whose pixels are 0 and 255 as they come: nothing is left to draw."""


def view_of(dataset: Dataset, binarisation: str | None) -> View:
    """The view of a data set; a binary one needs no binarisation. ValueError names the known binarisations.

    binarisation: None is "dynamic" for images of one channel and "uint8" for colours, which are no longer ones once each of
                  their channels is drawn on its own.
    """
    if binarisation is None:
        binarisation = "dynamic" if dataset.binary or dataset.shape[-1] == 1 else "uint8"
    if binarisation not in VIEWS:
        raise ValueError(f"binarisation is {binarisation!r}; wanted one of {', '.join(VIEWS)}.")
    return BINARY if dataset.binary and binarisation != "uint8" else VIEWS[binarisation]


def training_feed(dataset: Dataset, binarisation: str | None = None, *, resident: bool | None = None) -> Feed:
    """The training split as `vae.fit` takes it, with the mean image for the decoder's output bias."""
    view = view_of(dataset, binarisation)
    stored = view.store(dataset.train.x, "train") if dataset.render is None else dataset.train.x
    unit = 255.0 if view.space == "uint8" else 1.0
    spec = Data(shape=dataset.shape, space=view.space, mean=mean_image(dataset) * unit)
    return feed(stored, partial(_prepare, dataset.render, view.train), spec=spec, resident=resident)


def _prepare(render: Callable | None, show: Callable, key: Key, stored: PyTree) -> tuple[PyTree, PyTree]:
    images = stored if render is None else jax.vmap(render)(stored)
    return show(key, images), ()


def image_splits(
    dataset: Dataset | str, binarisation: str | None = None, *, conditional: bool | str | Callable[[Any], Any] = False
) -> Splits:
    """A data set of images as an experiment takes it: training as `training_feed` shows it, the others always the same.

    dataset:      a Dataset, or its name for `vae.data.load`.
    binarisation: a name in `VIEWS`; None draws gray pixels afresh every step and shows colours as the 256 values.
    conditional:  whether labels are the context, and how. True: one-hot where they are classes, as numbers where they are
                  factors; "one-hot": also of every factor, side by side; "integer": as they are, for an embedding; or a
                  function, or its "module:function", of one example's label, an int32 scalar or vector.

    The first `VALIDATION_LIMIT` and `TEST_LIMIT` examples are used; labels colour the figures in any case. Raises ValueError
    for a conditional set without labels, or with a class that no training image has.

    >>> vae.data.image_splits("digits", conditional=True).train.spec.context.shape
    (10,)
    """
    dataset = load(dataset) if isinstance(dataset, str) else dataset
    parts: Any = {split: as_split(getattr(dataset, split)) for split in SPLITS}
    dataset = dataset._replace(**parts)
    bare = next((split for split in SPLITS if getattr(dataset, split).label is None), None)
    if conditional and bare == "train":
        raise ValueError(f"{dataset.name} has no labels to condition on; wanted a data set with labels, or conditional=False.")
    if conditional and bare:
        raise ValueError(f"the {bare} split of {dataset.name} has no labels to condition on; wanted them for every split.")
    if conditional:
        require_known_classes(dataset)
    train = training_feed(dataset, binarisation)
    context = contexts_of(dataset, conditional) if conditional else None
    if context is not None:
        train = feed((train.arrays, dataset.train.label), partial(_with_context, train.prepare, context), spec=train.spec)
    limits = {"validation": VALIDATION_LIMIT, "test": TEST_LIMIT}
    feeds = {split: evaluation_feed(dataset, split, binarisation, limit, context) for split, limit in limits.items()}
    return Splits(train=train._replace(labels=dataset.train.label, label_names=dataset.label_names), **feeds)


def evaluation_feed(
    dataset: Dataset, split: str, binarisation: str | None, limit: int, context: Callable[[Any], Array] | None = None
) -> Feed:
    """The first `limit` examples of a split as `evaluation_images` shows them, as a feed."""
    images, labels = evaluation_images(dataset, split, binarisation, limit)
    spec = Data(shape=dataset.shape, space=view_of(dataset, binarisation).space)
    shown = feed(images, spec=spec) if context is None else feed((images, labels), partial(_labelled, context), spec=spec)
    return shown._replace(labels=labels, label_names=dataset.label_names)


def require_known_classes(dataset: Dataset) -> None:
    """Refuse classes to condition on that no training image has: a model says nothing of them."""
    parts = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    labels = {name: part.label for name, part in parts.items() if part.label is not None and part.label.ndim == 1}
    for name, found in labels.items():
        unseen = np.setdiff1d(found, labels["training"])
        if len(unseen):
            raise ValueError(
                f"the {name} split of {dataset.name} has the class {unseen[0]}, which no training image has, so that a model "
                "learns nothing of it; wanted the classes of the training split: leave the others out."
            )


def contexts_of(dataset: Dataset, how: bool | str | Callable[[Any], Any] = True) -> Callable[[Any], PyTree]:
    """From a batch of labels to what is conditioned on; see `image_splits`. ValueError names the known ways."""
    labels = [part.label for part in (dataset.train, dataset.validation, dataset.test) if part.label is not None]
    if callable(how):
        return jax.vmap(how)
    if how == "integer":
        return jnp.asarray
    if isinstance(how, str) and PATTERN.fullmatch(how):
        return jax.vmap(find_function(how))
    if how not in (True, "one-hot"):
        raise ValueError(f"conditional is {how!r}; wanted True, False, one-hot, integer, a function of a label or its name.")
    highest = np.max([np.max(label, axis=0) for label in labels], axis=0)
    if labels[0].ndim == 1:
        return partial(jax.nn.one_hot, num_classes=1 + int(highest))
    return partial(jnp.asarray, dtype=jnp.float32) if how is True else partial(_one_hots, (1 + highest).tolist())


def _one_hots(sizes: list[int], labels: Array) -> Array:
    """(batch, factors) -> (batch, sum of the sizes)."""
    return jnp.concatenate([jax.nn.one_hot(labels[:, i], size) for i, size in enumerate(sizes)], axis=1)


def _with_context(prepare: Callable, context: Callable, key: Key, stored: tuple) -> tuple[PyTree, PyTree]:
    images, labels = stored
    return prepare(key, images)[0], context(labels)


def _labelled(context: Callable, key: Key, stored: tuple) -> tuple[PyTree, PyTree]:
    images, labels = stored
    return images, context(labels)


def mean_image(dataset: Dataset) -> Float32[Array, "height width channels"]:
    """The mean training image in [0, 1], of at most `MEAN_IMAGES` images spread evenly over the split."""
    stride = -(-len(dataset.train.x) // MEAN_IMAGES)
    images = stored_images(dataset, dataset.train.x[::stride])
    return jnp.asarray(images.mean(axis=0, dtype=np.float64) / 255.0, jnp.float32)


def stored_images(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """Stored examples as uint8 images."""
    return np.asarray(stored if dataset.render is None else jax.jit(jax.vmap(dataset.render))(stored))


def evaluation_images(
    dataset: Dataset, split: str, binarisation: str | None, limit: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """What a model sees of the first `limit` examples of a split in evaluation, and their labels.

    The binarisation is one fixed draw per split, whatever the seed, the machine and the training binarisation.
    """
    part: Split = getattr(dataset, split)
    images = stored_images(dataset, part.x[:limit])
    return view_of(dataset, binarisation).fixed(images, split), None if part.label is None else part.label[:limit]
