from itertools import permutations

import numpy as np
import pytest
from scipy.stats import entropy

from vae.evaluation.clustering import cluster_scores, gaussian_mixture, kmeans, kmeans_scores, mixture_scores

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


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="clusters is 4 for 3 codes"):
        kmeans(BLOBS[:3], 4, seed=0)
    with pytest.raises(ValueError, match="got 180 codes and 179 labels"):
        kmeans_scores(BLOBS, LABELS[1:], seed=0)
    with pytest.raises(TypeError, match="labels is float64; wanted integers"):
        kmeans_scores(BLOBS, LABELS.astype(float), seed=0)
    with pytest.raises(ValueError, match="got 2 assignments and 3 labels"):
        cluster_scores([0, 1], [0, 1, 2])
