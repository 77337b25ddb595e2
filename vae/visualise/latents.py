"""What the latent space holds: posterior means in a plane, and KL per dimension."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from vae.discrepancies import ACTIVE_KL
from vae.visualise.style import FAINT, HAIRLINE, INK, PALETTE, SHADE, finite, house_style, new_figure, same_length

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

ACTIVE, INACTIVE = PALETTE[0], PALETTE[8]
MOST_NAMED_BARS = 50


@house_style()
def latent_means(
    means: ArrayLike, labels: ArrayLike | None = None, label_names: Sequence[str] | None = None, title: str = "Posterior means"
) -> "matplotlib.figure.Figure":
    """Scatter of the posterior means in two dimensions, one point per example, coloured by label.

    Two latent dimensions are drawn as they are, more on their first two principal components with the share of the variance
    that each explains; both axes then have the same unit and span at least 1, so that collapsed means look collapsed. A single
    dimension is drawn against the share of the label's examples below it.

    means:       (N, D).
    labels:      (N,). Up to ten distinct ones are classes with a legend, more are a colour bar.
    label_names: names of the labels 0, 1, ...
    Raises ValueError for another rank or length, NaN, or fewer names than labels.
    """
    means = finite("means", means, "N, D")
    same_length("labels", labels, len(means), "row of means")
    classes = np.zeros(len(means)) if labels is None else finite("labels", labels, "N")
    points, x_label, y_label = _plane(means, classes)
    figure = new_figure(6.2, 5.6, title)
    axes = figure.add_subplot(xlabel=x_label, ylabel=y_label)
    axes.set_title(f"{len(points):,} examples, one point each", color=FAINT, fontsize=8)
    order = np.random.default_rng(0).permutation(len(points))  # or the last class would cover the others
    size = float(np.clip(2e4 / len(points), 3.0, 20.0))
    if labels is None:
        axes.scatter(points[:, 0], points[:, 1], s=size, color=PALETTE[0], alpha=0.6, linewidths=0)
    elif len(np.unique(classes)) > len(PALETTE):
        _on_a_scale(axes, points[order], classes[order], label_names, size)
    else:
        _in_classes(axes, points[order], classes[order], label_names, size)
    if means.shape[1] > 1:
        _equal_limits(axes, points)
    return figure


@house_style()
def kl_per_dimension(
    kl: ArrayLike | Sequence[ArrayLike],
    active: ArrayLike | Sequence[ArrayLike] | None = None,
    threshold: float = ACTIVE_KL,
    group_names: Sequence[str] | None = None,
    title: str = "KL per latent dimension",
    unit: str = "latent dimension",
) -> "matplotlib.figure.Figure":
    """Bars of each latent dimension's KL to the prior in nats, the largest first; what is active is counted by both tests.

    A gray background marks the dimensions that are inactive by the variance of their posterior mean, a circle those whose KL is
    at most the threshold. Where that variance is not known, the gray background marks the latter.

    kl:          (D,), or one such array per latent group, which are drawn one after the other.
    active:      bool, shaped as kl: whether the variance of the posterior mean is over its threshold; None where not known.
    threshold:   nats above which a dimension counts as active by its KL.
    group_names: one for each group.
    unit:        what a bar stands for.
    Raises ValueError for another rank or length, or NaN.
    """
    groups = [finite("kl", group, "D") for group in _by_group(kl)]
    costly = [group > threshold for group in groups]
    used = costly if active is None else [np.asarray(mask, bool) for mask in _by_group(active)]
    same_length("active", used, len(groups), "latent group")
    same_length("group_names", group_names, len(groups), "latent group")
    for group, mask in zip(groups, used):
        same_length("active", mask, len(group), "latent dimension")

    orders = [np.argsort(-group, kind="stable") for group in groups]
    bars, lit, paid = (
        np.concatenate([of_group[order] for of_group, order in zip(each, orders)]) for each in (groups, used, costly)
    )
    figure = new_figure(float(np.clip(0.17 * len(bars) + 2.0, 5.4, 11.0)), 3.8, f"{title}: {bars.sum():.2f} nats in all")
    axes = figure.add_subplot(ylabel="KL to the prior (nats per example)")
    _bars(axes, bars, lit)
    by_kl = f"active by KL over {threshold:g} nats: {paid.sum()} of {len(bars)}"
    gray: dict[str, Any] = {"marker": "s", "color": SHADE, "markeredgecolor": INACTIVE, "linestyle": ""}
    if active is None:
        axes.plot([], [], label=f"{by_kl} (the others on gray)", **gray)
    else:
        axes.plot(
            [], [], label=f"active by variance of the posterior mean: {lit.sum()} of {len(bars)} (the others on gray)", **gray
        )
        circle: dict[str, Any] = {"marker": "o", "color": "none", "markeredgecolor": INK, "markersize": 4.0, "linestyle": ""}
        axes.plot(np.flatnonzero(~paid), bars[~paid], label=f"{by_kl} (the others with a circle)", clip_on=False, **circle)
    axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.14), ncols=1)
    _name_bars(axes, np.concatenate(orders), len(groups), unit)
    _mark_groups(axes, groups, group_names)
    return figure


def principal_plane(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (N, 2) on the two leading principal components, and the share of the variance (2,) that each explains.

    With the centred rows X = U S V^T the coordinates are X V[:, :2] and the shares S_i^2 / sum S^2. V comes from the
    covariance, which is small; its signs make each component's largest entry positive, so that the picture never flips.
    """
    centred = means - means.mean(axis=0)
    _, variances, components = np.linalg.svd(centred.T @ centred)
    components = components[:2]
    largest = np.argmax(np.abs(components), axis=1)
    components = components * np.sign(components[np.arange(2), largest])[:, None]
    total = variances.sum()
    return centred @ components.T, variances[:2] / total if total > 0 else np.zeros(2)


def _plane(means: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, str, str]:
    """Two coordinates for each mean and the labels of their axes."""
    dimensions = means.shape[1]
    if dimensions == 1:
        points = np.stack([means[:, 0], _share_below(means[:, 0], classes)], axis=1)
        whose = "the examples" if len(np.unique(classes)) == 1 else "the label's examples"
        return points, "posterior mean of z[0]", f"share of {whose} with a smaller mean"
    if dimensions == 2:
        return means, "posterior mean of z[0]", "posterior mean of z[1]"
    points, (first, second) = principal_plane(means)
    return points, _component_name(1, dimensions, first), _component_name(2, dimensions, second)


def _component_name(number: int, dimensions: int, share: float) -> str:
    return f"principal component {number} of {dimensions} latent dimensions ({share:.0%} of the variance)"


def _share_below(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The share of each value's class that is smaller: the class's empirical distribution function, halfway up its steps."""
    share = np.empty(len(values))
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        ranked = members[np.argsort(values[members], kind="stable")]
        share[ranked] = (np.arange(len(ranked)) + 0.5) / len(ranked)
    return share


def _on_a_scale(
    axes: "matplotlib.axes.Axes", points: np.ndarray, labels: np.ndarray, names: Sequence[str] | None, size: float
) -> None:
    """Points coloured along a bar, for labels too many for a legend."""
    scatter = axes.scatter(points[:, 0], points[:, 1], c=labels, s=size, cmap="viridis", alpha=0.7, linewidths=0)
    bar = axes.figure.colorbar(scatter, ax=axes, label="label", shrink=0.8)
    if names is not None:
        classes = np.unique(labels)
        bar.set_ticks(classes.tolist(), labels=_names_of(classes, names))


def _in_classes(
    axes: "matplotlib.axes.Axes", points: np.ndarray, labels: np.ndarray, names: Sequence[str] | None, size: float
) -> None:
    """A colour for each class, named in a legend and, in the plane of the points, where the class lies."""
    classes = np.unique(labels)
    texts = [f"{label:g}" for label in classes] if names is None else _names_of(classes, names)
    colours = np.asarray(PALETTE)[np.searchsorted(classes, labels)]
    axes.scatter(points[:, 0], points[:, 1], c=colours, s=size, alpha=0.6, linewidths=0)
    for text, colour in zip(texts, PALETTE):
        axes.scatter([], [], s=24, color=colour, label=text)
    axes.legend(title="label", loc="center left", bbox_to_anchor=(1.0, 0.5))
    span = float(np.max(np.ptp(points, axis=0)))
    if span > 0.1:  # names would cover collapsed means
        medians = np.stack([np.median(points[labels == label], axis=0) for label in classes])
        for place, text in zip(_apart(medians, texts, span), texts):
            _name_class(axes, place, text)


def _apart(places: np.ndarray, texts: Sequence[str], span: float) -> np.ndarray:
    """`places` of `texts`, from the lowest up, raised where one would cover another; `span` is the width of the axes."""
    height, letter = 0.038 * span, 0.022 * span
    placed: list[int] = []
    places = places.copy()
    for index in np.argsort(places[:, 1], kind="stable"):
        for other in sorted(placed, key=places[:, 1].__getitem__):
            touching = abs(places[index, 0] - places[other, 0]) < letter * (len(texts[index]) + len(texts[other])) / 2
            if touching and abs(places[index, 1] - places[other, 1]) < height:
                places[index, 1] = places[other, 1] + height
        placed.append(index)
    return places


def _names_of(classes: np.ndarray, names: Sequence[str]) -> list[str]:
    """The names of the classes present, which number them from 0."""
    indices = classes.astype(int)
    if np.any(indices != classes) or indices[0] < 0 or indices[-1] >= len(names):
        raise ValueError(f"label_names got {len(names)} names, wanted one for each label 0, 1, ... up to {classes[-1]:g}.")
    return [str(names[index]) for index in indices]


def _name_class(axes: "matplotlib.axes.Axes", place: np.ndarray, text: str) -> None:
    """Write a class's name over its points, so that the colours need not be told apart."""
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=2.5, foreground="white")]
    axes.text(place[0], place[1], text, ha="center", va="center", fontsize=9, weight="bold", color=INK, path_effects=outline)


def _equal_limits(axes: "matplotlib.axes.Axes", points: np.ndarray) -> None:
    """A square of at least 1 x 1 around the points, with the same unit on both axes."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, 0.53 * max(1.0, float(np.max(high - low)))
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half), aspect="equal")


def _by_group(values: Any) -> list[Any]:
    """The arrays of a sequence of arrays; an array, or a sequence of numbers, is the only group there is."""
    nested = isinstance(values, (list, tuple)) and len(values) > 0 and np.ndim(values[0]) > 0
    return list(values) if nested else [values]


def _bars(axes: "matplotlib.axes.Axes", heights: np.ndarray, lit: np.ndarray) -> None:
    """The bars, and behind those that are not lit a gray background."""
    places = np.arange(len(heights))
    width = 0.8 if len(heights) <= 2 * MOST_NAMED_BARS else 1.0
    dark = [(place - 0.5, 1.0) for place in places[~lit]]
    axes.broken_barh(dark, (0, 1), transform=axes.get_xaxis_transform(), facecolor=SHADE, linewidth=0, zorder=0.5)
    axes.bar(places, heights, width, color=np.where(lit, ACTIVE, INACTIVE))
    middle, half = (len(heights) - 1) / 2, max(len(heights), 8) / 2 + 0.2
    axes.set(xlim=(middle - half, middle + half), ylim=(1.05 * min(0.0, heights.min()), 1.08 * max(0.1, heights.max())))
    axes.grid(False, axis="x")


def _name_bars(axes: "matplotlib.axes.Axes", indices: np.ndarray, groups: int, unit: str) -> None:
    """The unit's index under each bar, or its rank where there are too many bars to name."""
    if len(indices) > MOST_NAMED_BARS:
        within = "" if groups == 1 else " within each group"
        axes.set_xlabel(f"{len(indices)} {unit}s, sorted by KL{within} (rank)")
        return
    axes.set_xticks(np.arange(len(indices)), labels=[str(index) for index in indices])
    axes.tick_params(axis="x", length=0, labelsize=8 if len(indices) <= 30 else 6.5)
    axes.set_xlabel(f"index of the {unit}, sorted by KL" + ("" if groups == 1 else " within each group"))


def _mark_groups(axes: "matplotlib.axes.Axes", groups: Sequence[np.ndarray], names: Sequence[str] | None) -> None:
    """Lines between the groups, and above each its name and its sum."""
    if len(groups) == 1 and names is None:
        return
    edges = np.concatenate([[0], np.cumsum([len(group) for group in groups])]) - 0.5
    for edge in edges[1:-1]:
        axes.axvline(edge, color=HAIRLINE, linewidth=1.0)
    for index, group in enumerate(groups):
        name = f"group {index}" if names is None else names[index]
        middle = (edges[index] + edges[index + 1]) / 2
        text = f"{name}\n{group.sum():.2f} nats"
        axes.text(middle, 1.02, text, transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=8, color=FAINT)
