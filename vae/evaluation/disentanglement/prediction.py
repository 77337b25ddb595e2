"""Metrics of how well factors are predicted from a code."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vae.evaluation.arrays import codes_and_factors, linear_classifier, split_rows

Predictability = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], float]
"""(train codes (n,), train factor (n,), test codes (m,), test factor (m,)) -> how well the factor is told, up is better."""


class DCI(NamedTuple):
    """Disentanglement, completeness and informativeness, each up is better."""

    disentanglement: float
    completeness: float
    informativeness: float


def gradient_boosting(seed: int) -> Any:
    """scikit-learn's gradient boosting with its defaults (100 trees of depth 3 for each class), as in disentanglement_lib.

    The time grows with the number of values that the factors have; a random forest is far quicker.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(random_state=seed)


def random_forest(trees: int, max_depth: int | None = None) -> Callable[[int], Any]:
    """Random forests as `dci` takes them: quicker than boosting, and with `max_depth` too shallow to learn codes by heart.

    Every split may choose among all dimensions: a random few would lend importance to those that tell nothing.
    """

    def forest(seed: int) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(trees, max_depth=max_depth, max_features=None, random_state=seed)

    return forest


def dci(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    seed: int,
    estimator: Callable[[int], Any] = gradient_boosting,
    test_fraction: float = 1 / 3,
    weigh_factors: bool = False,
) -> DCI:
    """How concentrated the importances R of D dimensions for predicting F factors are, by rows and by columns.

        disentanglement = sum_i rho_i (1 - H_F(R_i. / sum_k R_ik)),    rho_i = sum_k R_ik / sum R
        completeness    = 1/F sum_k (1 - H_D(R_.k / sum_i R_ik))
        informativeness = mean over factors of the estimator's own score on held-out rows: accuracy of a classifier, R^2 of a
                          regressor (the paper has an error there)

    with entropies H_n to the base n. Range 0 ... 1 (R^2 may be negative). The paper weighs dimensions, not factors;
    disentanglement_lib weighs factors too, which is the same where the importances sum to one for each factor, as those of
    trees do.

    The factors themselves get 1, 1, 1. Each dimension twice: 1, 1 - ln 2 / ln(2 F) if the importance is shared, 1. An even
    rotation of pairs among four factors: 1/2, 1/2. Noise gets little of the first two, not 0, and chance of the third.

    estimator: seed -> scikit-learn model, one fitted for each factor, with `feature_importances_` or `coef_` (the size of the
        coefficients, averaged over classes; standardise the codes first). The paper has lasso and random forests:

        dci(codes, factors, seed=0, estimator=lambda seed: RandomForestClassifier(random_state=seed))

    weigh_factors: completeness as in disentanglement_lib, sum_k w_k (1 - H_D(...)) with w_k = sum_i R_ik / sum R for 1/F.
    codes: (N, D) with D >= 2; factors: (N, F) with F >= 2. Raises ValueError for fewer, TypeError for a model without
    importances. (Eastwood & Williams 2018, section 2.)
    """
    codes, factors = codes_and_factors(codes, factors, fewest_codes=2, fewest_factors=2)
    train, test = split_rows(len(codes), test_fraction, seed)
    models = [estimator(seed).fit(codes[train], column[train]) for column in factors.T]
    importance = np.stack([_importances(model) for model in models], axis=1)
    scores = [model.score(codes[test], column[test]) for model, column in zip(models, factors.T, strict=True)]
    by_factor = importance.sum(axis=0) if weigh_factors else np.ones(importance.shape[1])
    return DCI(
        disentanglement=_average(_concentration(importance), importance.sum(axis=1)),
        completeness=_average(_concentration(importance.T), by_factor),
        informativeness=float(np.mean(scores)),
    )


def _importances(model: Any) -> np.ndarray:
    """|importance| of every dimension, (D,)."""
    if hasattr(model, "feature_importances_"):
        return np.abs(model.feature_importances_)
    if hasattr(model, "coef_"):
        return np.atleast_2d(np.abs(model.coef_)).mean(axis=0)
    raise TypeError(f"{type(model).__name__} has neither feature_importances_ nor coef_; wanted trees, lasso or the like.")


def _concentration(rows: np.ndarray) -> np.ndarray:
    """1 - entropy of each row, normalised to sum to one, to the base of its length; 0 for a row of zeros."""
    from scipy.special import xlogy

    total = rows.sum(axis=1, keepdims=True)
    shares = np.where(total > 0, rows / np.where(total > 0, total, 1.0), 1.0 / rows.shape[1])
    return 1.0 + xlogy(shares, shares).sum(axis=1) / np.log(rows.shape[1])


def _average(values: np.ndarray, weights: np.ndarray) -> float:
    """The weighted mean; 0 where all weights are."""
    return float(np.average(values, weights=weights)) if weights.sum() > 0 else 0.0


def linear_svc_accuracy(train_codes: np.ndarray, train_factor: np.ndarray, test_codes: np.ndarray, test_factor: np.ndarray):
    """Accuracy of a linear support vector classifier of one dimension, C = 0.01, balanced classes, as in disentanglement_lib.

    One against the rest is linear in one number, so values in the middle of an ordered factor are hardly ever told.
    """
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=0.01, class_weight="balanced", dual=False).fit(train_codes[:, None], train_factor)
    return float(np.mean(model.predict(test_codes[:, None]) == test_factor))


def squared_correlation(train_codes: np.ndarray, train_factor: np.ndarray, test_codes: np.ndarray, test_factor: np.ndarray):
    """Cov(z, v)^2 / (Var z Var v) on the training rows: R^2 of the best line; 0 for a constant code."""
    covariance = np.cov(train_codes, train_factor)
    scale = covariance[0, 0] * covariance[1, 1]
    return float(covariance[0, 1] ** 2 / scale) if scale > 0 else 0.0


def sap(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    seed: int,
    predictability: Predictability = linear_svc_accuracy,
    test_fraction: float = 1 / 3,
) -> float:
    """The separated attribute predictability: how much better the best dimension tells a factor than the next best.

        SAP = 1/F sum_k (S_(1)k - S_(2)k),    S_ik = predictability of factor k from dimension i alone

    Two forms exist and their numbers cannot be compared: `linear_svc_accuracy`, the usual one, and `squared_correlation` for
    ordered factors. Range 0 ... 1. The factors themselves get 1 in the second form but far less in the first, 0.2 on sprites,
    because a linear classifier of one number misses most values. Duplicated and evenly rotated codes get 0, noise about 0.

    Codes are used at their own scale, so a collapsed dimension stays weak under the classifier's penalty.
    codes: (N, D) with D >= 2, else ValueError; factors: (N, F). (Kumar et al. 2018, section 3.)
    """
    codes, factors = codes_and_factors(codes, factors, fewest_codes=2)
    train, test = split_rows(len(codes), test_fraction, seed)
    scores = [
        [predictability(code[train], factor[train], code[test], factor[test]) for factor in factors.T] for code in codes.T
    ]
    ordered = np.sort(scores, axis=0)
    return float(np.mean(ordered[-1] - ordered[-2]))


def explicitness(codes: ArrayLike, factors: ArrayLike, *, seed: int, test_fraction: float = 1 / 3) -> float:
    """Whether the values of each factor can be told linearly from the whole code.

        explicitness = 1/F sum_k 1/n_k sum_v AUROC of (v_k = v) from logistic regression on held-out rows

    The regression is multinomial, as in disentanglement_lib, so that values in the middle of an ordered factor can be told too.
    Range 0 ... 1, chance 1/2, not rescaled. The factors themselves get about 1 (0.98 on sprites), and so does every rotation of
    them, as the regression sees all dimensions: this says nothing of alignment. Values without a held-out row are left out.

    codes: (N, D); factors: (N, F). (Ridgeway & Mozer 2018, section 3.)
    """
    codes, factors = codes_and_factors(codes, factors)
    train, test = split_rows(len(codes), test_fraction, seed)
    areas = []
    for column in factors.T:
        model = linear_classifier(seed).fit(codes[train], column[train])
        areas.append(_mean_area(model.predict_proba(codes[test]), model.classes_, column[test]))
    return float(np.mean(areas))


def _mean_area(probabilities: np.ndarray, values: np.ndarray, factor: np.ndarray) -> float:
    """The mean AUROC over those values that are true of some rows and not of others."""
    from sklearn.metrics import roc_auc_score

    present = [(factor == value, column) for value, column in zip(values, probabilities.T, strict=True)]
    return float(np.mean([roc_auc_score(true, score) for true, score in present if 0 < true.sum() < len(true)]))
