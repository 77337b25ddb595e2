"""The figures of a run, from its model and its data."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import vae
from vae import visualise
from vae.data.dataset import Dataset
from vae.data.view import stored_images
from vae.evaluation import generate
from vae.evaluation.latents import active_units, encode
from vae.training.records import Record

PICTURE_SEED = 7
PAIRS, SHOWN_DIMENSIONS = 20, 12
NEIGHBOUR_LIMIT = 60_000


def draw_all(
    folder: Path,
    loaded: vae.Loaded,
    dataset: Dataset,
    x: jax.Array,
    labels: Any,
    numbers: dict[str, Any],
    records: list[Record],
) -> None:
    """Draw and save every figure of a run."""
    trained = vae.Trained(loaded.model, loaded.params, loaded.model_state, spec=loaded.data)
    show = partial(as_picture, space=loaded.data.space)
    keys = jax.random.split(jax.random.key(PICTURE_SEED), 4)
    means = np.asarray(encode(trained, x, keys[0])[0])
    kl = np.asarray(numbers["kl_per_dimension"][0])
    figures = {
        "reconstructions": reconstructions(trained, show, x, keys[0]),
        "samples_prior": samples(trained, show, dataset, generate.sample_prior(trained, keys[1], PAIRS), "the prior"),
        "samples_aggregate": samples(
            trained, show, dataset, generate.sample_aggregate(trained, x, keys[2], PAIRS), "the aggregate posterior"
        ),
        "latent_means": visualise.latent_means(means.reshape(len(means), -1), *classes(labels, dataset.label_names)),
        "kl_per_dimension": visualise.kl_per_dimension(
            kl, np.asarray(active_units(means)) if kl.shape == means.shape[1:] else None
        ),
        "training_curves": visualise.training_curves(records),
    }
    if means.ndim == 2:  # a grid of codes (categorical variables) has no straight lines to walk along
        figures |= {"traversals": traversals(trained, show, means, kl), "interpolation": interpolation(trained, show, x, means)}
    for name, figure in figures.items():
        visualise.save(figure, folder / f"{name}.png")


def reconstructions(trained: vae.Trained, show: Callable, x: jax.Array, key: jax.Array):
    """Test images beside what the decoder makes of their codes."""
    return visualise.reconstructions(show(x[:PAIRS]), show(generate.reconstruct(trained, x[:PAIRS], key)))


def samples(trained: vae.Trained, show: Callable, dataset: Dataset, values: tuple, source: str):
    """Samples beside their nearest training images."""
    images = show(generate.decode_means(trained, values))
    training = dataset.train.x[:NEIGHBOUR_LIMIT]
    training = stored_images(dataset, training[:5_000]) if dataset.render else training
    nearest, distances = visualise.nearest_training_images(images, training)
    neighbours = np.stack([training[int(i)] for i in nearest])
    return visualise.samples_with_neighbours(
        images, as_picture(neighbours, "uint8"), distances, title=f"Samples from {source} and their nearest training images"
    )


def traversals(trained: vae.Trained, show: Callable, means: np.ndarray, kl: np.ndarray):
    """The dimensions with the most KL, moved between -2.5 and 2.5 around one test image's code.

    Where the KL does not split into dimensions, those whose means vary the most.
    """
    split = kl.shape == means.shape[1:]
    order = np.argsort(-(kl if split else means.var(axis=0)))[:SHOWN_DIMENSIONS]
    values = np.linspace(-2.5, 2.5, 9, dtype=np.float32)
    images = generate.traverse(trained, (jnp.asarray(means[0]),), order, jnp.asarray(values))
    return visualise.latent_traversals(show(images), values, kl[order] if split else None, [int(i) for i in order])


def interpolation(trained: vae.Trained, show: Callable, x: jax.Array, means: np.ndarray):
    """Straight lines between the codes of pairs of test images."""
    images = generate.interpolate(trained, (jnp.asarray(means[:6:2]),), (jnp.asarray(means[1:6:2]),), 9)
    ends = show(x[:6]).reshape(3, 2, *x.shape[1:])
    return visualise.interpolation(show(images), originals=ends)


def classes(labels: Any, names: tuple[str, ...]) -> tuple[Any, Any]:
    """Labels and their names for a scatter plot: the classes, or the first factor of variation."""
    if labels is None:
        return None, None
    return (labels, names or None) if np.ndim(labels) == 1 else (labels[:, 0], None)


def as_picture(images: Any, space: str) -> np.ndarray:
    """Images as floats in [0, 1]: the 256 values are scaled, a Gaussian's mean is cut off at the ends of the range."""
    array = np.asarray(images, np.float32)
    return np.clip(array / np.float32(255.0) if space == "uint8" else array, 0.0, 1.0)
