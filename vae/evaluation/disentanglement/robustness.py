"""The interventional robustness score."""

import numpy as np
from numpy.typing import ArrayLike

from vae.evaluation.arrays import codes_and_factors


def irs(codes: ArrayLike, factors: ArrayLike, *, quantile: float = 0.99) -> float:
    """How little each dimension moves under the other factors while its own factor is held still.

        IRS = sum_i w_i max_k [ 1 - 1/n_k sum_v Q_(x: v_k = v) |z_i - E[z_i | v_k = v]| / w_i ],    w_i = max_x |z_i - E z_i|

    with n_k the number of values of factor k and Q the `quantile` of the deviations, 1 in the paper and 0.99 in the authors'
    code; the weights w are normalised to sum to one. Constant dimensions take no part; where all are constant, the score is 0.
    Range 0 ... 1.

    The factors themselves and duplicates get 1. An even rotation of two equal uniform factors gets 1/2 at quantile 1. Noise
    does not get 0 at quantile 0.99, since w is a maximum: N = 10,000 Gaussian codes get about 1 - 2.58 / 3.9 = 0.34. Noise also
    gets the more the smaller the groups, whose largest deviation falls short of that of all examples.

    The groups of equal value are taken from the table, which conditions instead of intervening: the factors should be
    independent there. codes: (N, D); factors: (N, F). Raises ValueError for a quantile outside (0, 1].
    (Suter et al. 2019, section 4.)
    """
    codes, factors = codes_and_factors(codes, factors)
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile is {quantile}; wanted a number in (0, 1]: 1 for the paper's maximum.")
    codes = codes[:, codes.min(axis=0) < codes.max(axis=0)]
    if codes.shape[1] == 0:
        return 0.0
    largest = np.abs(codes - codes.mean(axis=0)).max(axis=0)
    deviations = np.stack([_deviation(codes, column, quantile) for column in factors.T], axis=1)
    robustness = np.max(1.0 - deviations / largest[:, None], axis=1)
    return float(np.average(robustness, weights=largest))


def _deviation(codes: np.ndarray, factor: np.ndarray, quantile: float) -> np.ndarray:
    """The mean over the factor's values of the quantile of |z - E[z | value]|, (D,)."""
    groups = (codes[factor == value] for value in range(factor.max() + 1))
    return np.mean([np.quantile(np.abs(group - group.mean(axis=0)), quantile, axis=0) for group in groups], axis=0)
