"""Whether a mask that was found is the one that the data were made with."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class MaskRecovery(NamedTuple):
    """Shares of the entries of a mask that were found.

    precision: of those that were found, how many are true; 1 where none was found.
    recall:    of the true ones, how many were found.
    order:     which found column stands for each true one.
    """

    precision: float
    recall: float
    order: tuple[int, ...]


def mask_recovery(found: ArrayLike, true: ArrayLike) -> MaskRecovery:
    """Precision and recall of the entries of a mask, its columns matched so that as many entries as can be are the same.

    What is latent has no order: columns are matched one to one; found ones that stand for none are left out of `order`, and
    their entries are false.

    found: (features, latent) booleans; true: (features, factors) with at most as many columns. ValueError for others.
    """
    from scipy.optimize import linear_sum_assignment

    found, true = np.asarray(found, bool), np.asarray(true, bool)
    if found.ndim != 2 or true.ndim != 2 or len(found) != len(true) or found.shape[1] < true.shape[1] or not true.any():
        raise ValueError(
            f"got a found mask of shape {found.shape} and a true one of {true.shape} with {int(true.sum())} entries; wanted "
            "(features, latent), as many features, at least as many columns, and a true entry."
        )
    shared = true.T.astype(int) @ found.astype(int)
    different = found.sum(axis=0)[None] - shared  # of two columns with as many hits the one with fewer false entries
    _, order = linear_sum_assignment(-(shared - different / (len(found) + 1.0)))
    hits = int(shared[np.arange(true.shape[1]), order].sum())
    return MaskRecovery(hits / max(int(found.sum()), 1) if found.any() else 1.0, hits / int(true.sum()), tuple(map(int, order)))
