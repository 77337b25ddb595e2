import itertools
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from known_codes import CODES, EVEN_ROTATION, FACTORS, STANDARDISED
from scipy.optimize import minimize
from scipy.stats import entropy, linregress
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import Lasso
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from vae.data.sources.sprites import SIZES
from vae.evaluation.disentanglement import dci, explicitness, random_forest, sap, squared_correlation
from vae.evaluation.disentanglement.prediction import linear_svc_accuracy

SMALL = np.stack(np.unravel_index(np.arange(4**4), (4,) * 4), axis=1).repeat(2, axis=0)
SMALL_STANDARDISED = (SMALL - 1.5) / SMALL.std(axis=0)
SMALL_CODES = {
    "factors": SMALL_STANDARDISED,
    "duplicated": np.concatenate([SMALL_STANDARDISED, SMALL_STANDARDISED], axis=1),
    "noise": np.random.default_rng(1).normal(size=SMALL.shape),
    "rotated": SMALL_STANDARDISED @ EVEN_ROTATION,
}


def concentrations(importance):
    """Disentanglement and completeness of a (D, F) matrix, code by code and factor by factor, with SciPy's entropy."""
    dimensions, factors = importance.shape
    by_code = [1 - entropy(row, base=factors) for row in importance]
    by_factor = [1 - entropy(column, base=dimensions) for column in importance.T]
    return np.sum(by_code * importance.sum(axis=1) / importance.sum()), np.mean(by_factor)


def dci_by_hand(codes, factors, make):
    order = np.random.default_rng(5).permutation(len(codes))
    train, test = order[: len(order) * 2 // 3], order[len(order) * 2 // 3 :]
    models = [make(random_state=7).fit(codes[train], factor[train]) for factor in factors.T]
    accuracy = [model.score(codes[test], factor[test]) for model, factor in zip(models, factors.T, strict=True)]
    return (*concentrations(np.stack([model.feature_importances_ for model in models], axis=1)), np.mean(accuracy))


def test_disentanglement_and_completeness_of_given_importances():
    importances = np.random.default_rng(0).exponential(size=(5, 3))
    columns = itertools.cycle(importances.T)

    def estimator(seed):
        model = SimpleNamespace(feature_importances_=next(columns), score=lambda x, y: 0.5)
        model.fit = lambda x, y: model
        return model

    factors = np.random.default_rng(1).integers(3, size=(100, 3))
    result = dci(np.zeros((100, 5)), factors, seed=0, estimator=estimator)
    assert result == pytest.approx((*concentrations(importances), 0.5), abs=1e-12)
    weighed = dci(np.zeros((100, 5)), factors, seed=0, estimator=estimator, weigh_factors=True)
    by_factor = [1 - entropy(column, base=5) for column in importances.T]
    assert weighed.completeness == pytest.approx(by_factor @ importances.sum(axis=0) / importances.sum(), abs=1e-12)
    assert abs(weighed.completeness - result.completeness) > 1e-3
    assert weighed.disentanglement == result.disentanglement


# Each factor needs one code: 1, 1. Two equal codes share what a factor needs, 1 - ln 2 / ln 8 = 2/3 complete. An even mixture
# of two of four factors serves both: 1 - ln 2 / ln 4 = 1/2, and each factor needs two of four codes: 1/2.
@pytest.mark.parametrize(
    ("name", "right"),
    [  # an ensemble for each factor; a mixture shows both numbers below 1
        pytest.param("factors", (1.0, 1.0, 1.0), marks=pytest.mark.slow),
        pytest.param("duplicated", (1.0, 2 / 3, 1.0), marks=pytest.mark.slow),
        ("rotated", (0.5, 0.5, 1.0)),
    ],
)
def test_dci_of_known_codes_by_gradient_boosting(name, right):
    result = dci(SMALL_CODES[name], SMALL, seed=0)
    assert result == pytest.approx(right, abs=0.02)
    assert result == pytest.approx(dci_by_hand(SMALL_CODES[name], SMALL, GradientBoostingClassifier), abs=0.02)


def test_shallow_forests_find_the_factors():
    result = dci(SMALL_CODES["factors"], SMALL, seed=0, estimator=random_forest(20, max_depth=8))
    make = partial(RandomForestClassifier, 20, max_depth=8, max_features=None)
    assert result == pytest.approx(dci_by_hand(SMALL_CODES["factors"], SMALL, make), abs=0.02)
    assert min(result) > 0.95


def test_dci_of_noise_is_little_and_not_zero():
    make = partial(RandomForestClassifier, n_estimators=50)
    result = dci(SMALL_CODES["noise"], SMALL, seed=0, estimator=lambda seed: make(random_state=seed))
    assert result[:2] == pytest.approx(dci_by_hand(SMALL_CODES["noise"], SMALL, make)[:2], abs=0.02)
    assert 0 < result.disentanglement < 0.02
    assert 0 < result.completeness < 0.02
    assert result.informativeness == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / (4 * 171)))


def test_dci_by_lasso_reads_the_coefficients():
    # With independent standardised codes lasso's coefficients are those of least squares less the penalty.
    result = dci(STANDARDISED, FACTORS, seed=0, estimator=lambda seed: Lasso(0.1))
    assert result.disentanglement == pytest.approx(1.0, abs=1e-6)
    assert result.completeness == pytest.approx(1.0, abs=1e-6)
    explained = 1 - (0.1 / STANDARDISED.std() / FACTORS[:, 0].std()) ** 2
    assert result.informativeness == pytest.approx(explained, abs=1e-3)
    silent = dci(STANDARDISED, FACTORS, seed=0, estimator=lambda seed: Lasso(100.0))
    assert silent.disentanglement == silent.completeness == 0.0


def svc_accuracy_by_scipy(train_codes, train_factor, test_codes, test_factor):
    """One against the rest: 1/2 (w^2 + b^2) + C sum of squared hinges, C = 0.01, each class's rows weighed by N / (n N_c)."""
    values, counts = np.unique(train_factor, return_counts=True)
    scores = []
    for value, count in zip(values, counts, strict=True):
        sign = np.where(train_factor == value, 1.0, -1.0)
        penalty = np.where(train_factor == value, 0.01 * len(train_factor) / (len(values) * count), 0.01)

        def loss(w, sign=sign, penalty=penalty):
            slack = np.maximum(1 - sign * (w[0] * train_codes + w[1]), 0)
            gradient = -2 * penalty * slack * sign
            return 0.5 * w @ w + penalty @ slack**2, w + np.array([gradient @ train_codes, gradient.sum()])

        w = minimize(loss, np.zeros(2), jac=True, method="BFGS").x
        scores.append(w[0] * test_codes + w[1])
    return np.mean(values[np.argmax(scores, axis=0)] == test_factor)


def sap_by_hand(codes, factors, predict):
    order = np.random.default_rng(5).permutation(len(codes))
    train, test = order[: len(order) * 2 // 3], order[len(order) * 2 // 3 :]
    gaps = []
    for factor in factors.T:
        scores = sorted(predict(code[train], factor[train], code[test], factor[test]) for code in codes.T)
        gaps.append(scores[-1] - scores[-2])
    return np.mean(gaps)


def r_squared_by_scipy(train_codes, train_factor, test_codes, test_factor):
    return linregress(train_codes, train_factor).rvalue ** 2


# A line through a code explains its own factor fully and others not; half of each of two factors after an even rotation.
@pytest.mark.parametrize(("name", "right"), [("factors", 1.0), ("duplicated", 0.0), ("noise", 0.0), ("rotated", 0.0)])
def test_sap_by_regression_of_known_codes(name, right):
    value = sap(CODES[name], FACTORS, seed=0, predictability=squared_correlation)
    assert value == pytest.approx(right, abs=0.02)
    assert value == pytest.approx(sap_by_hand(CODES[name], FACTORS, r_squared_by_scipy), abs=0.02)


# One number against the rest tells only the two extremes of ten values: 2 / 10 right, less 1 / 10 by chance.
@pytest.mark.parametrize(("name", "right"), [("factors", 0.1), ("duplicated", 0.0), ("noise", 0.0), ("rotated", 0.0)])
def test_sap_by_classification_of_known_codes(name, right):
    value = sap(CODES[name], FACTORS, seed=0)
    assert value == pytest.approx(right, abs=0.02)
    assert value == pytest.approx(sap_by_hand(CODES[name][::3], FACTORS[::3], svc_accuracy_by_scipy), abs=0.02)


def test_sap_by_classification_of_the_factors_of_sprites_is_far_from_one():
    rng = np.random.default_rng(2)
    factors = np.stack([rng.integers(size, size=6000) for size in SIZES], axis=1)
    codes = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    value = sap(codes, factors, seed=0)
    assert value == pytest.approx(sap_by_hand(codes, factors, svc_accuracy_by_scipy), abs=0.02)
    assert 0.15 < value < 0.3


def test_the_support_vector_classifier_is_at_its_optimum():
    rng = np.random.default_rng(3)
    factor = rng.integers(4, size=400)
    code = factor + 0.8 * rng.normal(size=400)
    parts = code[:300], factor[:300], code[300:], factor[300:]
    assert linear_svc_accuracy(*parts) == pytest.approx(svc_accuracy_by_scipy(*parts), abs=0.011)


def test_explicitness_is_the_mean_area_and_ignores_rotation():
    rng = np.random.default_rng(4)
    factors = rng.integers(3, size=(900, 2))
    codes = factors + 0.6 * rng.normal(size=(900, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    value = explicitness(codes, factors, seed=0)
    assert explicitness(codes @ turn, factors, seed=0) == pytest.approx(value, abs=0.01)
    # Bayes' own posterior, on fresh data: nothing linear can do better by more than chance.
    fresh = rng.integers(3, size=50_000)
    seen = fresh[:, None] + 0.6 * rng.normal(size=(50_000, 1))
    posterior = np.exp(-0.5 * ((seen - np.arange(3)) / 0.6) ** 2)
    best = roc_auc_score(fresh, posterior / posterior.sum(axis=1, keepdims=True), multi_class="ovr")
    assert value == pytest.approx(best, abs=0.02)
    assert explicitness(rng.normal(size=(900, 2)), factors, seed=0) == pytest.approx(0.5, abs=0.05)
    assert explicitness(factors.astype(float), factors, seed=0) > 0.99


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(TypeError, match="KNeighborsClassifier has neither feature_importances_ nor coef_"):
        dci(STANDARDISED, FACTORS, seed=0, estimator=lambda seed: KNeighborsClassifier())
    with pytest.raises(ValueError, match=r"test_fraction 0\.0 of 10000 examples leaves a part empty"):
        sap(STANDARDISED, FACTORS, seed=0, test_fraction=0.0)
    with pytest.raises(ValueError, match="wants at least 2 and 2"):
        dci(STANDARDISED[:, :1], FACTORS, seed=0)
