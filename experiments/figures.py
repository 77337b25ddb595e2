"""The figures of a run, from its model and its data."""

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
PAIRS, SHOWN_DIMENSIONS = 12, 12
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
    model = (loaded.model, loaded.params, loaded.model_state)
    keys = jax.random.split(jax.random.key(PICTURE_SEED), 4)
    means = np.asarray(encode(*model, x, keys[0])[0])
    kl = np.asarray(numbers["kl_per_dimension"][0])
    figures = {
        "reconstructions": reconstructions(model, x, keys[0]),
        "samples_prior": samples(model, dataset, generate.sample_prior(*model, keys[1], PAIRS), "the prior"),
        "samples_aggregate": samples(
            model, dataset, generate.sample_aggregate(*model, x, keys[2], PAIRS), "the aggregate posterior"
        ),
        "traversals": traversals(model, means, kl),
        "interpolation": interpolation(model, x, means),
        "latent_means": visualise.latent_means(means, *classes(labels, dataset.label_names)),
        "kl_per_dimension": visualise.kl_per_dimension(kl, np.asarray(active_units(means)).reshape(-1)),
        "training_curves": visualise.training_curves(records),
    }
    for name, figure in figures.items():
        visualise.save(figure, folder / f"{name}.png")


def reconstructions(model: tuple, x: jax.Array, key: jax.Array):
    """Test images beside what the decoder makes of their codes."""
    return visualise.reconstructions(as_picture(x[:PAIRS]), as_picture(generate.reconstruct(*model, x[:PAIRS], key)))


def samples(model: tuple, dataset: Dataset, values: tuple, source: str):
    """Samples beside their nearest training images."""
    images = as_picture(generate.decode_means(*model, values))
    training = dataset.train.x[:NEIGHBOUR_LIMIT]
    training = stored_images(dataset, training[:5_000]) if dataset.render else training
    nearest, distances = visualise.nearest_training_images(images, training)
    neighbours = np.stack([training[int(i)] for i in nearest])
    return visualise.samples_with_neighbours(
        images, as_picture(neighbours), distances, title=f"Samples from {source} and their nearest training images"
    )


def traversals(model: tuple, means: np.ndarray, kl: np.ndarray):
    """The dimensions with the most KL, moved between -2.5 and 2.5 around one test image's code."""
    order = np.argsort(-kl)[:SHOWN_DIMENSIONS]
    values = np.linspace(-2.5, 2.5, 9, dtype=np.float32)
    images = generate.traverse(*model, jnp.asarray(means[0]), order, jnp.asarray(values))
    return visualise.latent_traversals(as_picture(images), values, kl[order], [int(i) for i in order])


def interpolation(model: tuple, x: jax.Array, means: np.ndarray):
    """Straight lines between the codes of pairs of test images."""
    images = generate.interpolate(*model, jnp.asarray(means[:6:2]), jnp.asarray(means[1:6:2]), 9)
    ends = as_picture(x[:6]).reshape(3, 2, *x.shape[1:])
    return visualise.interpolation(as_picture(images), originals=ends)


def classes(labels: Any, names: tuple[str, ...]) -> tuple[Any, Any]:
    """Labels and their names for a scatter plot: the classes, or the first factor of variation."""
    if labels is None:
        return None, None
    return (labels, names or None) if np.ndim(labels) == 1 else (labels[:, 0], None)


def as_picture(images: Any) -> np.ndarray:
    """Images as floats in [0, 1]: pixel values of 256 are scaled, a Gaussian's mean is cut off at the ends of the range."""
    array = np.asarray(images)
    scaled = array / np.float32(255.0) if array.dtype == np.uint8 else array
    return np.clip(scaled, 0.0, 1.0).astype(np.float32)


if __name__ == "__main__":
    raise SystemExit("figures are drawn by experiments.train and experiments.evaluate.")
