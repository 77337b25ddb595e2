"""Images side by side: grids, stacks, traversals and interpolations.

Images are (H, W, C) with floats in [0, 1] or uint8 in 0..255, and are drawn on that fixed range: one channel as gray, three as
red, green and blue, a fourth as how opaque these are, over a checkerboard (colours that are not multiplied by it, as in a PNG
file). Of two channels the first is shown, of five or more the first three; a figure says so where it leaves channels out.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from vae.visualise.style import finite, house_style, same_length, unit_images
from vae.visualise.tiles import GUTTER, LINE, Labels, Tile, tile_figure

if TYPE_CHECKING:
    import matplotlib.figure

PAIR_GAP = 22
STACKS_PER_ROW = 10
BOARD = (0.85, 1.0)  # the two grays of the board


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
    columns: int = STACKS_PER_ROW,
    title: str = "Reconstructions",
    note: str = "",
) -> "matplotlib.figure.Figure":
    """Each original with its reconstruction below it.

    originals, reconstructions: (N, H, W, C), the same shape.
    Raises ValueError for another rank, shape or range.
    """
    note = note or "Upper row of each pair: what the encoder saw. Lower row: what the decoder makes of its code."
    rows = {"original": ("originals", originals), "reconstruction": ("reconstructions", reconstructions)}
    return _stacks(rows, columns, title, note)


@house_style()
def samples(
    means: ArrayLike,
    draws: ArrayLike | None = None,
    neighbours: ArrayLike | None = None,
    distances: ArrayLike | None = None,
    columns: int = STACKS_PER_ROW,
    title: str = "Samples: decoder means",
    note: str = "",
) -> "matplotlib.figure.Figure":
    """The decoder's mean at each sample of z, below it a draw of x, and below that the training image nearest to the mean.

    A mean is smoother than any example; draws show what p(x|z) adds to it. A neighbour shows whether the model repeats its
    training set.

    means:      (N, H, W, C) E[x | z].
    draws:      the same shape, x from p(x | z); left out where None.
    neighbours: the same shape; `nearest_training_images` finds them. Left out where None.
    distances:  (N,) Euclidean distances of means and neighbours on the 0 to 1 scale of the pixels, written below.
    Raises ValueError for another rank, shape or range.
    """
    captions: list[str] = []
    if distances is not None:
        captions = [f"{distance:.2f}" for distance in finite("distances", distances, "N")]
        note = _sentences(
            note, "Numbers: Euclidean distance of mean and training image on the 0 to 1 scale of pixels; 0 is an exact copy."
        )
    rows = {"decoder mean": ("means", means)}
    rows |= {} if draws is None else {"draw from\np(x|z)": ("draws", draws)}
    rows |= {} if neighbours is None else {"training image\nnearest to the mean": ("neighbours", neighbours)}
    return _stacks(rows, columns, title, note, captions)


@house_style()
def samples_by_row(
    means: ArrayLike,
    draws: ArrayLike | None = None,
    title: str = "Samples: decoder means",
    note: str = "",
    row_names: Sequence[str] = (),
) -> "matplotlib.figure.Figure":
    """Rows of decoder means at samples of z, and on the right a draw of x at each of them, in the same order.

    means:     (rows, columns, H, W, C) E[x | z].
    draws:     the same shape, x from p(x | z); left out where None.
    row_names: written beside the rows, one for each; () for none.
    Raises ValueError for another rank, shape or range, or another number of names than rows.
    """
    left, channels = _visible("means", means, "rows, columns, H, W, C")
    rows, columns = left.shape[:2]
    same_length("row_names", row_names or None, rows, "row")
    tiles, gaps = [[Tile(image) for image in row] for row in left], []
    if draws is not None:
        right, _ = _visible("draws", draws, "rows, columns, H, W, C")
        _require_same_shape("draws", right, "means", left)
        tiles = [[*row, *(Tile(image) for image in others)] for row, others in zip(tiles, right)]
        note = _sentences(note, "Left: decoder means. Right: at each of them a draw from p(x|z), in the same order.")
        gaps = [0] * (columns - 1) + [PAIR_GAP] + [0] * (columns - 1)
    return tile_figure(tiles, Labels(title, _sentences(note, channels), rows=row_names), column_gaps=gaps)


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


def _stacks(
    layers: Mapping[str, tuple[str, ArrayLike]], columns: int, title: str, note: str, captions: Sequence[str] = ()
) -> "matplotlib.figure.Figure":
    """Images that belong together one above the other, in rows of `columns`.

    layers: name in the figure -> (name in errors, images).
    """
    (first, images), *others = layers.values()
    above, channels = _visible(first, images)
    shown = [above]
    for name, images in others:
        shown.append(_visible(name, images)[0])
        _require_same_shape(name, shown[-1], first, above)
    if columns < 1:
        raise ValueError(f"{first} got columns={columns}, wanted at least 1.")
    same_length("distances", captions or None, len(above), "mean")
    texts = [[""] * len(above)] * (len(shown) - 1) + [list(captions) or [""] * len(above)]
    rows = []
    for start in range(0, len(above), columns):
        part = slice(start, start + columns)
        rows += [[Tile(image, text) for image, text in zip(i[part], t[part])] for i, t in zip(shown, texts)]
    within, between = [-GUTTER // 2] * (len(shown) - 1), PAIR_GAP + (LINE if captions else 0)
    gaps = [*within, *[between, *within] * (len(rows) // len(shown) - 1)]
    names = list(layers) * (len(rows) // len(shown)) if len(shown) > 1 else []
    return tile_figure(rows, Labels(title, _sentences(note, channels), rows=names), row_gaps=gaps)


def _require_same_shape(name: str, images: np.ndarray, first: str, others: np.ndarray) -> None:
    if images.shape != others.shape:
        raise ValueError(f"{name} got shape {images.shape}, wanted that of {first}, {others.shape}: one for each.")


def _visible(name: str, images: ArrayLike, axes: str = "N, H, W, C") -> tuple[np.ndarray, str]:
    """Checked images with the channels that are shown, 1 or 3, and a sentence where that leaves some out."""
    checked = unit_images(name, images, axes)
    channels = checked.shape[-1]
    if channels in (1, 3):
        return checked, ""
    if channels == 4:
        return over_checkerboard(checked), "Checkerboard: seen through what is transparent."
    if channels == 2:
        return checked[..., :1], "Only the first of 2 channels is shown."
    return checked[..., :3], f"The first 3 of {channels} channels are shown as red, green and blue."


def over_checkerboard(images: np.ndarray) -> np.ndarray:
    """(..., H, W, 4) in [0, 1] -> (..., H, W, 3): alpha colour + (1 - alpha) board, on squares of about an eighth of a side."""
    height, width = images.shape[-3:-1]
    square = max(1, min(height, width) // 8)
    odd = (np.arange(height)[:, None] // square + np.arange(width) // square) % 2
    board = np.where(odd, *BOARD).astype(np.float32)[..., None]
    colours, alpha = np.split(images, [3], axis=-1)
    return alpha * colours + (1.0 - alpha) * board


def _sentences(*parts: str) -> str:
    """The parts that are not empty, one after the other."""
    return " ".join(part for part in parts if part)


def _number(value: float) -> str:
    """A short number with a real minus sign."""
    return f"{round(value, 3) + 0.0:.3g}".replace("-", "\N{MINUS SIGN}")
