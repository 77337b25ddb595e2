"""Distances and overlaps of two sets of feature vectors: real data against samples of a model.

The features come from a function of the caller's, or from `vae.evaluation.features`. None of these numbers can be compared
with those from other features or other numbers of examples, so nothing here carries the name of a published score, the two
sets must be equally large, and `with_reference_split` puts what real data scores against itself beside every number.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vae.evaluation.arrays import finite_array, split_rows

DISTANCES_MIB = 64  # of pairwise distances in flight


def frechet_distance(real: ArrayLike, generated: ArrayLike) -> float:
    """The squared Frechet (2-Wasserstein) distance of the Gaussians with the moments of two feature sets.

        d = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))

    Range 0 ... infinity, in squared units of the features; down is better. It is biased upwards by about 1 / N, so compare at
    equal N. On the features of an Inception network this would be the FID; on others it must not be called so.

    real, generated: (N, D), equally many; ValueError otherwise. (Heusel et al. 2017, eq. 6.)
    """
    real, generated = _equally_many(real, generated, fewest=2)
    return frechet_distance_of_moments(real.mean(axis=0), _covariance(real), generated.mean(axis=0), _covariance(generated))


def _covariance(features: np.ndarray) -> np.ndarray:
    """The unbiased covariance, (D, D) for D = 1 too."""
    return np.atleast_2d(np.cov(features, rowvar=False))


def frechet_distance_of_moments(
    first_mean: np.ndarray, first_covariance: np.ndarray, second_mean: np.ndarray, second_covariance: np.ndarray
) -> float:
    """|m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2), the last trace as the sum of the singular values of C1^(1/2) C2^(1/2).

    Both roots are of symmetric matrices by eigenvalues, so a singular covariance (fewer examples than features) is no
    obstacle, and nothing becomes complex.
    """
    cross = np.linalg.svd(_root(first_covariance) @ _root(second_covariance), compute_uv=False).sum()
    squared = np.sum(np.square(first_mean - second_mean))
    return float(max(squared + np.trace(first_covariance) + np.trace(second_covariance) - 2.0 * cross, 0.0))


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root of a positive semidefinite matrix, its eigenvalues held at or above 0 against rounding."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall at every trade-off, each (angles,): the border of what pairs are attainable."""

    precision: np.ndarray
    recall: np.ndarray


def precision_recall_of_histograms(real: np.ndarray, generated: np.ndarray, *, angles: int = 1001) -> PrecisionRecallCurve:
    """Precision and recall of the distribution Q (`generated`) for P (`real`) over the same bins, each summing to one.

        precision(l) = sum_w min(l P(w), Q(w)),    recall(l) = sum_w min(P(w), Q(w) / l),    l = tan(i / (angles + 1) pi / 2)

    Range 0 ... 1. At large l the precision is the mass of Q on the support of P; at small l the recall is the mass of P on the
    support of Q. (Sajjadi et al. 2018, section 3.)
    """
    slopes = np.tan(np.arange(1, angles + 1) / (angles + 1) * np.pi / 2)[:, None]
    precision = np.minimum(slopes * real, generated).sum(axis=1)
    return PrecisionRecallCurve(precision=np.clip(precision, 0.0, 1.0), recall=np.clip(precision / slopes[:, 0], 0.0, 1.0))


def precision_recall_distributions(
    real: ArrayLike, generated: ArrayLike, *, seed: int, clusters: int = 20, runs: int = 10, angles: int = 1001
) -> PrecisionRecallCurve:
    """Precision and recall for distributions: the histograms over k-means clusters of both sets together, averaged over runs.

    Equal sets get 1 at l = 1, disjoint ones 0 everywhere; samples that miss modes lose recall, stray ones precision. Clusters
    that mix the two sets hide differences inside them, so the curve is optimistic.

    real, generated: (N, D), equally many; ValueError otherwise. (Sajjadi et al. 2018, section 3.3.)
    """
    real, generated = _equally_many(real, generated, fewest=clusters)
    curves = [_clustered_curve(real, generated, seed + run, clusters, angles) for run in range(runs)]
    return PrecisionRecallCurve(*(np.mean(values, axis=0) for values in zip(*curves, strict=True)))


def _clustered_curve(real: np.ndarray, generated: np.ndarray, seed: int, clusters: int, angles: int) -> PrecisionRecallCurve:
    """One run: k-means on both sets together, then the curve of the two histograms."""
    from sklearn.cluster import KMeans

    cluster = KMeans(clusters, n_init=1, random_state=seed).fit_predict(np.concatenate([real, generated]))
    histograms = [np.bincount(part, minlength=clusters) / len(real) for part in np.split(cluster, 2)]
    return precision_recall_of_histograms(*histograms, angles=angles)


def best_f_scores(curve: PrecisionRecallCurve, beta: float = 8.0) -> tuple[float, float]:
    """The largest F_beta and F_(1/beta) on the curve, which stand for recall and for precision.

        F_b = (1 + b^2) precision recall / (b^2 precision + recall)

    Range 0 ... 1. (Sajjadi et al. 2018, section 4.)
    """
    return _best_f(curve, beta), _best_f(curve, 1.0 / beta)


def _best_f(curve: PrecisionRecallCurve, beta: float) -> float:
    """max F_beta over the curve; 0 where precision and recall both are."""
    below = beta**2 * curve.precision + curve.recall
    return float(np.max((1 + beta**2) * curve.precision * curve.recall / np.where(below > 0, below, 1.0)))


class PrecisionRecall(NamedTuple):
    """The share of the samples that look real, and of the real data that the samples cover."""

    precision: float
    recall: float


def improved_precision_recall(real: ArrayLike, generated: ArrayLike, *, neighbours: int = 3) -> PrecisionRecall:
    """Precision and recall by nearest neighbours: each set's support is the union of balls that reach the k-th neighbour.

        precision = share of generated points inside some real point's ball;    recall = the same with the sets exchanged

    Range 0 ... 1. Two halves of one data set do not get 1: each misses some of the other's edge, more so in many dimensions.
    One far outlier has a large ball that makes either number optimistic.

    real, generated: (N, D), equally many and more than `neighbours`; ValueError otherwise. Memory stays within a few times
    `DISTANCES_MIB`; time grows with N^2 D. (Kynkaanniemi et al. 2019, eqs. 1 and 2.)
    """
    real, generated = _equally_many(real, generated, fewest=neighbours + 1)
    return PrecisionRecall(
        precision=_covered(generated, real, _radii(real, neighbours)),
        recall=_covered(real, generated, _radii(generated, neighbours)),
    )


def _radii(points: np.ndarray, neighbours: int) -> np.ndarray:
    """The distance of each point to its k-th neighbour, itself not counted."""

    def kth(distances: np.ndarray, start: int) -> np.ndarray:
        return np.partition(distances, neighbours, axis=1)[:, neighbours]

    return _over_distances(points, points, kth)


def _covered(points: np.ndarray, centres: np.ndarray, radii: np.ndarray) -> float:
    """The share of the points inside at least one ball."""

    def inside_any(distances: np.ndarray, start: int) -> np.ndarray:
        return np.any(distances <= radii, axis=1)

    return float(np.mean(_over_distances(points, centres, inside_any)))


def _over_distances(points: np.ndarray, centres: np.ndarray, reduce: Callable) -> np.ndarray:
    """`reduce(distances, start)` of the Euclidean distances to all centres, from row `start` on some rows at a time."""
    from sklearn.metrics import pairwise_distances_chunked

    chunks = pairwise_distances_chunked(points, centres, reduce_func=reduce, working_memory=DISTANCES_MIB)
    return np.concatenate(list(chunks))


class DistanceAndCoverage(NamedTuple):
    """What `frechet_distance` and `improved_precision_recall` say of two sets."""

    distance: float
    precision: float
    recall: float


def distance_and_coverage(real: ArrayLike, generated: ArrayLike, *, neighbours_among: int = 2_000) -> DistanceAndCoverage:
    """The Frechet distance of the first rows of both sets, as many as the smaller one has, and precision and recall of fewer.

    neighbours_among: rows of each set at most for precision and recall, whose time grows with their square.
    """
    rows = min(len(np.asarray(real)), len(np.asarray(generated)))
    first, second = np.asarray(real)[:rows], np.asarray(generated)[:rows]
    covered = improved_precision_recall(first[:neighbours_among], second[:neighbours_among])
    return DistanceAndCoverage(frechet_distance(first, second), covered.precision, covered.recall)


class WithReference(NamedTuple):
    """A metric of samples beside the same metric of real data, on equally many examples.

    value:     real against generated.
    reference: one half of the real data against the other: what a perfect model would get at this size.
    examples:  on each side.
    """

    value: Any
    reference: Any
    examples: int


def with_reference_split(
    metric: Callable[[np.ndarray, np.ndarray], Any], real: ArrayLike, generated: ArrayLike, *, seed: int
) -> WithReference:
    """metric(half of the real data, generated) beside metric(that half, the other half), all of the same size.

    metric: (real, other) -> anything; bind further arguments with `functools.partial`.
    real:   (2 N, D), halved at random; generated: (N, D) or more, of which the first are used. Sets of other sizes are cut to
            the largest N that fits. Raises ValueError for fewer than 2 real rows.
    """
    real = finite_array("real features", real, "examples, dimensions")
    generated = finite_array("generated features", generated, "examples, dimensions")
    halves = split_rows(len(real), 0.5, seed)
    size = min(len(halves.train), len(halves.test), len(generated))
    first, second = real[halves.train[:size]], real[halves.test[:size]]
    return WithReference(value=metric(first, generated[:size]), reference=metric(first, second), examples=size)


def _equally_many(real: ArrayLike, generated: ArrayLike, fewest: int) -> tuple[np.ndarray, np.ndarray]:
    """Both sets as float64, refused where their shapes differ or they are too small."""
    real = finite_array("real features", real, "examples, dimensions")
    generated = finite_array("generated features", generated, "examples, dimensions")
    if real.shape != generated.shape or len(real) < fewest:
        raise ValueError(
            f"got real features {real.shape} and generated ones {generated.shape}; wanted equal shapes with at least {fewest} "
            "rows, since these metrics depend on the number of examples: cut the larger set."
        )
    return real, generated
