"""What simple classifiers, trained on codes with labels, get right on codes held out."""

from numpy.typing import ArrayLike

from vae.evaluation.arrays import codes_and_labels, linear_classifier


def knn_probe(
    train_codes: ArrayLike, train_labels: ArrayLike, test_codes: ArrayLike, test_labels: ArrayLike, *, neighbours: int = 5
) -> float:
    """Accuracy of the majority of the k nearest training codes, in Euclidean distance at the codes' own scale.

    Range 0 ... 1, chance the share of the largest class. It sees classes of any shape; dimensions of mere noise lower it.
    codes: (N, D) and (M, D); labels: (N,) and (M,). Raises ValueError for fewer training codes than neighbours.
    (Cover & Hart 1967.)
    """
    from sklearn.neighbors import KNeighborsClassifier

    train, classes, test, true = _parts(train_codes, train_labels, test_codes, test_labels)
    if not 1 <= neighbours <= len(train):
        raise ValueError(f"neighbours is {neighbours} for {len(train)} training codes; wanted between 1 and their number.")
    return float(KNeighborsClassifier(neighbours).fit(train, classes).score(test, true))


def linear_probe(
    train_codes: ArrayLike, train_labels: ArrayLike, test_codes: ArrayLike, test_labels: ArrayLike, *, seed: int = 0
) -> float:
    """Accuracy of logistic regression on standardised codes (L2 penalty with C = 1).

    Range 0 ... 1, chance the share of the largest class. It is the same for rotated codes up to the penalty's effect, and sees
    only classes that a plane separates from the rest.
    codes: (N, D) and (M, D); labels: (N,) and (M,). (Alain & Bengio 2016.)
    """
    train, classes, test, true = _parts(train_codes, train_labels, test_codes, test_labels)
    return float(linear_classifier(seed).fit(train, classes).score(test, true))


def _parts(train_codes: ArrayLike, train_labels: ArrayLike, test_codes: ArrayLike, test_labels: ArrayLike):
    """Both parts checked, refused where their codes differ in width."""
    train, classes = codes_and_labels(train_codes, train_labels, "train_codes")
    test, true = codes_and_labels(test_codes, test_labels, "test_codes")
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"got codes of {train.shape[1]} dimensions to train on and {test.shape[1]} to test; wanted equal ones."
        )
    return train, classes, test, true
