"""Which training images a sample resembles: the first question about memorisation."""

import jax
import numpy as np
from numpy.typing import ArrayLike

from vae.visualise.style import unit_images

CHUNK_VALUES = 2**22  # pixels of the training set at a time: 32 MB as float64, about 90 MB with what is computed from them


def nearest_training_images(
    samples: ArrayLike, training_images: np.ndarray | jax.Array, chunk: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest training image of each sample, in Euclidean distance between pixels on the scale from 0 to 1.

        ||s - t||^2 = ||s||^2 - 2 s.t + ||t||^2,    one matrix product per chunk of training images

    The product finds the neighbour, in float64 because the sum cancels for near copies; its distance is then taken from the
    difference itself, so a copy has a distance of exactly 0. Among equals the first training image is returned.

    samples:         (N, H, W, C), floats in [0, 1] or uint8.
    training_images: (M, H, W, C), the same; a memory-mapped file is read once, chunk by chunk.
    chunk:           training images at a time; chosen to take about 90 MB where left out.
    Returns indices (N,) into the training images and distances (N,).
    Raises ValueError for images of another shape or range, or a chunk below 1.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"nearest_training_images got chunk={chunk}, wanted at least 1: leave it out to have it chosen.")
    wanted = _rows("samples", samples)
    shape = np.shape(training_images)
    if len(shape) != 4 or shape[0] == 0 or shape[1:] != np.shape(samples)[1:]:
        raise ValueError(
            f"training_images got shape {shape}, wanted (M, H, W, C) with the images of shape {np.shape(samples)[1:]}."
        )
    chunk = chunk or max(1, CHUNK_VALUES // wanted.shape[1])

    best = np.full(len(wanted), np.inf)
    indices = np.zeros(len(wanted), np.int64)
    for start in range(0, shape[0], chunk):
        candidates = _rows("training_images", training_images[start : start + chunk])
        squared = np.sum(candidates**2, axis=1) - 2.0 * (wanted @ candidates.T)  # ||s||^2 is the same for all of a row
        local = np.argmin(squared, axis=1)
        smallest = squared[np.arange(len(wanted)), local]
        indices = np.where(smallest < best, start + local, indices)
        best = np.minimum(smallest, best)
    neighbours = _rows("training_images", np.stack([training_images[int(i)] for i in indices]))
    return indices, np.linalg.norm(wanted - neighbours, axis=1)


def _rows(name: str, images: ArrayLike) -> np.ndarray:
    """Images as rows of float64 pixels in [0, 1]."""
    checked = unit_images(name, images)
    return checked.reshape(len(checked), -1).astype(np.float64)
