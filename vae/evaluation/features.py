"""Features of images from a small classifier, for the metrics of sample quality."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vae.evaluation.arrays import finite_array, integer_array, split_rows


class Features(NamedTuple):
    """A feature function and how good the classifier behind it is.

    extract:  examples (N, ...) -> features (N, width).
    accuracy: of the classifier on examples it was not trained on; features of a poor classifier measure little.
    """

    extract: Callable[[ArrayLike], np.ndarray]
    accuracy: float


def classifier_features(
    x: ArrayLike, labels: ArrayLike, *, seed: int, width: int = 64, epochs: int = 20, test_fraction: float = 0.1
) -> Features:
    """The last hidden layer, after its ReLU, of a network D - 4 width - width - classes trained on labelled examples.

    x:      (N, ...) numbers, flattened and standardised by one mean and one scale of the whole set; labels: (N,) integers.
    seed:   decides the split, the start and the order, so that the same call gives the same features.
    epochs: fixed, not until convergence: one can pay for more.

    Use one such function for everything that is compared. Raises ValueError where examples and labels differ in number.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    flat, classes = _flat(x), integer_array("labels", labels, "examples")
    if len(flat) != len(classes):
        raise ValueError(f"got {len(flat)} examples and {len(classes)} labels; wanted one label for each.")
    train, test = split_rows(len(flat), test_fraction, seed)
    mean, scale = flat[train].mean(), flat[train].std() or 1.0
    model = MLPClassifier((4 * width, width), max_iter=epochs, tol=0.0, n_iter_no_change=epochs, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs is what was asked for
        model.fit((flat[train] - mean) / scale, classes[train])

    def extract(examples: ArrayLike) -> np.ndarray:
        hidden = (_flat(examples) - mean) / scale
        for weights, bias in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
            hidden = np.maximum(hidden @ weights + bias, 0.0)
        return hidden

    return Features(extract, accuracy=float(model.score((flat[test] - mean) / scale, classes[test])))


def _flat(x: ArrayLike) -> np.ndarray:
    """(N, D) float64."""
    return finite_array("x", np.reshape(np.asarray(x), (len(np.asarray(x)), -1)), "examples, dimensions")
