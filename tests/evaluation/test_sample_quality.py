from functools import partial

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from vae.evaluation.sample_quality import (
    best_f_scores,
    distance_and_coverage,
    frechet_distance,
    frechet_distance_of_moments,
    improved_precision_recall,
    precision_recall_distributions,
    precision_recall_of_histograms,
    with_reference_split,
)

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(400, 5)) @ RNG.normal(size=(5, 5))
FAKE = RNG.normal(size=(400, 5)) @ RNG.normal(size=(5, 5)) + 0.5


def blobs(modes, each, seed, spread=0.1):
    """Well separated clusters at 10 times the unit vectors of four dimensions."""
    rng = np.random.default_rng(seed)
    return np.concatenate([10 * np.eye(4)[mode] + spread * rng.normal(size=(each, 4)) for mode in modes])


# Frechet distance


def test_frechet_distance_is_that_by_scipy():
    covariances = np.cov(REAL.T), np.cov(FAKE.T)
    difference = REAL.mean(axis=0) - FAKE.mean(axis=0)
    by_scipy = difference @ difference + np.trace(sum(covariances) - 2 * sqrtm(covariances[0] @ covariances[1]).real)
    assert frechet_distance(REAL, FAKE) == pytest.approx(by_scipy, rel=1e-9)


def test_frechet_distance_in_one_dimension_is_that_of_means_and_deviations():
    real, fake = REAL[:, :1], FAKE[:, :1]
    right = (real.mean() - fake.mean()) ** 2 + (real.std(ddof=1) - fake.std(ddof=1)) ** 2
    assert frechet_distance(real, fake) == pytest.approx(right, rel=1e-9)


def test_frechet_distance_is_symmetric_keeps_under_rotation_and_is_the_shift_under_a_shift():
    turn = np.linalg.qr(RNG.normal(size=(5, 5)))[0]
    value = frechet_distance(REAL, FAKE)
    assert frechet_distance(FAKE, REAL) == pytest.approx(value, rel=1e-9)
    assert frechet_distance(REAL @ turn, FAKE @ turn) == pytest.approx(value, rel=1e-9)
    assert frechet_distance(REAL, REAL + np.arange(5.0)) == pytest.approx(30.0, rel=1e-9)
    assert frechet_distance(REAL, 3 * REAL + 0) == pytest.approx(
        4 * np.trace(np.cov(REAL.T)) + 4 * np.sum(REAL.mean(axis=0) ** 2), rel=1e-9
    )


def test_frechet_distance_of_singular_covariances_is_exact():
    # Fewer examples than features: sqrtm of the product of two singular covariances loses digits or turns complex.
    few = RNG.normal(size=(10, 50))
    assert frechet_distance(few, few) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(few, few + 0.1) == pytest.approx(50 * 0.01, abs=1e-9)
    line, other = np.diag([4.0, 0.0]), np.diag([0.0, 9.0])
    zero = np.zeros(2)
    assert frechet_distance_of_moments(zero, line, zero, other) == pytest.approx(13.0)
    assert frechet_distance_of_moments(zero, line, zero, np.diag([9.0, 0.0])) == pytest.approx(1.0)


# Precision and recall for distributions


def curve_by_hand(p, q, angles):
    precision, recall = [], []
    for i in range(1, angles + 1):
        slope = np.tan(np.pi / 2 * i / (angles + 1))
        precision.append(sum(min(slope * a, b) for a, b in zip(p, q, strict=True)))
        recall.append(sum(min(a, b / slope) for a, b in zip(p, q, strict=True)))
    return precision, recall


def test_the_curve_of_histograms_is_that_by_hand():
    p, q = RNG.dirichlet(np.ones(6)), RNG.dirichlet(np.ones(6))
    curve = precision_recall_of_histograms(p, q, angles=101)
    by_hand = curve_by_hand(p, q, 101)
    np.testing.assert_allclose(curve.precision, by_hand[0], atol=1e-12)
    np.testing.assert_allclose(curve.recall, by_hand[1], atol=1e-12)
    overlap = 1 - 0.5 * np.abs(p - q).sum()
    assert curve.precision[50] == pytest.approx(overlap), "at slope 1 both are one minus the total variation"
    assert curve.recall[50] == pytest.approx(overlap)


def test_equal_histograms_are_perfect_and_disjoint_ones_worthless():
    p = np.array([0.2, 0.8, 0.0])
    assert best_f_scores(precision_recall_of_histograms(p, p)) == pytest.approx((1.0, 1.0), abs=1e-9)
    assert best_f_scores(precision_recall_of_histograms(p, np.array([0.0, 0.0, 1.0]))) == (0.0, 0.0)


def test_a_mode_that_is_missed_costs_recall_and_a_stray_one_precision():
    everything, half = blobs((0, 1, 2, 3), 50, 1), blobs((0, 1), 100, 2)
    missed = precision_recall_distributions(everything, half, seed=0, clusters=4, runs=3)
    stray = precision_recall_distributions(half, everything, seed=0, clusters=4, runs=3)
    assert missed.precision.max() == pytest.approx(1.0, abs=1e-9)
    assert missed.recall.max() == pytest.approx(0.5, abs=0.02)
    assert stray.precision.max() == pytest.approx(0.5, abs=0.02)
    assert stray.recall.max() == pytest.approx(1.0, abs=1e-9)
    recall_first = best_f_scores(missed)
    assert recall_first[0] == pytest.approx(65 / (64 / 0.5 + 1), abs=0.01), "F_8 is near the recall"
    assert recall_first[1] == pytest.approx(65 / (64 + 1 / 0.5), abs=0.01), "F_1/8 is near the precision"


def test_prd_averages_its_runs_and_depends_on_the_seed_alone():
    one = [precision_recall_distributions(REAL, FAKE, seed=seed, clusters=8, runs=1).recall for seed in (4, 5)]
    both = precision_recall_distributions(REAL, FAKE, seed=4, clusters=8, runs=2).recall
    np.testing.assert_allclose(both, np.mean(one, axis=0))
    assert not np.allclose(*one)


# Improved precision and recall


def covered_by_hand(points, centres, neighbours):
    distances = cdist(centres, centres)
    radii = [sorted(row)[neighbours] for row in distances]
    inside = [any(np.linalg.norm(point - centre) <= radius for centre, radius in zip(centres, radii)) for point in points]
    return np.mean(inside)


@pytest.mark.parametrize("neighbours", [1, 3])
def test_improved_precision_and_recall_are_those_by_hand(neighbours):
    real, fake = REAL[:120], FAKE[:120]
    result = improved_precision_recall(real, fake, neighbours=neighbours)
    assert result.precision == pytest.approx(covered_by_hand(fake, real, neighbours))
    assert result.recall == pytest.approx(covered_by_hand(real, fake, neighbours))
    assert 0 < result.precision != result.recall


def test_improved_precision_and_recall_tell_missed_from_stray_modes():
    everything, half = blobs((0, 1, 2, 3), 50, 1), blobs((0, 1), 100, 2)
    assert improved_precision_recall(everything, everything) == (1.0, 1.0)
    missed = improved_precision_recall(everything, half)
    assert missed.precision > 0.8
    assert 0.4 < missed.recall <= 0.5
    assert improved_precision_recall(half, everything) == missed[::-1]
    assert improved_precision_recall(everything, everything + 100) == (0.0, 0.0)


# The reference of real data against itself


def test_the_reference_is_of_the_same_size_and_of_real_data_alone():
    seen = []

    def metric(real, other):
        seen.append((real, other))
        return frechet_distance(real, other)

    result = with_reference_split(metric, REAL, REAL[:100] + 50.0, seed=3)
    (half, generated), (same_half, other_half) = seen
    assert result.examples == len(half) == len(generated) == len(other_half) == 100
    np.testing.assert_array_equal(half, same_half)
    rows = {tuple(row) for row in half} | {tuple(row) for row in other_half}
    assert len(rows) == 200, "the halves share no row"
    assert rows <= {tuple(row) for row in REAL}
    assert result.value > 10_000
    assert result.reference < 2
    halved = with_reference_split(partial(improved_precision_recall, neighbours=3), REAL, FAKE, seed=3)
    assert halved.examples == 200
    assert halved.value.precision < halved.reference.precision < 1


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"real features \(400, 5\) and generated ones \(300, 5\); wanted equal shapes"):
        frechet_distance(REAL, FAKE[:300])
    with pytest.raises(ValueError, match="wanted equal shapes with at least 4"):
        improved_precision_recall(REAL[:3], FAKE[:3])
    with pytest.raises(ValueError, match="generated features has 1 of 2000 entries NaN or infinite"):
        frechet_distance(REAL, np.where(np.arange(2000).reshape(400, 5) == 7, np.inf, FAKE))


def test_distance_and_coverage_are_those_of_equally_many_rows():
    draw = np.random.default_rng(8)
    real, generated = draw.normal(size=(60, 3)), draw.normal(0.3, 1.2, size=(50, 3))
    found = distance_and_coverage(real, generated, neighbours_among=40)
    assert found.distance == frechet_distance(real[:50], generated)
    assert found[1:] == improved_precision_recall(real[:40], generated[:40])
