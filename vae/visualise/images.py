"""Images side by side: grids, pairs, traversals and interpolations.

Images are (H, W, C) with floats in [0, 1] or uint8 in 0..255, and are drawn on that fixed range. Three channels or more show
the first three as red, green and blue; one or two show the first as gray. A figure says so where it leaves channels out.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from vae.visualise.style import finite, house_style, same_length, unit_images
from vae.visualise.tiles import GUTTER, LINE, Labels, Tile, tile_figure

if TYPE_CHECKING:
    import matplotlib.figure

PAIR_GAP = 22
PAIRS_PER_ROW = 10


@house_style()
def image_grid(
    images: ArrayLike,
    columns: int | None = None,
    title: str = "Images",
    note: str = "",
    row_names: Sequence[str] = (),
) -> "matplotlib.figure.Figure":
    """Images in rows of `columns`, from left to right, then down.

    images:    (N, H, W, C).
    columns:   images in a row; so many that the whole is about square where left out.
    row_names: written beside the rows, one for each; () for none.
    Raises ValueError for another rank or range, columns below 1, or another number of names than rows.
    """
    shown, channels = _visible("images", images)
    count, height, width, _ = shown.shape
    if columns is not None and columns < 1:
        raise ValueError(f"image_grid got columns={columns}, wanted at least 1: leave it out to have it chosen.")
    columns = min(columns or int(np.ceil(np.sqrt(count * height / width))), count)
    rows = [[Tile(image) for image in shown[start : start + columns]] for start in range(0, count, columns)]
    same_length("row_names", row_names or None, len(rows), "row")
    return tile_figure(rows, Labels(title, _sentences(note, channels), rows=row_names))


@house_style()
def reconstructions(
    originals: ArrayLike,
    reconstructions: ArrayLike,
    columns: int = PAIRS_PER_ROW,
    title: str = "Reconstructions",
    note: str = "",
) -> "matplotlib.figure.Figure":
    """Each original with its reconstruction below it.

    originals, reconstructions: (N, H, W, C), the same shape.
    Raises ValueError for another rank, shape or range.
    """
    note = note or "Upper row of each pair: what the encoder saw. Lower row: what the decoder makes of its code."
    return _pairs(
        ("originals", originals), ("reconstructions", reconstructions), ("original", "reconstruction"), columns, title, note
    )


@house_style()
def samples_with_neighbours(
    samples: ArrayLike,
    neighbours: ArrayLike,
    distances: ArrayLike | None = None,
    columns: int = PAIRS_PER_ROW,
    title: str = "Samples and their nearest training images",
    note: str = "",
) -> "matplotlib.figure.Figure":
    """Each sample with the training image nearest to it below it, which shows whether the model repeats its training set.

    samples, neighbours: (N, H, W, C), the same shape; `nearest_training_images` finds the neighbours.
    distances:           (N,) Euclidean distances on the 0 to 1 scale of the pixels, written below each pair.
    Raises ValueError for another rank, shape or range.
    """
    captions: list[str] = []
    if distances is not None:
        captions = [f"{distance:.2f}" for distance in finite("distances", distances, "N")]
        note = _sentences(
            note, "Numbers: Euclidean distance between the two on the 0 to 1 scale of pixels; 0 is an exact copy."
        )
    names = ("sample", "nearest\ntraining image")
    return _pairs(("samples", samples), ("neighbours", neighbours), names, columns, title, note, captions)


@house_style()
def latent_traversals(
    images: ArrayLike,
    values: ArrayLike | None = None,
    kl: ArrayLike | None = None,
    dimensions: Sequence[int] | None = None,
    title: str = "Latent traversals",
    note: str = "",
) -> "matplotlib.figure.Figure":
    """One row per latent dimension: what is decoded as that dimension moves and the others stay.

    images:     (dimensions, steps, H, W, C).
    values:     (steps,) of the dimension that moves; numbered steps where left out.
    kl:         (dimensions,) KL of each row's dimension in nats, written beside it.
    dimensions: index of each row's latent dimension; 0, 1, ... where left out.
    Raises ValueError for another rank, range or length.
    """
    shown, channels = _visible("images", images, "dimensions, steps, H, W, C")
    rows, steps = shown.shape[:2]
    same_length("dimensions", dimensions, rows, "row of images")
    names = [f"z[{index}]" for index in (range(rows) if dimensions is None else dimensions)]
    if kl is not None:
        same_length("kl", kl, rows, "row of images")
        names = [f"{name}   {nats:.2f}" for name, nats in zip(names, finite("kl", kl, "dimensions"))]
    same_length("values", values, steps, "column of images")
    columns = (
        [str(step) for step in range(steps)] if values is None else [_number(v) for v in finite("values", values, "steps")]
    )
    labels = Labels(
        title,
        _sentences(note or "In each row one latent dimension moves and the others stay where they are.", channels),
        rows=names,
        columns=columns,
        x="step" if values is None else "value of the latent dimension that moves",
        y="latent dimension" if kl is None else "latent dimension, its KL in nats",
    )
    return tile_figure([[Tile(image) for image in row] for row in shown], labels)


@house_style()
def interpolation(
    images: ArrayLike,
    alphas: ArrayLike | None = None,
    originals: ArrayLike | None = None,
    title: str = "Interpolation between two test images",
    note: str = "",
) -> "matplotlib.figure.Figure":
    """One row per pair of test images A and B: what is decoded on the way from the code of A to that of B.

    images:    (pairs, steps, H, W, C), decoded; the first and the last are the reconstructions of A and B.
    alphas:    (steps,) position on the way, 0 at A and 1 at B; evenly spaced where left out.
    originals: (pairs, 2, H, W, C) the real images A and B, put at either end in a coloured frame.
    Raises ValueError for another rank, range or length.
    """
    shown, channels = _visible("images", images, "pairs, steps, H, W, C")
    pairs, steps = shown.shape[:2]
    same_length("alphas", alphas, steps, "column of images")
    positions = np.linspace(0.0, 1.0, steps) if alphas is None else finite("alphas", alphas, "steps")
    columns = [_number(position) for position in positions]
    columns[0], columns[-1] = f"{columns[0]}\ndecoded A", f"{columns[-1]}\ndecoded B"
    rows = [[Tile(image) for image in row] for row in shown]
    note = note or "Decoded at places on the way from the latent code of one test image, A, to that of another, B."
    gaps: list[int] = []
    if originals is not None:
        ends, _ = _visible("originals", originals, "pairs, 2, H, W, C")
        if ends.shape != (pairs, 2, *shown.shape[2:]):
            raise ValueError(
                f"originals got shape {ends.shape}, wanted {(pairs, 2, *shown.shape[2:])}: A and B for each row of images."
            )
        rows = [[Tile(a, emphasis=True), *row, Tile(b, emphasis=True)] for (a, b), row in zip(ends, rows)]
        columns = ["\nreal A", *columns, "\nreal B"]
        note = _sentences(note, "Coloured frames: A and B themselves.")
        gaps = [2 * GUTTER, *[0] * (steps - 1), 2 * GUTTER]
    labels = Labels(
        title,
        _sentences(note, channels),
        rows=[f"pair {index + 1}" for index in range(pairs)],
        columns=columns,
        x="place on the way between the latent codes of A (0) and B (1)",
    )
    return tile_figure(rows, labels, column_gaps=gaps)


def _pairs(
    upper, lower, names: tuple[str, str], columns: int, title: str, note: str, captions: Sequence[str] = ()
) -> "matplotlib.figure.Figure":
    """Rows of pairs, one image above the other; `upper` and `lower` are (name for errors, images)."""
    above, channels = _visible(*upper)
    below, _ = _visible(*lower)
    if above.shape != below.shape:
        raise ValueError(f"{lower[0]} got shape {below.shape}, wanted that of {upper[0]}, {above.shape}: one for each.")
    if columns < 1:
        raise ValueError(f"{upper[0]} got columns={columns}, wanted at least 1.")
    same_length("distances", captions or None, len(above), "pair")
    texts = list(captions) or [""] * len(above)
    rows = []
    for start in range(0, len(above), columns):
        part = slice(start, start + columns)
        rows += [[Tile(a) for a in above[part]], [Tile(b, text) for b, text in zip(below[part], texts[part])]]
    between = PAIR_GAP + (LINE if captions else 0)
    gaps = [-GUTTER // 2, *[between, -GUTTER // 2] * (len(rows) // 2 - 1)]
    return tile_figure(rows, Labels(title, _sentences(note, channels), rows=names * (len(rows) // 2)), row_gaps=gaps)


def _visible(name: str, images: ArrayLike, axes: str = "N, H, W, C") -> tuple[np.ndarray, str]:
    """Checked images with the channels that are shown, 1 or 3, and a sentence where that leaves some out."""
    checked = unit_images(name, images, axes)
    channels = checked.shape[-1]
    if channels in (1, 3):
        return checked, ""
    if channels == 2:
        return checked[..., :1], "Only the first of 2 channels is shown."
    return checked[..., :3], f"The first 3 of {channels} channels are shown as red, green and blue."


def _sentences(*parts: str) -> str:
    """The parts that are not empty, one after the other."""
    return " ".join(part for part in parts if part)


def _number(value: float) -> str:
    """A short number with a real minus sign."""
    return f"{round(value, 3) + 0.0:.3g}".replace("-", "\N{MINUS SIGN}")
