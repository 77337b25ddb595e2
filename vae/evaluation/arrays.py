"""What the offline metrics ask of the arrays they are given, refused in one sentence; how rows are split; how sure
a mean is."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike


def finite_array(name: str, values: ArrayLike, axes: str) -> np.ndarray:
    """`values` as float64. ValueError where the rank is not that of `axes`, where empty, and where NaN or infinite."""
    array = np.asarray(values, np.float64)
    if array.ndim != len(axes.split(", ")) or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; wanted ({axes}) with no empty axis: reshape it.")
    if not np.all(np.isfinite(array)):
        count = int(np.sum(~np.isfinite(array)))
        raise ValueError(f"{name} has {count} of {array.size} entries NaN or infinite; wanted numbers: drop those rows.")
    return array


def integer_array(name: str, values: ArrayLike, axes: str) -> np.ndarray:
    """`values` as int64. TypeError where they are not integers, ValueError where the rank is not that of `axes` or empty."""
    array = np.asarray(values)
    if array.ndim != len(axes.split(", ")) or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; wanted ({axes}) with no empty axis: reshape it.")
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} is {array.dtype}; wanted integers, one for each distinct value: encode them first.")
    return array.astype(np.int64)


def codes_and_factors(
    codes: ArrayLike, factors: ArrayLike, *, fewest_codes: int = 1, fewest_factors: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, D) as float64 and factors of variation (N, F) as consecutive integers 0, 1, ... in each column.

    Raises ValueError where the rows differ in number, a factor has one value only, or there are fewer columns than wanted.
    """
    codes = finite_array("codes", codes, "examples, dimensions")
    factors = integer_array("factors", factors, "examples, factors")
    if len(codes) != len(factors):
        raise ValueError(f"got {len(codes)} codes and {len(factors)} rows of factors; wanted one row of factors for each code.")
    if codes.shape[1] < fewest_codes or factors.shape[1] < fewest_factors:
        raise ValueError(
            f"got codes of {codes.shape[1]} dimensions and {factors.shape[1]} factors; this metric compares them in pairs "
            f"and wants at least {fewest_codes} and {fewest_factors}: use another metric."
        )
    ranked = np.stack([np.unique(column, return_inverse=True)[1] for column in factors.T], axis=1)
    constant = np.flatnonzero(ranked.max(axis=0) == 0)
    if constant.size:
        raise ValueError(f"factor {constant[0]} has one value only; wanted factors that vary: drop that column.")
    return codes, ranked


def codes_and_labels(codes: ArrayLike, labels: ArrayLike, name: str = "codes") -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, D) as float64 and labels (N,) as int64; ValueError where they differ in number."""
    codes, labels = finite_array(name, codes, "examples, dimensions"), integer_array("labels", labels, "examples")
    if len(codes) != len(labels):
        raise ValueError(f"got {len(codes)} {name} and {len(labels)} labels; wanted one label for each.")
    return codes, labels


def standard_error(values: ArrayLike) -> Any:
    """sd / sqrt(n), the standard error of the mean over the first axis, in float64; NaN for a single value."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)[()]
    return np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


class Split(NamedTuple):
    """Row numbers of two disjoint parts."""

    train: np.ndarray
    test: np.ndarray


def split_rows(rows: int, test_fraction: float, seed: int) -> Split:
    """A random split that keeps round(test_fraction * rows) rows for testing; ValueError where a part would be empty."""
    test = round(test_fraction * rows)
    if not 0 < test < rows:
        raise ValueError(f"test_fraction {test_fraction} of {rows} examples leaves a part empty; wanted one inside (0, 1).")
    order = np.random.default_rng(seed).permutation(rows)
    return Split(train=order[test:], test=order[:test])


def linear_classifier(seed: int) -> Any:
    """Logistic regression on standardised columns: scikit-learn's L2 penalty C = 1 then weighs every column alike."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000, random_state=seed))
