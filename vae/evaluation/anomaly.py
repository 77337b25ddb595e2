"""How well a score tells examples of another data set from those of the model's own; and scores that need no model.

Throughout, a higher score means a more anomalous example, and the out-set is the positive class. Scores from a model are in
`vae.evaluation.anomaly_scores`.
"""

import zlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vae.evaluation.arrays import finite_array

smallest = partial(zlib.compress, level=9)


class Detection(NamedTuple):
    """What a score is worth as a detector.

    auroc: probability that an example of the out-set scores higher than one of the in-set, ties counted half; 1/2 is chance,
           and below 1/2 the score points the wrong way.
    auprc: average precision, sum_n (R_n - R_(n-1)) P_n; chance is the share of the out-set, so compare at equal shares.
    fpr80: share of the in-set called anomalous at the threshold that finds 80 % of the out-set; down is better, chance 0.8.
    """

    auroc: float
    auprc: float
    fpr80: float


def detection(in_scores: ArrayLike, out_scores: ArrayLike) -> Detection:
    """AUROC, AUPRC and FPR80 of scores of an in-set (N,) and an out-set (M,), higher meaning more anomalous.

    Raises ValueError for empty sets and NaN. (The three numbers of Ren et al. 2019, section 5.)
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    inside, outside = finite_array("in_scores", in_scores, "examples"), finite_array("out_scores", out_scores, "examples")
    scores = np.concatenate([inside, outside])
    is_out = np.repeat([0, 1], [len(inside), len(outside)])
    return Detection(
        auroc=float(roc_auc_score(is_out, scores)),
        auprc=float(average_precision_score(is_out, scores)),
        fpr80=false_positive_rate_at(inside, outside, 0.8),
    )


def auroc_error(in_scores: ArrayLike, out_scores: ArrayLike) -> float:
    """The standard error of the AUROC of scores of an in-set (N,) and an out-set (M,), over what examples were drawn.

        se^2 = Var_j(share of in-scores below out_j) / M + Var_i(share of out-scores above in_i) / N,    see `placements`

    0 where the sets are told apart entirely, however few they are. (DeLong et al. 1988, section 2.)
    """
    lower, higher = placements(in_scores, out_scores)
    return float(np.sqrt(lower.var(ddof=1) / len(lower) + higher.var(ddof=1) / len(higher)))


def placements(in_scores: ArrayLike, out_scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """By out-score the share of the in-scores below it, (M,), and by in-score that of the out-scores above it, (N,).

    Ties count half, so that the mean of either is the AUROC. Raises ValueError for fewer than two of each, and for NaN.
    """
    inside, outside = finite_array("in_scores", in_scores, "examples"), finite_array("out_scores", out_scores, "examples")
    if min(len(inside), len(outside)) < 2:
        raise ValueError(f"got {len(inside)} in-scores and {len(outside)} out-scores; wanted at least two of each.")
    return share_below(outside, inside), 1.0 - share_below(inside, outside)


def share_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """By value, the share of the others that are lower, equal ones counted half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (2 * len(others))


def false_positive_rate_at(in_scores: ArrayLike, out_scores: ArrayLike, true_positive_rate: float) -> float:
    """The share of in-scores at or above the highest threshold that at least `true_positive_rate` of the out-scores reach.

    Range 0 ... 1, down is better. Raises ValueError for a rate outside (0, 1].
    """
    inside, outside = finite_array("in_scores", in_scores, "examples"), finite_array("out_scores", out_scores, "examples")
    if not 0 < true_positive_rate <= 1:
        raise ValueError(f"true_positive_rate is {true_positive_rate}; wanted a number in (0, 1], 0.8 for FPR80.")
    wanted = int(np.ceil(true_positive_rate * len(outside) - 1e-9))
    return float(np.mean(inside >= np.sort(outside)[-wanted]))


def mean_intensity(x: ArrayLike) -> np.ndarray:
    """The mean of each example's numbers, (N,): a baseline that knows nothing of the data but their brightness.

    An AUROC far from 1/2 on either side says that brightness alone tells the sets apart.
    """
    images = np.asarray(x)
    return finite_array("x", images.reshape(len(images), -1), "examples, dimensions").mean(axis=1)


def compressed_size(x: ArrayLike, compress: Callable[[bytes], bytes] = smallest) -> np.ndarray:
    """The bytes that each uint8 example takes when compressed, (N,): a baseline for what a likelihood owes to complexity.

    compress: bytes -> bytes, zlib at its best level unless given. Raises TypeError for another dtype: the size of floats is
    that of their rounding. (Serra et al. 2020, section 3, with a general compressor.)
    """
    images = np.asarray(x)
    if images.dtype != np.uint8 or images.ndim == 0:
        raise TypeError(f"x is {images.dtype} {images.shape}; wanted uint8 examples with a leading axis: pass stored pixels.")
    return np.array([len(compress(image.tobytes())) for image in images], np.float64)


def png_size(x: ArrayLike) -> np.ndarray:
    """The bytes of each uint8 image (N, H, W, C) as a PNG file, header and all, (N,): a code that needs no model.

    8 png_size / (H W C) are its bits per dimension. C is 1, 3 or 4 (TypeError); OpenCV writes the files at the highest
    compression, with zlib's default strategy or that for filtered data, whichever is smaller.
    """
    import cv2

    images = np.asarray(x)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise TypeError(f"x is {images.dtype} {images.shape}; wanted uint8 images (N, H, W, C) of 1, 3 or 4 channels.")
    order = [0] if images.shape[-1] == 1 else [2, 1, 0, 3][: images.shape[-1]]  # OpenCV takes BGR
    strategies = (cv2.IMWRITE_PNG_STRATEGY_DEFAULT, cv2.IMWRITE_PNG_STRATEGY_FILTERED)
    ways = [[cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, strategy] for strategy in strategies]
    return np.array([min(len(cv2.imencode(".png", i, way)[1]) for way in ways) for i in images[..., order]], np.float64)
