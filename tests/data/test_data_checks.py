import numpy as np
import pytest

from vae.data.checks import as_labels, as_pixels


def pixels(array):
    return as_pixels({"train": array})["train"]


@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 1), (5, 9, 2), (9, 5, 3), (1, 4, 4)])
def test_uint8_images_are_kept_as_they_are(height, width, channels):
    images = np.arange(3 * height * width * channels, dtype=np.uint8).reshape(3, height, width, channels)
    assert pixels(images) is images


def test_images_without_channels_get_one():
    images = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    np.testing.assert_array_equal(pixels(images), images[..., None].astype(np.uint8))


def test_floats_between_0_and_1_are_scaled_and_rounded_to_the_nearest():
    images = np.linspace(0, 1, 4 * 4 * 4, dtype=np.float32).reshape(4, 4, 4)
    assert np.abs(pixels(images)[..., 0] - images * 255.0).max() <= 0.5 + 1e-4
    greys = np.arange(256, dtype=np.float32).reshape(1, 16, 16) / np.float32(255)
    np.testing.assert_array_equal(pixels(greys).reshape(-1), np.arange(256))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.float64])
def test_zeros_and_ones_are_off_and_on(dtype):
    images = (np.arange(12).reshape(1, 3, 4) % 2).astype(dtype)
    np.testing.assert_array_equal(pixels(images)[..., 0], images.astype(int) * 255)


def test_whole_floats_are_pixels():
    images = np.array([[[0.0, 254.0], [255.0, 7.0]]])
    np.testing.assert_array_equal(pixels(images)[..., 0], images)


def test_splits_are_scaled_alike():
    bright, dark = np.full((1, 2, 2), 200, np.int16), np.ones((1, 2, 2), np.int16)
    scaled = as_pixels({"train": bright, "test": dark})
    assert scaled["train"].max() == 200
    assert scaled["test"].max() == 1


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((1, 2, 2), 256), r"pixels lie in 256 \.\.\. 256, wanted 0 \.\.\. 255, or floats in 0 \.\.\. 1"),
        (np.full((1, 2, 2), -1.0), r"pixels lie in -1 \.\.\. -1, wanted 0 \.\.\. 255"),
        (np.full((1, 2, 2), np.inf), r"pixels lie in inf \.\.\. inf, wanted 0 \.\.\. 255"),
        (np.full((1, 2, 2), 3.5), r"pixels are fractions up to 3\.5, wanted floats in 0 \.\.\. 1 or whole numbers"),
        (np.array([[[0.5, np.nan], [np.nan, 0.1]]]), r"the train images hold 2 NaN pixels"),
        ([np.zeros((2, 2)), np.zeros((3, 2))], r"the train images have mixed sizes"),
        (np.zeros((5, 64)), r"the train images have shape \(5, 64\), wanted \(N, H, W\) or \(N, H, W, C\)"),
        (np.zeros((5, 3, 32, 32)), r"wanted \(N, H, W\) or \(N, H, W, C\) with 1 to 4 channels last"),
        (np.zeros((0, 8, 8)), r"the train split is empty"),
        (np.array([[["a"]]]), r"the train images are of type <U1, wanted numbers"),
    ],
)
def test_what_is_not_images_is_refused_in_one_sentence(images, message):
    with pytest.raises(ValueError, match=message):
        pixels(images)


def test_splits_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"mixed sizes: train is \(2, 2, 1\) but test is \(2, 3, 1\)"):
        as_pixels({"train": np.zeros((1, 2, 2)), "test": np.zeros((1, 2, 3))})


def test_labels_become_int32():
    assert as_labels("train", None, 3) is None
    for given, shape in (
        (np.array([3, 1, 2], np.uint8), (3,)),
        (np.ones((3, 1), np.int64), (3,)),
        (np.ones((3, 5), int), (3, 5)),
    ):
        labels = as_labels("train", given, 3)
        assert (labels.dtype, labels.shape) == (np.int32, shape)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(4, int), r"the test split has 3 images but 4 labels: give one label per image\."),
        (np.array([0.5, 1.0, 2.0]), r"the test labels are float64 of shape \(3,\), wanted whole numbers"),
        (np.zeros((3, 2, 2), int), r"of shape \(3, 2, 2\), wanted whole numbers of shape \(N,\) or \(N, F\)"),
    ],
)
def test_other_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        as_labels("test", labels, 3)
