"""From arrays as users have them to stored form: uint8 (N, H, W, C) images, int32 labels, or one sentence that says why not."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def as_pixels(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The images of all splits as uint8 (N, H, W, C).

    Accepted, judged over all splits together so that they are scaled alike:
        whole numbers in 0 ... 255       kept
        whole numbers that are 0 or 1    off and on: times 255, as are booleans
        floats in [0, 1]                 times 255, rounded to the nearest
    (N, H, W) gets a channel axis.

    Raises a ValueError for NaN, other values, other shapes and empty arrays.
    """
    shaped = {split: _with_channels(split, array) for split, array in arrays.items()}
    for split, array in shaped.items():
        first, shape = next(iter(shaped)), next(iter(shaped.values())).shape[1:]
        if array.shape[1:] != shape:
            raise ValueError(
                f"the images have mixed sizes: {first} is {shape} but {split} is {array.shape[1:]}: crop or resize them to one."
            )
    lowest = min(_extreme(np.min, array, split) for split, array in shaped.items())
    highest = max(_extreme(np.max, array, split) for split, array in shaped.items())
    if lowest < 0 or highest > 255:
        raise ValueError(
            f"pixels lie in {lowest:g} ... {highest:g}, wanted 0 ... 255, or floats in 0 ... 1: rescale the images."
        )
    return {split: _to_uint8(array, 255 if highest <= 1 else 1) for split, array in shaped.items()}


def as_labels(split: str, labels: Any, count: int) -> np.ndarray | None:
    """Labels as int32, (N,) classes or (N, F) factors; (N, 1) counts as (N,); None stays None.

    Raises a ValueError where they are not whole numbers or not `count` many.
    """
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.dtype.kind not in "biu" or labels.ndim not in (1, 2):
        raise ValueError(
            f"the {split} labels are {labels.dtype} of shape {labels.shape}, wanted whole numbers of shape (N,) or (N, F):"
            " number the classes."
        )
    if len(labels) != count:
        raise ValueError(f"the {split} split has {count} images but {len(labels)} labels: give one label per image.")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    return labels.astype(np.int32)


def _with_channels(split: str, array: Any) -> np.ndarray:
    try:
        images = np.asarray(array)
    except ValueError as error:  # NumPy's word for a ragged list
        raise ValueError(f"the {split} images have mixed sizes: crop or resize them to one.") from error
    images = images[..., None] if images.ndim == 3 else images
    if images.dtype.kind not in "biuf":
        raise ValueError(f"the {split} images are of type {images.dtype}, wanted numbers in 0 ... 255, all of one size.")
    if images.ndim != 4 or not 1 <= images.shape[-1] <= 4:
        raise ValueError(
            f"the {split} images have shape {np.shape(array)}, wanted (N, H, W) or (N, H, W, C) with 1 to 4 channels last:"
            " reshape them."
        )
    if images.size == 0:
        raise ValueError(f"the {split} split is empty (shape {images.shape}): give at least one image.")
    return images


def _extreme(reduce, images: np.ndarray, split: str) -> float:
    value = float(reduce(images))
    if np.isnan(value):
        count = int(np.isnan(images).sum())
        raise ValueError(f"the {split} images hold {count} NaN pixels, wanted numbers in 0 ... 255: clean the data first.")
    return value


def _to_uint8(images: np.ndarray, scale: int) -> np.ndarray:
    if images.dtype == np.uint8 and scale == 1:
        return images
    scaled = (
        np.rint(images.astype(np.float64) * scale) if images.dtype.kind == "f" else images.astype(np.uint8) * np.uint8(scale)
    )
    if scale == 1 and images.dtype.kind == "f" and not np.array_equal(scaled, images):
        raise ValueError(
            f"pixels are fractions up to {images.max():g}, wanted floats in 0 ... 1 or whole numbers in 0 ... 255:"
            " rescale the images."
        )
    return scaled.astype(np.uint8)
