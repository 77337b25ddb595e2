"""Figures that lay models beside each other: the numbers behind the artists, and what they refuse."""

import matplotlib
import numpy as np
import pytest

from vae.visualise.comparisons import Interval, Trade, intervals, trade_offs

ROWS = [Interval("VAE", 0.0), Interval("IWAE", -2.0, 0.1, (-1.9, -2.1))]


def words(figure):
    figure.draw_without_rendering()
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_visible())


def test_intervals_show_every_model_with_its_bar_and_its_seeds():
    figure = intervals({"difference (nats)": ROWS, "rate": ROWS}, "models", zero=("difference (nats)",))
    left, right = figure.axes
    (_, _, (bar,)) = left.containers[1]
    assert bar.get_segments()[0][:, 0] == pytest.approx([-2.1, -1.9])
    seeds = [
        line
        for line in left.lines
        if line.get_marker() == "|" and len(line.get_xdata()) == 2 and line.get_linestyle() == "None"
    ]
    assert any(np.allclose(line.get_xdata(), [-1.9, -2.1]) for line in seeds)
    assert len(left.lines) == len(right.lines) + 1, "zero is marked where differences are shown"
    for word in ("VAE", "IWAE", "difference (nats)", "each seed", "one standard error"):
        assert word in words(figure)


def test_intervals_want_the_same_models_in_every_panel():
    with pytest.raises(ValueError, match="other models"):
        intervals({"a": ROWS, "b": ROWS[::-1]}, "models")
    with pytest.raises(ValueError, match="no panels"):
        intervals({}, "models")
    with pytest.raises(ValueError, match="NaN"):
        intervals({"a": [Interval("VAE", np.nan)]}, "models")


def test_trade_offs_join_the_means_over_seeds():
    curve = [Trade("1", (10.0, 12.0), {"MIG": (0.1, 0.3)}), Trade("4", (20.0, 22.0), {"MIG": (0.5, 0.5)})]
    figure = trade_offs({"beta-VAE": curve}, "distortion (nats)")
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[11.0, 0.2], [21.0, 0.5]])
    for word in ("beta-VAE", "distortion (nats)", "MIG", "each seed"):
        assert word in words(figure)
    with pytest.raises(ValueError, match="no curves"):
        trade_offs({}, "distortion")
