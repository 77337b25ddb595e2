"""Images that move: frames in, an animated GIF out."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import ArrayLike

from vae.visualise.tiles import GUTTER

SMALLEST = 160
"""Pixels of the shorter side of a frame, at least; images are enlarged by a whole number, so that their pixels stay square."""


def save_animation(frames: ArrayLike, path: str | os.PathLike, seconds: float = 0.1) -> Path:
    """Write frames to `path` as a GIF that runs for ever, and return the path: all of the file or nothing.

    frames:  (steps, H, W, C) or (steps, columns, H, W, C) in [0, 1], columns side by side; 1 channel is gray, 3 are colour,
             of 4 the last is opacity, on white.
    path:    ends in `.gif`; missing folders are made.
    seconds: how long a frame stands.
    Raises ValueError for another ending, another rank, or numbers that are no images.
    """
    from PIL import Image

    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"save_animation got the path {str(path)!r}, wanted one that ends in .gif.")
    pictures = [Image.fromarray(frame) for frame in enlarged(side_by_side(checked_frames(frames)))]
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    options = {"save_all": True, "append_images": pictures[1:], "duration": round(1000 * seconds), "loop": 0}
    try:
        pictures[0].save(unfinished, format="GIF", **options)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def checked_frames(frames: ArrayLike) -> np.ndarray:
    """(steps, columns, H, W, 1 or 3), gray or colour on white."""
    array = np.asarray(frames, np.float32)
    array = array[:, None] if array.ndim == 4 else array
    if array.ndim != 5 or array.shape[-1] not in (1, 3, 4) or not array.size:
        raise ValueError(f"frames got shape {np.shape(frames)}, wanted (steps, H, W, C) or (steps, columns, H, W, C).")
    if not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(f"frames got numbers from {array.min():g} to {array.max():g}, wanted all in [0, 1].")
    return array if array.shape[-1] != 4 else array[..., :3] * array[..., 3:] + (1.0 - array[..., 3:])


def side_by_side(frames: np.ndarray) -> np.ndarray:
    """(steps, H, W of all columns with a white gutter between them, C)."""
    wide = np.pad(frames, ((0, 0), (0, 0), (0, 0), (0, GUTTER), (0, 0)), constant_values=1.0)
    steps, columns, height, width, channels = wide.shape
    return wide.transpose(0, 2, 1, 3, 4).reshape(steps, height, columns * width, channels)[:, :, :-GUTTER]


def enlarged(frames: np.ndarray) -> np.ndarray:
    """As bytes, every pixel a square of several; without an axis of one channel."""
    factor = max(1, -(-SMALLEST // min(frames.shape[1:3])))
    pixels = np.round(frames * 255.0).astype(np.uint8).repeat(factor, axis=1).repeat(factor, axis=2)
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels
