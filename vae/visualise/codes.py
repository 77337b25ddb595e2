"""How often each code of a codebook is used."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from vae.visualise.style import FAINT, PALETTE, SHADE, finite, house_style, new_figure

if TYPE_CHECKING:
    import matplotlib.figure


@house_style()
def code_usage(counts: ArrayLike, perplexity: float, title: str = "Usage of the codes") -> "matplotlib.figure.Figure":
    """Bars of the share of each code, the most used first; a gray ground behind the codes that nothing uses.

    counts:     (codes,) how often each was used.
    perplexity: of the shares, for the caption.
    Raises ValueError for counts that are negative, or all zero.
    """
    numbers = finite("counts", counts, "codes")
    if np.any(numbers < 0) or not numbers.sum() > 0:
        raise ValueError("code_usage got counts that are negative, or all zero; wanted how often each code was used.")
    shares, codes = np.sort(numbers)[::-1] / numbers.sum(), len(numbers)
    unused = int(np.sum(numbers == 0))
    figure = new_figure(6.4, 3.4, title)
    axes = figure.add_subplot(xlabel=f"{codes:,} codes, the most used first", ylabel="share of all places")
    axes.set_title(f"perplexity {perplexity:.1f} of {codes:,}; {unused:,} never used", color=FAINT, fontsize=8)
    axes.bar(np.arange(codes), shares, width=1.0, color=PALETTE[0], linewidth=0)
    axes.axhline(1.0 / codes, color=FAINT, linewidth=0.8, linestyle=":", label="all alike")
    axes.axvspan(codes - unused - 0.5, codes - 0.5, color=SHADE, linewidth=0, zorder=0.5)
    axes.set(xlim=(-0.5, codes - 0.5), ylim=(0.0, 1.08 * max(float(shares[0]), 1.0 / codes)))
    axes.grid(False, axis="x")
    axes.legend(loc="upper right")
    return figure
