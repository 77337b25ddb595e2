"""Whether the classes of the data show as clusters of the codes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vae.evaluation.arrays import codes_and_labels, finite_array, integer_array


class ClusterScores(NamedTuple):
    """Agreement of clusters and classes, each up is better.

    accuracy: share of examples in the class that their cluster stands for.
    nmi:      normalised mutual information.
    """

    accuracy: float
    nmi: float


def kmeans(codes: ArrayLike, clusters: int, *, seed: int, restarts: int = 10) -> np.ndarray:
    """The cluster of each code, (N,), by k-means: the best of `restarts` starts of scikit-learn's k-means++.

    Distances are Euclidean in the codes' own scale. Raises ValueError for more clusters than codes.
    """
    from sklearn.cluster import KMeans

    codes = _enough(codes, clusters)
    return KMeans(clusters, n_init=restarts, random_state=seed).fit_predict(codes)


def gaussian_mixture(codes: ArrayLike, clusters: int, *, seed: int, restarts: int = 3) -> np.ndarray:
    """The most probable component of each code, (N,), under a mixture of full-covariance Gaussians fitted by EM.

    The best of `restarts` fits, each started from k-means. Raises ValueError for more clusters than codes.
    """
    from sklearn.mixture import GaussianMixture

    codes = _enough(codes, clusters)
    return GaussianMixture(clusters, n_init=restarts, max_iter=500, random_state=seed).fit_predict(codes)


def cluster_scores(assignments: ArrayLike, labels: ArrayLike) -> ClusterScores:
    """How well clusters (N,) agree with classes (N,), both integers.

        accuracy = 1/N max over one-to-one maps m of #{ n : m(cluster_n) = label_n }
        nmi      = I(cluster; label) / (1/2 [H(cluster) + H(label)])

    The map is the optimal assignment (Hungarian algorithm); examples of clusters beyond the number of classes count as wrong.
    Range 0 ... 1; renaming the clusters changes nothing. Chance is 0 for neither: the accuracy of one cluster is the largest
    class's share, and both grow with the number of clusters. (Xie et al. 2016, eq. 10, for the accuracy.)
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    clusters = integer_array("assignments", assignments, "examples")
    classes = integer_array("labels", labels, "examples")
    if len(clusters) != len(classes):
        raise ValueError(f"got {len(clusters)} assignments and {len(classes)} labels; wanted one label for each.")
    table = contingency_matrix(classes, clusters)
    matched = table[linear_sum_assignment(table, maximize=True)].sum()
    return ClusterScores(accuracy=float(matched / len(classes)), nmi=float(normalized_mutual_info_score(classes, clusters)))


def kmeans_scores(codes: ArrayLike, labels: ArrayLike, *, seed: int) -> ClusterScores:
    """`cluster_scores` of `kmeans` with as many clusters as there are classes."""
    codes, classes = codes_and_labels(codes, labels)
    return cluster_scores(kmeans(codes, len(np.unique(classes)), seed=seed), classes)


def mixture_scores(codes: ArrayLike, labels: ArrayLike, *, seed: int) -> ClusterScores:
    """`cluster_scores` of `gaussian_mixture` with as many components as there are classes."""
    codes, classes = codes_and_labels(codes, labels)
    return cluster_scores(gaussian_mixture(codes, len(np.unique(classes)), seed=seed), classes)


def _enough(codes: ArrayLike, clusters: int) -> np.ndarray:
    """Codes as float64, refused where they are fewer than the clusters."""
    codes = finite_array("codes", codes, "examples, dimensions")
    if not 1 <= clusters <= len(codes):
        raise ValueError(f"clusters is {clusters} for {len(codes)} codes; wanted between 1 and the number of codes.")
    return codes
