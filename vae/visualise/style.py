"""The look that all figures share, the checks of what comes in, and writing a figure to a file."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    import matplotlib.figure

DPI = 150  # pixels of the file per inch; the layout of images counts in these pixels

INK = "#222222"
FAINT = "#6b6b6b"
HAIRLINE = "#b4b4b4"
SHADE = "#ececec"

# Ten colours that stay apart under the common kinds of colour blindness: M. Petroff 2021, arXiv:2107.02270.
PALETTE = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")

LOOK = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.dpi": DPI,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "font.size": 9,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "text.color": INK,
    "text.parse_math": False,  # a label with two dollar signs in it is a label, not a formula
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
}


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """Draw in our look, whatever the user's own matplotlib settings are, and leave those as they were."""
    import matplotlib.style

    with matplotlib.style.context(["default", LOOK]):
        yield


@house_style()
def save(figure: "matplotlib.figure.Figure", path: str | os.PathLike, dpi: int = DPI) -> Path:
    """Write `figure` to `path` as PNG and return the path: all of the file or nothing, and the same bytes for the same figure.

    path: ends in `.png`; missing folders are made.
    dpi:  pixels per inch. Multiples of the default keep the pixels of images square.
    Raises ValueError for another ending.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"save got the path {str(path)!r}, wanted one that ends in .png: it writes nothing but PNG.")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(unfinished, format="png", dpi=dpi, metadata={"Software": None})
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def new_figure(width: float, height: float, title: str) -> "matplotlib.figure.Figure":
    """An empty figure of `width` x `height` inches with a title, whose parts make room for each other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", wrap=True)
    return figure


def unit_images(name: str, images: Any, axes: str = "N, H, W, C") -> np.ndarray:
    """`images` as float32 in [0, 1]; `name` and `axes` say in errors what they are and how they should be shaped.

    Takes uint8 in 0..255, bool, or floats in [0, 1]; floats outside by no more than rounding (1e-4) are clipped.
    Raises ValueError for another rank, an empty axis, another dtype, a value outside or a NaN.
    """
    array = np.asarray(images)
    if array.ndim != len(axes.split(", ")) or 0 in array.shape:
        raise ValueError(
            f"{name} got shape {array.shape}, wanted ({axes}) with no empty axis: gray images need a last axis of 1."
        )
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255)
    if array.dtype != np.bool_ and not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} got {array.dtype}, wanted floats in [0, 1] or uint8 in 0..255: convert them first.")
    array = array.astype(np.float32)
    low, high = float(np.min(array)), float(np.max(array))
    if not (low >= -1e-4 and high <= 1 + 1e-4):
        raise ValueError(f"{name} got values from {low:g} to {high:g}, wanted [0, 1] without NaN: rescale or clip them first.")
    return np.clip(array, 0.0, 1.0)


def finite(name: str, values: Any, axes: str) -> np.ndarray:
    """`values` as float64, refused with ValueError where the rank is not that of `axes`, where empty, NaN or infinite."""
    array = np.asarray(values, np.float64)
    if array.ndim != len(axes.split(", ")) or array.size == 0:
        raise ValueError(f"{name} got shape {array.shape}, wanted ({axes}) with at least one entry.")
    if not np.all(np.isfinite(array)):
        count = int(np.sum(~np.isfinite(array)))
        raise ValueError(
            f"{name} got {count} of {array.size} values that are NaN or infinite, wanted finite numbers: leave them out."
        )
    return array


def same_length(name: str, values: Any, length: int, what: str) -> None:
    """Refuse optional `values` (None passes) that do not number `length`."""
    if values is not None and len(values) != length:
        raise ValueError(f"{name} got {len(values)} entries, wanted {length}: one for each {what}.")
