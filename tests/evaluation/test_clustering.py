from itertools import permutations

import numpy as np
import pytest
from scipy.stats import entropy

from vae.evaluation.clustering import cluster_scores, gaussian_mixture, kmeans, kmeans_scores, mixture_scores
from vae.evaluation.probes import knn_probe, linear_probe

LABELS = np.repeat(np.arange(3), 60)
BLOBS = 6.0 * np.eye(3)[LABELS] + np.random.default_rng(0).normal(size=(180, 3))
# A small class at the side of a wide one, of which k-means takes too much.
WIDTHS = np.repeat([[4.0], [0.3]], 300, axis=0)
UNEQUAL = np.random.default_rng(1).normal(size=(600, 2)) * WIDTHS + np.repeat([[0.0, 0.0], [5.0, 0.0]], 300, axis=0)
UNEQUAL_LABELS = np.repeat([5, 9], 300)


def scores_by_hand(clusters, labels):
    names, others = np.unique(labels), np.unique(clusters)
    size = max(len(names), len(others))
    joint = np.zeros((size, size))
    for c, y in zip(clusters, labels, strict=True):
        joint[np.searchsorted(others, c), np.searchsorted(names, y)] += 1 / len(labels)
    accuracy = max(sum(joint[c, y] for c, y in enumerate(order)) for order in permutations(range(size)))
    own = entropy(joint.sum(axis=0)), entropy(joint.sum(axis=1))
    return accuracy, (sum(own) - entropy(joint.ravel())) / (0.5 * sum(own))


@pytest.mark.parametrize("clusters", [2, 4, 6])
def test_scores_are_the_best_of_all_assignments(clusters):
    rng = np.random.default_rng(clusters)
    labels = rng.integers(4, size=200)
    assigned = np.where(rng.random(200) < 0.6, labels % clusters, rng.integers(clusters, size=200))
    assert cluster_scores(assigned, labels) == pytest.approx(scores_by_hand(assigned, labels), abs=1e-12)


def test_names_of_clusters_do_not_matter():
    assert cluster_scores((LABELS + 1) % 3 * 7, LABELS) == pytest.approx((1.0, 1.0))
    assert cluster_scores(np.zeros(180, int), LABELS) == pytest.approx((1 / 3, 0.0))


def test_separate_blobs_are_found_by_both():
    assert kmeans_scores(BLOBS, LABELS, seed=0).accuracy > 0.98
    assert mixture_scores(BLOBS, LABELS, seed=0).accuracy > 0.98


def test_classes_of_unequal_width_need_a_mixture():
    log_ratio = 2 * np.log(4.0 / 0.3) + 0.5 * (np.sum(UNEQUAL**2, axis=1) / 16 - np.sum((UNEQUAL - [5, 0]) ** 2, axis=1) / 0.09)
    bayes = np.mean((log_ratio > 0) == (UNEQUAL_LABELS == 9))
    assert mixture_scores(UNEQUAL, UNEQUAL_LABELS, seed=0).accuracy == pytest.approx(bayes, abs=0.01)
    assert kmeans_scores(UNEQUAL, UNEQUAL_LABELS, seed=0).accuracy < bayes - 0.05


def test_assignments_depend_on_the_seed_alone():
    noise = np.random.default_rng(2).normal(size=(100, 2))
    np.testing.assert_array_equal(kmeans(noise, 5, seed=3), kmeans(noise, 5, seed=3))
    np.testing.assert_array_equal(gaussian_mixture(noise, 5, seed=3), gaussian_mixture(noise, 5, seed=3))


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
    with pytest.raises(ValueError, match="clusters is 4 for 3 codes"):
        kmeans(BLOBS[:3], 4, seed=0)
    with pytest.raises(ValueError, match="got 180 codes and 179 labels"):
        kmeans_scores(BLOBS, LABELS[1:], seed=0)
    with pytest.raises(TypeError, match="labels is float64; wanted integers"):
        kmeans_scores(BLOBS, LABELS.astype(float), seed=0)
    with pytest.raises(ValueError, match="got 2 assignments and 3 labels"):
        cluster_scores([0, 1], [0, 1, 2])
    with pytest.raises(ValueError, match="codes of 3 dimensions to train on and 2 to test"):
        linear_probe(BLOBS, LABELS, UNEQUAL, UNEQUAL_LABELS)
    with pytest.raises(ValueError, match="neighbours is 9 for 8 training codes"):
        knn_probe(BLOBS[:8], LABELS[:8], BLOBS, LABELS, neighbours=9)
