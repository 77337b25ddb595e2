"""Metrics of the mutual information between each dimension of a code and each factor."""

import numpy as np
from numpy.typing import ArrayLike

from vae.evaluation.arrays import codes_and_factors

BINS = 20


def mig(codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS) -> float:
    """The mutual information gap: whether each factor is told by one dimension alone, averaged over factors.

        MIG = 1/F sum_k (I(z_(1); v_k) - I(z_(2); v_k)) / H(v_k),    z_(1), z_(2) the two most informative dimensions for v_k

    with every dimension cut into `bins` bins of equal width between its extremes, as in disentanglement_lib (the paper takes
    z ~ q(z | x) and no bins). Range 0 ... 1.

    The factors themselves get H(binned v_k) / H(v_k) on average: 1 where no factor has more values than there are bins, 0.90
    on sprites (3, 6, 40, 32, 32 values). Duplicated and evenly rotated codes get 0. Noise gets about 0, from above: the
    estimated information is biased by (bins - 1)(values - 1) / (2 N) nats.

    codes: (N, D) with D >= 2; factors: (N, F). Raises ValueError for D < 2. (Chen et al. 2018, eq. 6.)
    """
    codes, factors = codes_and_factors(codes, factors, fewest_codes=2)
    ordered = np.sort(mutual_information(codes, factors, bins=bins), axis=0)
    entropies = [_entropy(np.bincount(column) / len(column)) for column in factors.T]
    return float(np.mean((ordered[-1] - ordered[-2]) / entropies))


def modularity(codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS) -> float:
    """Whether each dimension tells of one factor only, averaged over dimensions.

        modularity = 1/D sum_i [ 1 - sum_(k != k*) I(z_i; v_k)^2 / ((F - 1) I(z_i; v_k*)^2) ],    k* = argmax_k I(z_i; v_k)

    Dimensions are binned as in `mig`; one without any information counts 0. Range 0 ... 1.

    The factors themselves get 1, and so do duplicates. A dimension that is an even mixture of m of the F factors gets
    1 - (m - 1) / (F - 1). Noise does not get 0: its estimated information with a factor of n values is about
    (bins - 1)(n - 1) / (2 N), so that factors of unequal size look like modularity (0.6 to 0.7 on sprites, for any N).

    codes: (N, D); factors: (N, F) with F >= 2, else ValueError. (Ridgeway & Mozer 2018, section 3.)
    """
    codes, factors = codes_and_factors(codes, factors, fewest_factors=2)
    squared = np.square(mutual_information(codes, factors, bins=bins))
    largest = squared.max(axis=1)
    told = largest > 0
    others = (squared.sum(axis=1) - largest)[told] / ((factors.shape[1] - 1) * largest[told])
    return float(np.sum(1.0 - others) / codes.shape[1])


def mutual_information(codes: ArrayLike, factors: ArrayLike, *, bins: int = BINS) -> np.ndarray:
    """I(z_i; v_k) in nats between every binned dimension and every factor, (D, F), from the counts.

        I = sum_(a, b) p(a, b) ln [ p(a, b) / (p(a) p(b)) ]

    Raises ValueError for fewer than 2 bins.
    """
    codes, factors = codes_and_factors(codes, factors)
    if bins < 2:
        raise ValueError(f"bins is {bins}; wanted at least 2, 20 by convention.")
    binned = np.stack([_equal_width_bins(column, bins) for column in codes.T], axis=1)
    return np.array([[_information(a, b) for b in factors.T] for a in binned.T])


def _equal_width_bins(values: np.ndarray, bins: int) -> np.ndarray:
    """The number 0 ... bins - 1 of each value's bin; a constant is one bin."""
    inner_edges = np.linspace(values.min(), values.max(), bins + 1)[1:-1]
    return np.digitize(values, inner_edges)


def _information(first: np.ndarray, second: np.ndarray) -> float:
    """H(a) + H(b) - H(a, b), never below 0."""
    width = second.max() + 1
    joint = np.bincount(first * width + second, minlength=(first.max() + 1) * width).reshape(-1, width) / len(first)
    return max(_entropy(joint.sum(axis=1)) + _entropy(joint.sum(axis=0)) - _entropy(joint.ravel()), 0.0)


def _entropy(probabilities: np.ndarray) -> float:
    """-sum p ln p, in nats."""
    positive = probabilities[probabilities > 0]
    return float(-np.sum(positive * np.log(positive)))
