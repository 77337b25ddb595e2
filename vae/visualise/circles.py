"""A latent circle: inferred angles with what is decoded around them."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from vae.visualise.style import FAINT, finite, house_style, new_figure, same_length, unit_images

if TYPE_CHECKING:
    import matplotlib.figure

RING, SIZE, LIMIT = 1.45, 0.19, 1.75
FULL = 2.0 * np.pi


@house_style()
def on_circle(
    angles: ArrayLike, true: ArrayLike, images: ArrayLike | None = None, title: str = "Angles on the circle", note: str = ""
) -> "matplotlib.figure.Figure":
    """One point per example at its inferred angle, coloured by the true one, inside a ring of decoded images.

    A model that has found the angle shows the colours in their order, once around. The distance from the centre has no meaning
    and only keeps points apart.

    angles: (N,) inferred, in radians.
    true:   (N,) in radians.
    images: (M, H, W, C) decoded at the angles 2 pi m / M; left out where None.
    note:   written under the title.
    Raises ValueError for other ranks, NaN, or another number of true angles.
    """
    angles, true = finite("angles", angles, "N"), finite("true", true, "N")
    same_length("true", true, len(angles), "angle")
    figure = new_figure(5.6, 5.4, title)
    axes = figure.add_subplot(aspect="equal")
    axes.set_title(note, color=FAINT, fontsize=8)
    axes.axis("off")
    radius = 0.95 + 0.12 * np.random.default_rng(0).random(len(angles))
    places = radius * np.cos(angles), radius * np.sin(angles)
    points = axes.scatter(*places, c=np.mod(true, FULL), cmap="hsv", s=6, linewidths=0, vmin=0, vmax=FULL)
    bar = figure.colorbar(points, ax=axes, shrink=0.6, label="true angle (degrees)", ticks=np.linspace(0, FULL, 5))
    bar.ax.set_yticklabels(["0", "90", "180", "270", "360"])
    ring = np.empty((0, 1, 1, 1)) if images is None else unit_images("images", images)
    for turn, image in zip(FULL * np.arange(len(ring)) / max(len(ring), 1), ring, strict=True):
        x, y = RING * np.cos(turn), RING * np.sin(turn)
        shown = image[..., 0] if image.shape[-1] == 1 else image
        axes.imshow(shown, cmap="gray_r", vmin=0, vmax=1, extent=(x - SIZE, x + SIZE, y - SIZE, y + SIZE))
    axes.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT))  # an image has set its own
    return figure
