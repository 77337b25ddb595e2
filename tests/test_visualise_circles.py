"""The latent circle: where its points and its images stand."""

import matplotlib
import numpy as np
import pytest

from vae import visualise

ANGLES, TRUE = np.array([0.0, np.pi / 2, -2.0]), np.array([0.5, -0.5, 7.0])


def test_points_stand_at_their_angles_in_the_colour_of_the_true_ones():
    axes = visualise.on_circle(ANGLES, TRUE).axes[0]
    (points,) = (found for found in axes.collections if isinstance(found, matplotlib.collections.PathCollection))
    x, y = np.asarray(points.get_offsets()).T
    np.testing.assert_allclose(np.exp(1j * np.arctan2(y, x)), np.exp(1j * ANGLES), atol=1e-9)
    np.testing.assert_allclose(points.get_array(), np.mod(TRUE, 2 * np.pi))


def test_images_stand_around_it_at_even_angles():
    images = np.random.default_rng(0).random((4, 3, 3, 1))
    axes = visualise.on_circle(ANGLES, TRUE, images).axes[0]
    centres = np.array([[np.mean(image.get_extent()[:2]), np.mean(image.get_extent()[2:])] for image in axes.images])
    np.testing.assert_allclose(
        centres / np.linalg.norm(centres, axis=1)[:, None], [[1, 0], [0, 1], [-1, 0], [0, -1]], atol=1e-9
    )
    np.testing.assert_allclose(axes.images[1].get_array(), images[1, ..., 0], rtol=1e-6)


def test_pairs_are_wanted():
    with pytest.raises(ValueError, match="true got 2 entries, wanted 3"):
        visualise.on_circle(ANGLES, TRUE[:2])
