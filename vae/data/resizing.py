"""Images made smaller by averages over areas, in whole numbers, so that they are the same on every machine."""

import numpy as np


def area_average(images: np.ndarray, side: int) -> np.ndarray:
    """(N, S, S, C) bytes -> (N, side, side, C): the mean of what lies under each new pixel, rounded to the nearest.

    A pixel that lies under several counts by the area that it has in each. Raises ValueError for images that are not square, or
    smaller than `side`. `vae.data.sources.emoji` has the average of colours that are seen by their alpha.
    """
    size = images.shape[1]
    if images.ndim != 4 or images.shape[2] != size or not 1 <= side <= size:
        raise ValueError(f"area_average got images {images.shape} and a side of {side}; wanted square ones, none smaller.")
    return ((2 * area_sums(images, side).astype(np.int64) + size**2) // (2 * size**2)).astype(np.uint8)


def area_sums(numbers: np.ndarray, side: int) -> np.ndarray:
    """(N, S, S, C) -> (N, side, side, C): sums over areas, in which a whole old pixel counts side^2 and all S^2 together.

    Exact as long as they stay under 2^53: whole numbers in float64.
    """
    weights = overlaps(numbers.shape[1], side)
    return np.einsum("ih,jw,nhwc->nijc", weights, weights, numbers.astype(np.float64), optimize=True)


def overlaps(size: int, side: int) -> np.ndarray:
    """(side, size): how much of each of `size` pixels lies in each of `side`, in 1/side of a pixel; a row sums to `size`."""
    old, new = side * np.arange(size), size * np.arange(side)[:, None]
    return np.maximum(np.minimum(old + side, new + size) - np.maximum(old, new), 0).astype(np.float64)
