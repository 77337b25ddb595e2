"""The roofline: what the machine could do at each arithmetic intensity, and where the presets stand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vae.visualise.style import FAINT, HAIRLINE, INK, PALETTE, house_style, new_figure

if TYPE_CHECKING:
    import matplotlib.figure


@house_style()
def roofline(rows: Sequence[dict[str, Any]], bytes_per_second: float, title: str) -> "matplotlib.figure.Figure":
    """Operations per second against operations per byte, both logarithmic, with the machine's two limits.

    A preset is two dots: full where the whole step stands, hollow where its matrix products alone stand. Bytes are those that
    the compiler counts for every operation, so what stays in a cache can lift a dot above the slope.

    rows:             of the benchmark; our own are drawn, but for those without bytes.
    bytes_per_second: of the device's memory. The other limit is the fastest peak in the rows.
    """
    from matplotlib.ticker import EngFormatter, NullFormatter

    figure = new_figure(6.4, 4.4, title)
    axes = figure.add_subplot(xlabel="operations per byte moved", ylabel="operations per second", xscale="log", yscale="log")
    drawn = [row for row in rows if row["peer"] == "vae" and row["bytes_moved"]]
    peak = max(row["peak_flops_per_second"] for row in rows if row["status"] == "measured")
    ridge = peak / bytes_per_second
    intensities = [row["model_flops"] / row["bytes_moved"] for row in drawn]
    span = np.geomspace(min([*intensities, ridge]) / 4, max([*intensities, ridge]) * 8, 200)
    roof = np.minimum(peak, bytes_per_second * span)
    axes.plot(span, roof, color=INK)
    axes.axvline(ridge, color=HAIRLINE, linewidth=0.8)
    axes.text(span[-1], peak, "matrix product", ha="right", va="bottom", color=FAINT, fontsize=8)
    for index, (row, x) in enumerate(zip(drawn, intensities, strict=True)):
        colour = PALETTE[index % len(PALETTE)]
        axes.plot(x, row["flops_per_second"], "o", color=colour, label=row["preset"])
        if row["gemm_limit_fraction"]:
            limit = row["flops_per_second"] / row["gemm_limit_fraction"]
            axes.plot([x, x], [row["flops_per_second"], limit], color=colour, linewidth=0.8)
            axes.plot(x, limit, "o", color=colour, markerfacecolor="none")
    axes.set_ylim(min([roof.min(), *(row["flops_per_second"] for row in drawn)]) / 2, 2 * roof.max())
    for axis, unit in ((axes.xaxis, ""), (axes.yaxis, "FLOP/s")):
        axis.set_major_formatter(EngFormatter(unit))
        axis.set_minor_formatter(NullFormatter())
    axes.legend(loc="lower right", title="full: the step; hollow: its products alone", title_fontsize=8)
    return figure
