"""Rows and columns of equally large images on one axes: the layout that every picture of images shares.

Lengths are in pixels of the file at `style.DPI`, and every image pixel becomes a whole number of them, so images are neither
smoothed nor unevenly stretched. The axes' own coordinates are these pixels, from the top left corner.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vae.visualise.style import DPI, FAINT, HAIRLINE, PALETTE

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

GUTTER = 6
MARGIN = 16
LINE = 21  # height of a line of small text
LONGEST_SIDE = 112  # what an image is enlarged to, where there is room
LARGEST_BODY = 1800  # what all images together are kept to, where whole pixels allow
MOST_IMAGES = 1024

SMALL, NAME, TITLE = 8.0, 9.0, 11.0  # points


class Tile(NamedTuple):
    """One image in a grid.

    image:    (H, W, C) in [0, 1] with 1 or 3 channels.
    caption:  a few characters under it.
    emphasis: whether its frame is coloured.
    """

    image: np.ndarray
    caption: str = ""
    emphasis: bool = False


class Labels(NamedTuple):
    """The words around a grid; what is empty takes no room."""

    title: str
    note: str = ""
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    x: str = ""
    y: str = ""


def tile_figure(
    tiles: Sequence[Sequence[Tile]], labels: Labels, row_gaps: Sequence[int] = (), column_gaps: Sequence[int] = ()
) -> "matplotlib.figure.Figure":
    """A figure of `tiles`, rows of tiles of one size (the last rows may be shorter), with `labels` around them.

    row_gaps, column_gaps: pixels of extra space before each row or column after the first; none where left out.
    Raises ValueError for more than MOST_IMAGES tiles.
    """
    rows, columns = len(tiles), max(len(row) for row in tiles)
    if rows * columns > MOST_IMAGES:
        raise ValueError(
            f"{rows * columns} images do not fit in one figure, wanted at most {MOST_IMAGES}: pass a part of them."
        )
    height, width, _ = tiles[0][0].image.shape
    scale = _whole_scale(height, width, rows, columns)
    tops = _offsets(rows, height * scale, row_gaps)
    lefts = _offsets(columns, width * scale, column_gaps)
    last_captions = LINE if any(tile.caption for tile in tiles[-1]) else 0
    body = (int(lefts[-1]) + width * scale, int(tops[-1]) + height * scale + last_captions)
    figure, axes = _canvas(body, _with_names_that_fit(labels, body))
    for row, top in zip(tiles, tops.tolist(), strict=True):
        for tile, left in zip(row, lefts.tolist()):
            _draw(axes, tile, left, top, width * scale, height * scale)
    _label_axis(axes.yaxis, tops + height * scale / 2, labels.rows, LINE)
    _label_axis(axes.xaxis, lefts + width * scale / 2, labels.columns, GUTTER + max(map(text_width, labels.columns), default=0))
    return figure


def text_width(text: str, size: float = SMALL, bold: bool = False) -> int:
    """How many pixels wide the widest line of `text` is at `size` points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(size=size, weight="bold" if bold else "normal")
    widths = (TextToPath().get_text_width_height_descent(line, font, ismath=False)[0] for line in text.split("\n"))
    return int(np.ceil(max(widths) * DPI / 72))


def _whole_scale(height: int, width: int, rows: int, columns: int) -> int:
    """File pixels per image pixel: as near to LONGEST_SIDE as whole numbers and LARGEST_BODY allow."""
    side = min(LONGEST_SIDE, LARGEST_BODY / max(rows, columns))
    return max(1, round(side / max(height, width)))


def _offsets(count: int, size: int, gaps: Sequence[int]) -> np.ndarray:
    """Where each of `count` tiles begins along an axis."""
    gaps = gaps or [0] * (count - 1)
    return np.concatenate([[0], np.cumsum(size + GUTTER + np.asarray(gaps, int))]).astype(int)


def _wrap(text: str, width: int) -> list[str]:
    """Break `text` between words into lines of small type that are at most `width` pixels wide."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}") <= width:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines


def _with_names_that_fit(labels: Labels, body: tuple[int, int]) -> Labels:
    """Move the name of an axis that is longer than the axis into the note."""
    for name, text, room, what in (("x", labels.x, body[0], "Columns"), ("y", labels.y, body[1], "Rows")):
        if text and text_width(text, NAME) > room:
            labels = labels._replace(**{name: "", "note": f"{labels.note} {what}: {text}.".strip()})
    return labels


def _canvas(body: tuple[int, int], labels: Labels) -> tuple["matplotlib.figure.Figure", "matplotlib.axes.Axes"]:
    """A figure with room for `body` pixels of images and the words around them; its axes cover exactly the body."""
    from matplotlib.figure import Figure

    left = MARGIN + max(map(text_width, labels.rows), default=0) + (10 if labels.rows else 0) + (LINE + 6 if labels.y else 0)
    column_lines = max((label.count("\n") + 1 for label in labels.columns), default=0)
    bottom = MARGIN + LINE * (column_lines + bool(labels.x)) + (4 if labels.x else 0)
    width = max(left + body[0] + MARGIN, text_width(labels.title, TITLE, bold=True) + 2 * MARGIN, 420)
    note = _wrap(labels.note, width - 2 * MARGIN)
    top = MARGIN + 36 + LINE * len(note) + (8 if note else 0)
    height = top + body[1] + bottom

    figure = Figure(figsize=(width / DPI, height / DPI))
    figure.text(MARGIN / width, 1 - MARGIN / height, labels.title, va="top", fontsize=TITLE, weight="bold")
    figure.text(
        MARGIN / width, 1 - (MARGIN + 32) / height, "\n".join(note), va="top", fontsize=SMALL, color=FAINT, linespacing=1.25
    )
    axes = figure.add_axes((left / width, bottom / height, body[0] / width, body[1] / height))
    axes.set(xlim=(0, body[0]), ylim=(body[1], 0), xticks=[], yticks=[], xlabel=labels.x, ylabel=labels.y)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return figure, axes


def _draw(axes: "matplotlib.axes.Axes", tile: Tile, left: int, top: int, width: int, height: int) -> None:
    """Draw one image with its frame and caption; gray is black at 0 and white at 1, whatever values the image has."""
    from matplotlib.image import AxesImage
    from matplotlib.patches import Rectangle

    pixels = tile.image[..., 0] if tile.image.shape[-1] == 1 else tile.image
    extent = (left, left + width, top + height, top)
    picture = AxesImage(axes, cmap="gray", interpolation="nearest", origin="upper", extent=extent)
    picture.set_data(pixels)
    picture.set_clim(0.0, 1.0)
    axes.add_image(picture)
    colour, line = (PALETTE[6], 1.6) if tile.emphasis else (HAIRLINE, 0.5)
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=colour, linewidth=line, clip_on=False))
    if tile.caption:
        axes.text(left + width / 2, top + height + 3, tile.caption, ha="center", va="top", fontsize=SMALL - 1)


def _label_axis(axis, centres: np.ndarray, labels: Sequence[str], room: int) -> None:
    """Write `labels` at `centres`, leaving some out evenly where each needs more `room` than there is."""
    if not labels:
        return
    pitch = centres[1] - centres[0] if len(centres) > 1 else room
    every = max(1, int(np.ceil(room / pitch)))
    axis.set_ticks(centres[::every], labels=list(labels)[::every])
    axis.set_tick_params(length=0, pad=4, labelsize=SMALL)
