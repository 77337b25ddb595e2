"""Numbers against numbers: training curves, rate against distortion, signal to noise."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vae.visualise.style import FAINT, HAIRLINE, PALETTE, finite, house_style, new_figure

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

SPLIT_COLOURS = {"train": PALETTE[0], "validation": PALETTE[6], "test": PALETTE[4]}
PANELS = (
    ("elbo", "ELBO", "nats per example, up is better"),
    ("score", "score: log-likelihood \N{MINUS SIGN} rate, no bound", "nats per example, up is better"),
    ("log_likelihood", "log-likelihood: E log p(x|z)", "nats per example"),
    ("kl", "KL of q(z|x) to p(z)", "nats per example"),
    ("rate", "rate of the latent variables, no KL", "nats per example"),
)
EARLY = 0.1  # share of the steps that may run off the panel
FLATTENED = 2.0  # times the range of the later steps that the whole range must exceed for that
ENOUGH_LATE = 5
FEW_POINTS = 30


class RateDistortion(NamedTuple):
    """One trained model as a point of rate against distortion.

    label:            what sets this model apart ("beta 4").
    rate:             KL of the posterior to the prior, nats per example.
    distortion:       minus the expected log-likelihood, nats per example.
    rate_error:       standard error of the rate.
    distortion_error: standard error of the distortion.
    """

    label: str
    rate: float
    distortion: float
    rate_error: float = 0.0
    distortion_error: float = 0.0


@house_style()
def training_curves(records: Sequence[Mapping[str, Any]], title: str = "Training") -> "matplotlib.figure.Figure":
    """ELBO and its two parts against the step, a line for each split; the score and the rate where the rate is no KL.

    The first tenth of the steps may run off a panel, so that it does not flatten the rest; the panel then says so.

    records: lines of metrics.jsonl: "step", "split" ("train" where left out) and any of "elbo", "score", "log_likelihood",
             "kl", "rate". A value that is missing, None or not finite is left out, and so is a panel without any.
    Raises ValueError where nothing is left to draw.
    """
    from matplotlib.ticker import MaxNLocator

    panels = [(text, unit, series) for name, text, unit in PANELS if (series := _series(records, name))]
    if not panels:
        names = ", ".join(name for name, _, _ in PANELS)
        raise ValueError(
            f"training_curves got {len(records)} records without a number to draw, wanted a step and one of {names}."
        )
    rows, columns = math.ceil(len(panels) / 2), min(len(panels), 2)
    figure = new_figure(4.6 * columns, 0.5 + 2.6 * rows, title)
    grid = figure.add_gridspec(rows, columns)
    places = [grid[index // columns, index % columns] for index in range(len(panels))]
    if len(panels) == 3:
        places = [grid[:, 0], grid[0, 1], grid[1, 1]]  # the sum beside its two parts
    for place, (text, unit, series) in zip(places, panels):
        axes = figure.add_subplot(place, title=text, ylabel=unit)
        for split, (steps, values) in series.items():
            _line(axes, steps, values, split)
        axes.set_xlabel("step" + _fit(axes, series))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
        axes.legend(loc="best")
    return figure


@house_style()
def rate_distortion(
    curves: Mapping[str, Sequence[RateDistortion]], title: str = "Rate against distortion"
) -> "matplotlib.figure.Figure":
    """Trained models by what their codes cost and what they lose, with bars of one standard error and lines of equal ELBO.

        ELBO = -(distortion + rate)

    curves: the points of each method, by its name; they are joined in order of their rate.
    Raises ValueError for an empty curve or a number that is not finite.
    Reference: Alemi et al. 2018, "Fixing a broken ELBO", figure 1.
    """
    if not curves:
        raise ValueError("rate_distortion got no curves, wanted a mapping from names to points: pass at least one.")
    figure = new_figure(6.4, 4.8, title)
    axes = figure.add_subplot(
        xlabel="rate: KL to the prior (nats per example)\ndotted lines: equal ELBO; bars: one standard error",
        ylabel="distortion: \N{MINUS SIGN}E log p(x|z) (nats per example)",
    )
    for index, (name, points) in enumerate(curves.items()):
        ordered = sorted(points, key=_rate)
        rate, distortion, rate_error, distortion_error = finite("curves", [point[1:] for point in ordered], "points, 4").T
        colour = PALETTE[index % len(PALETTE)]
        axes.errorbar(
            rate, distortion, distortion_error, rate_error, color=colour, marker="o", markersize=4, capsize=2, label=name
        )
        for point in ordered:
            place = (point.rate, point.distortion)
            axes.annotate(point.label, place, xytext=(5, 5), textcoords="offset points", fontsize=7.5, color=FAINT)
    axes.margins(0.12)
    _equal_elbo_lines(axes)
    axes.legend(loc="upper right")
    return figure


@house_style()
def signal_to_noise(
    samples: ArrayLike,
    curves: Mapping[str, ArrayLike],
    errors: Mapping[str, ArrayLike] | None = None,
    slopes: Sequence[float] = (-0.5,),
    title: str = "Signal to noise of the encoder's gradient",
) -> "matplotlib.figure.Figure":
    """Signal-to-noise ratio |mean| / standard deviation of a gradient against the number K of importance samples, on log axes.

    samples: (n,) numbers of samples K.
    curves:  (n,) ratios of each estimator, by its name.
    errors:  (n,) standard errors of those, by the same names.
    slopes:  exponents of the dashed reference lines K^slope, from the first point of the first curve.
    Raises ValueError for lengths that differ, or a number that is not positive and finite.
    Reference: Rainforth et al. 2018, "Tighter variational bounds are not necessarily better", section 3.
    """
    places = _positive("samples", samples)
    ratios = {name: _positive(f"curves[{name!r}]", values) for name, values in curves.items()}
    for name, values in ratios.items():
        if len(values) != len(places):
            raise ValueError(
                f"curves[{name!r}] got {len(values)} ratios, wanted {len(places)}: one for each number of samples."
            )
    if not ratios:
        raise ValueError("signal_to_noise got no curves, wanted a mapping from names to ratios: pass at least one.")
    figure = new_figure(6.4, 4.4, title)
    axes = figure.add_subplot(xlabel="importance samples K", ylabel="signal-to-noise ratio |mean| / standard deviation")
    axes.set(xscale="log", yscale="log")
    for index, (name, values) in enumerate(ratios.items()):
        bars = None if errors is None or name not in errors else finite(f"errors[{name!r}]", errors[name], "n")
        axes.errorbar(
            places, values, bars, color=PALETTE[index % len(PALETTE)], marker="o", markersize=4, capsize=2, label=name
        )
    start = next(iter(ratios.values()))[0]
    for slope, dashes in zip(slopes, cycle(("--", ":", "-."))):
        line = start * (places / places[0]) ** slope
        axes.plot(places, line, color=FAINT, linestyle=dashes, linewidth=1.0, label=f"proportional to {_power_of_k(slope)}")
    _plain_log_ticks(axes, places)
    axes.legend(loc="best")
    return figure


def _rate(point: RateDistortion) -> float:
    return point.rate


def _series(records: Sequence[Mapping[str, Any]], name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Steps and finite values of one quantity, in order of the step, by split."""
    found: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        step, value = record.get("step"), record.get(name)
        if step is not None and value is not None and math.isfinite(value):
            found.setdefault(str(record.get("split", "train")), []).append((float(step), float(value)))
    arrays = {split: np.asarray(sorted(pairs)) for split, pairs in found.items()}
    return {split: (array[:, 0], array[:, 1]) for split, array in arrays.items()}


def _line(axes: "matplotlib.axes.Axes", steps: np.ndarray, values: np.ndarray, split: str) -> None:
    """One split's curve: few points are marked, since one alone would not show, and many are thin, since they are noisy."""
    few = len(steps) <= FEW_POINTS
    look = {"marker": "o", "markersize": 3.0} if few else {"linewidth": 0.8}
    axes.plot(steps, values, color=SPLIT_COLOURS.get(split), label=split, zorder=3 if few else 2, **look)


def _fit(axes: "matplotlib.axes.Axes", series: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Fit the y axis to the steps after the first tenth where those before would flatten them, and say what runs off it."""
    steps = np.concatenate([steps for steps, _ in series.values()])
    values = np.concatenate([values for _, values in series.values()])
    late = values[steps >= steps.min() + EARLY * np.ptp(steps)]
    flattened = len(late) >= ENOUGH_LATE and np.ptp(values) > FLATTENED * np.ptp(late)
    low, high = _with_margin(late if flattened else values)
    axes.set_ylim(low, high)
    if np.ptp(steps) == 0:
        axes.set_xlim(steps[0] - 1, steps[0] + 1)
    hidden = values[(values < low) | (values > high)]
    if not hidden.size:
        return ""
    furthest = hidden[np.argmax(np.abs(hidden - (low + high) / 2))]
    return f" (the first ones run off the panel, as far as {_minus(f'{furthest:.4g}')})"


def _with_margin(values: np.ndarray) -> tuple[float, float]:
    """The range of `values` and a little more; some range even where they are all equal."""
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low) or 0.05 * max(abs(high), 1e-3)
    return low - room, high + room


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _equal_elbo_lines(axes: "matplotlib.axes.Axes") -> None:
    """Faint lines of slope -1 behind the points, each marked with its ELBO where it ends."""
    from matplotlib.ticker import MaxNLocator

    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for total in MaxNLocator(6).tick_values(left + low, right + high):
        text = _minus(f"ELBO {-total:g}")
        if low <= total - right <= high:
            axes.text(right, total - right, f" {text}", va="center", fontsize=7, color=FAINT)
        elif left <= total - high <= right:
            axes.text(total - high, high, text, ha="center", va="bottom", fontsize=7, color=FAINT)
        elif left <= total - low <= right:
            axes.text(total - low, low, text, ha="center", va="bottom", fontsize=7, color=FAINT)
        else:
            continue  # it passes the panel by
        axes.plot([left, right], [total - left, total - right], color=HAIRLINE, linewidth=0.8, linestyle=":", zorder=0.5)
    axes.set(xlim=(left, right), ylim=(low, high))


def _positive(name: str, values: ArrayLike) -> np.ndarray:
    """A row of positive finite numbers."""
    array = finite(name, values, "n")
    if np.any(array <= 0):
        raise ValueError(f"{name} got {array.min():g}, wanted positive numbers: a logarithmic axis has no place for others.")
    return array


def _plain_log_ticks(axes: "matplotlib.axes.Axes", places: np.ndarray) -> None:
    """Ticks at the numbers of samples themselves, and plain numbers on both axes."""
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    axes.set_xticks(places, labels=[f"{place:g}" for place in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _power_of_k(slope: float) -> str:
    roots = {-0.5: "1/\N{SQUARE ROOT}K", 0.5: "\N{SQUARE ROOT}K", -1.0: "1/K", 1.0: "K"}
    return roots.get(slope, f"K^{slope:g}")


def _plain(value: float, _position: int) -> str:
    return f"{value:g}"
