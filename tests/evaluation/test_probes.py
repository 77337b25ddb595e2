import numpy as np
import pytest

from vae.evaluation.probes import knn_probe, linear_probe

LABELS = np.repeat(np.arange(3), 60)
CODES = 6.0 * np.eye(3)[LABELS] + np.random.default_rng(0).normal(size=(180, 3))


def test_the_nearest_neighbour_probe_is_that_by_hand():
    rng = np.random.default_rng(4)
    train, test = rng.normal(size=(90, 2)), rng.normal(size=(50, 2))
    labels, true = (train.sum(axis=1) > 0).astype(int), (test.sum(axis=1) > 0).astype(int)
    flipped = np.where(rng.random(90) < 0.2, 1 - labels, labels)
    for neighbours in (1, 5):
        nearest = [np.argsort(np.linalg.norm(train - point, axis=1))[:neighbours] for point in test]
        by_hand = np.mean([np.mean(flipped[n]) > 0.5 for n in nearest] == (true == 1))
        assert knn_probe(train, flipped, test, true, neighbours=neighbours) == pytest.approx(by_hand)


def test_a_linear_probe_sees_planes_and_a_neighbour_probe_any_shape():
    rng = np.random.default_rng(5)
    codes = rng.uniform(-1, 1, size=(2000, 2))
    diagonal, checker = (codes[:, 0] > codes[:, 1]).astype(int), (codes.prod(axis=1) > 0).astype(int)
    for labels, right in [(diagonal, 1.0), (checker, 0.5)]:
        assert linear_probe(codes[:1000], labels[:1000], codes[1000:], labels[1000:]) == pytest.approx(right, abs=0.05)
        assert knn_probe(codes[:1000], labels[:1000], codes[1000:], labels[1000:]) > 0.93
    assert linear_probe(codes[:1000] * [1e-3, 1e3], diagonal[:1000], codes[1000:] * [1e-3, 1e3], diagonal[1000:]) > 0.98


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="codes of 3 dimensions to train on and 2 to test"):
        linear_probe(CODES, LABELS, CODES[:, :2], LABELS)
    with pytest.raises(ValueError, match="neighbours is 9 for 8 training codes"):
        knn_probe(CODES[:8], LABELS[:8], CODES, LABELS, neighbours=9)
