"""Models beside each other: a number of each with its error and its seeds, and one number traded for another."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vae.visualise.style import FAINT, HAIRLINE, PALETTE, finite, house_style, new_figure

if TYPE_CHECKING:
    import matplotlib.figure

LABEL: Mapping[str, Any] = {
    "textcoords": "offset points",
    "ha": "center",
    "va": "center",
    "fontsize": 8,
    "fontweight": "bold",
    "bbox": {"facecolor": "white", "alpha": 0.5, "linewidth": 0, "pad": 0.5},
}  # readable where curves cross


class Interval(NamedTuple):
    """A number of one model.

    label: the model.
    value: the mean over seeds.
    error: its standard error, 0 where there is none.
    seeds: the number of each seed.
    """

    label: str
    value: float
    error: float = 0.0
    seeds: tuple[float, ...] = ()


class Trade(NamedTuple):
    """A model by what it gives and what it gets for it.

    label: what sets this model apart ("beta 4").
    price: (seeds,) of each seed, along the axis that panels share.
    gains: by panel, (seeds,).
    """

    label: str
    price: Sequence[float]
    gains: Mapping[str, Sequence[float]]


@house_style()
def intervals(
    panels: Mapping[str, Sequence[Interval]], title: str, zero: Sequence[str] = (), note: str = "bars: one standard error"
) -> "matplotlib.figure.Figure":
    """A panel for each quantity and a row for each model: the mean with its bar, and a small mark for each seed.

    panels: the same models in the same order, by the name of the quantity with its unit.
    zero:   names of the panels in which 0 is marked, since they show differences.
    note:   what the bars are.
    Raises ValueError for no panels, panels with other models, and numbers that are not finite.
    """
    if not panels:
        raise ValueError("intervals got no panels, wanted a mapping from quantities to intervals: pass at least one.")
    labels = [interval.label for interval in next(iter(panels.values()))]
    figure = new_figure(1.4 + 2.6 * len(panels), 1.3 + 0.34 * len(labels), title)
    places = np.arange(len(labels))[::-1]
    for index, (name, rows) in enumerate(panels.items()):
        if [interval.label for interval in rows] != labels:
            raise ValueError(f"the panel {name!r} got other models than the first one; wanted {labels} in this order.")
        axes = figure.add_subplot(1, len(panels), index + 1, xlabel=name)
        finite(name, [(row.value, row.error) for row in rows], "models, 2")
        for place, row, colour in zip(places, rows, cycle(PALETTE)):
            axes.plot(row.seeds, np.full(len(row.seeds), place - 0.22), "|", color=colour, markersize=5)
            axes.errorbar([row.value], [place], xerr=[row.error or np.nan], color=colour, marker="o", markersize=4.5, capsize=3)
        if name in zero:
            axes.axvline(0.0, color=HAIRLINE, linewidth=1.0, zorder=0.5)
        axes.set_yticks(places, labels=labels if index == 0 else [""] * len(labels))
        axes.set_ylim(-0.6, len(labels) - 0.4)
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=5)
    figure.supxlabel(f"dots: mean over seeds; small marks: each seed; {note}", fontsize=7.5, color=FAINT)
    return figure


@house_style()
def trade_offs(
    curves: Mapping[str, Sequence[Trade]], price: str, title: str = "What is paid for what"
) -> "matplotlib.figure.Figure":
    """A panel for each gain against the shared price: means over seeds joined in the order given, small marks for the seeds.

    curves: the models of each method, by its name; all with the same gains.
    price:  the name of the shared axis with its unit.
    Raises ValueError for no curves, and numbers that are not finite.
    """
    points = [point for curve in curves.values() for point in curve]
    if not points:
        raise ValueError("trade_offs got no curves, wanted a mapping from names to models: pass at least one.")
    panels = list(points[0].gains)
    figure = new_figure(1.0 + 3.1 * len(panels), 3.7, title)
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1, xlabel=price, ylabel=panel)
        for (name, curve), colour, height in zip(curves.items(), cycle(PALETTE), cycle((9, -9))):
            pairs = [finite(panel, (point.price, point.gains[panel]), "2, seeds") for point in curve]
            means = np.array([pair.mean(axis=1) for pair in pairs])
            axes.plot(*means.T, marker="o", markersize=5, color=colour, label=name)
            for point, pair, mean in zip(curve, pairs, means):
                axes.plot(*pair, ".", color=colour, alpha=0.5, markersize=4)
                axes.annotate(point.label, mean, xytext=(0, height), color=colour, **LABEL)
        axes.margins(0.14)
        if index == 0:
            axes.legend(loc="best")
    figure.supxlabel("large dots: mean over seeds; small dots: each seed", fontsize=7.5, color=FAINT)
    return figure
