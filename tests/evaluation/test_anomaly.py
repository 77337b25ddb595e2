import lzma
import zlib

import cv2
import numpy as np
import pytest
from scipy.stats import norm

from vae.evaluation.anomaly import auroc_error, compressed_size, detection, false_positive_rate_at, mean_intensity, png_size


def detection_by_hand(inside, outside):
    """Pairs for the area, a walk down the thresholds for the other two."""
    area = np.mean([(b > a) + 0.5 * (b == a) for a in inside for b in outside])
    average, recall_before, fpr80 = 0.0, 0.0, None
    for threshold in sorted({*inside, *outside}, reverse=True):
        found, called = np.mean(outside >= threshold), np.mean(inside >= threshold)
        precision = np.sum(outside >= threshold) / (np.sum(outside >= threshold) + np.sum(inside >= threshold))
        average += precision * (found - recall_before)
        recall_before = found
        fpr80 = called if fpr80 is None and found >= 0.8 else fpr80
    return area, average, fpr80


@pytest.mark.parametrize("decimals", [8, 0])
def test_detection_is_that_by_hand_with_and_without_ties(decimals):
    rng = np.random.default_rng(0)
    inside, outside = np.round(rng.normal(size=60), decimals), np.round(rng.normal(1.0, 1.5, size=45), decimals)
    assert detection(inside, outside) == pytest.approx(detection_by_hand(inside, outside), abs=1e-12)


def test_detection_of_two_gaussians_is_that_of_theory():
    rng, shift = np.random.default_rng(1), 1.0
    result = detection(rng.normal(size=40_000), rng.normal(shift, size=40_000))
    assert result.auroc == pytest.approx(norm.cdf(shift / np.sqrt(2)), abs=0.01)
    assert result.fpr80 == pytest.approx(norm.sf(shift + norm.ppf(0.2)), abs=0.01)


def test_a_score_without_information_a_perfect_one_and_a_wrong_one():
    low, high = np.arange(10.0), np.arange(10.0, 20.0)
    assert detection(low, high) == pytest.approx((1.0, 1.0, 0.0))
    assert detection(high, low).auroc == 0.0
    assert detection(high, low).fpr80 == 1.0
    assert detection(low, low) == pytest.approx((0.5, detection_by_hand(low, low)[1], 0.8))
    constant = detection(np.zeros(30), np.zeros(10))
    assert constant == pytest.approx((0.5, 0.25, 1.0)), "all tied: the average precision is the share of the out-set"


def test_the_false_positive_rate_at_other_rates():
    inside, outside = np.arange(10.0), np.array([4.5, 5.5, 6.5, 7.5, 8.5])
    for rate, wanted in [(0.2, 0.1), (0.4, 0.2), (0.41, 0.3), (1.0, 0.5)]:
        assert false_positive_rate_at(inside, outside, rate) == pytest.approx(wanted)


@pytest.mark.parametrize("levels", [3, 10_000])
def test_the_error_of_the_area_is_that_of_the_variance_of_its_pairs(levels):
    """The two-sample U-statistic written out pair by pair, with many ties and without."""
    rng = np.random.default_rng(5)
    inside, outside = rng.integers(0, levels, 30) / levels, rng.integers(0, levels, 20) / levels + 0.2
    pairs = (outside[None] > inside[:, None]) + 0.5 * (outside[None] == inside[:, None])
    variance = pairs.mean(axis=0).var(ddof=1) / 20 + pairs.mean(axis=1).var(ddof=1) / 30
    assert auroc_error(inside, outside) == pytest.approx(np.sqrt(variance))
    assert detection(inside, outside).auroc == pytest.approx(pairs.mean())


def test_the_error_of_the_area_is_its_spread_over_other_examples():
    rng = np.random.default_rng(6)
    drawn = [(rng.normal(size=60), rng.normal(0.8, 1.5, size=40)) for _ in range(1_000)]
    areas, errors = zip(*((np.mean(b[None] > a[:, None]), auroc_error(a, b)) for a, b in drawn))
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=4 / np.sqrt(2 * 1_000))
    assert auroc_error([0.0, 1.0], [2.0, 3.0]) == 0.0


def test_baselines_without_a_model():
    rng = np.random.default_rng(2)
    smooth = np.full((3, 8, 8, 1), 200, np.uint8)
    noisy = rng.integers(0, 256, size=(3, 8, 8, 1), dtype=np.uint8)
    np.testing.assert_allclose(mean_intensity(smooth), 200.0)
    np.testing.assert_allclose(mean_intensity(noisy), [image.mean() for image in noisy])
    assert compressed_size(smooth).tolist() == [len(zlib.compress(smooth[0].tobytes(), 9))] * 3
    assert np.all(compressed_size(noisy) >= 64), "noise cannot be compressed"
    assert compressed_size(noisy, lzma.compress).tolist() == [len(lzma.compress(image.tobytes())) for image in noisy]
    assert detection(compressed_size(smooth), compressed_size(noisy)).auroc == 1.0


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_size_of_a_png_file_is_that_of_one_that_holds_the_image(channels, tmp_path):
    rng = np.random.default_rng(3)
    noisy = rng.integers(0, 256, size=(2, 16, 24, channels), dtype=np.uint8)
    flat = np.full_like(noisy, 7)
    flat[1] = noisy[1] // 128 * 128
    assert np.all(png_size(flat) < png_size(noisy)), "what is simple is small"
    assert np.all(png_size(noisy) >= noisy[0].size), "noise cannot be compressed"
    cv2.imwrite(str(tmp_path / "one.png"), noisy[0], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert png_size(noisy)[0] <= (tmp_path / "one.png").stat().st_size


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(TypeError, match=r"x is uint8 \(2, 4, 4, 2\); wanted uint8 images \(N, H, W, C\) of 1, 3 or 4 channels"):
        png_size(np.zeros((2, 4, 4, 2), np.uint8))
    with pytest.raises(TypeError, match=r"x is float32 \(2, 4\); wanted uint8 examples"):
        compressed_size(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="got 1 in-scores and 3 out-scores; wanted at least two of each"):
        auroc_error(np.zeros(1), np.zeros(3))
    with pytest.raises(ValueError, match="out_scores has shape"):
        detection(np.zeros(3), np.zeros(0))
    with pytest.raises(ValueError, match=r"true_positive_rate is 0\.0"):
        false_positive_rate_at(np.zeros(3), np.zeros(3), 0.0)
