"""Figures are checked for what they show: the pixels of the file, the numbers behind the artists, the words around them."""

import struct
import subprocess
import sys
from itertools import pairwise

import cv2
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from vae import visualise
from vae.visualise.images import over_checkerboard

RNG = np.random.default_rng(0)
MINUS = "\N{MINUS SIGN}"


def random_images(*shape):
    return np.random.default_rng(sum(shape)).random(shape, np.float32)


GRAY = random_images(5, 8, 8, 1)
RECORDS = [
    {"step": step, "split": split, "elbo": -100.0 + step / 10, "kl": 5.0, "log_likelihood": -95.0, "images_per_second": 1e4}
    for step in range(10, 101, 10)
    for split in ("train", "validation")
]
POINTS = [visualise.RateDistortion("beta 4", 10.0, 95.0, 0.5, 0.7), visualise.RateDistortion("beta 1", 25.0, 75.0)]
FIGURES = {
    "image_grid": lambda: visualise.image_grid(GRAY),
    "reconstructions": lambda: visualise.reconstructions(GRAY, GRAY),
    "samples": lambda: visualise.samples(GRAY, GRAY, GRAY, np.arange(5.0)),
    "samples_by_row": lambda: visualise.samples_by_row(GRAY[None], GRAY[None], row_names=["digit 3"]),
    "latent_traversals": lambda: visualise.latent_traversals(GRAY[None], np.linspace(-2, 2, 5), [1.5]),
    "interpolation": lambda: visualise.interpolation(GRAY[None], originals=GRAY[None, :2]),
    "latent_means": lambda: visualise.latent_means(np.arange(12.0).reshape(6, 2), np.arange(6) % 2),
    "on_circle": lambda: visualise.on_circle(np.array([0.1, 2.0]), np.array([0.2, -1.0]), GRAY),
    "kl_per_dimension": lambda: visualise.kl_per_dimension(np.array([0.001, 2.0, 0.5]), [False, True, True]),
    "training_curves": lambda: visualise.training_curves(RECORDS),
    "rate_distortion": lambda: visualise.rate_distortion({"beta-VAE": POINTS}),
    "signal_to_noise": lambda: visualise.signal_to_noise([1, 4, 16], {"IWAE": [1.0, 0.5, 0.25]}),
}
ON_AXES = ("latent_means", "kl_per_dimension", "training_curves", "rate_distortion", "signal_to_noise")


def words(figure):
    """Every text that a reader of the figure sees, in one string."""
    figure.draw_without_rendering()
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_visible())


def pixels_of_tiles(figure, path):
    """What the file shows of each image, in the order drawn, as (H, W, 3) arrays of its file pixels."""
    drawn = cv2.imread(str(visualise.save(figure, path)))[..., ::-1]
    box = figure.axes[0].get_position()
    left, top = round(box.x0 * drawn.shape[1]), round((1 - box.y1) * drawn.shape[0])
    extents = [image.get_extent() for image in figure.axes[0].images]
    return [drawn[top + y0 : top + y1, left + x0 : left + x1] for x0, x1, y1, y0 in np.asarray(extents, int)]


# What every figure has in common


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_a_title_and_leaves_the_settings_alone(name):
    before = dict(matplotlib.rcParams)
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    assert dict(matplotlib.rcParams) == before
    title = figure.get_suptitle() or figure.texts[0].get_text()
    assert len(title) > 5


@pytest.mark.parametrize("name", ON_AXES)
def test_axes_are_labelled_with_units(name):
    for axes in FIGURES[name]().axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    unit = {"latent_means": "mean", "signal_to_noise": "ratio"}.get(name, "nats per example")
    assert unit in words(FIGURES[name]())


@pytest.mark.parametrize("name", FIGURES)
def test_all_that_is_drawn_lies_within_the_figure(name):
    figure = FIGURES[name]()
    figure.draw_without_rendering()
    left, bottom, right, top = figure.get_tightbbox().extents  # inches
    width, height = figure.get_size_inches()
    assert left >= 0
    assert bottom >= 0
    assert right <= width
    assert top <= height


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_arrays_give_the_same_bytes(name, tmp_path):
    first = visualise.save(FIGURES[name](), tmp_path / "first.png").read_bytes()
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 20, "image.cmap": "jet", "axes.grid": False}):
        second = visualise.save(FIGURES[name](), tmp_path / "second.png").read_bytes()
    assert first == second


def test_matplotlib_is_imported_late_and_pyplot_never():
    program = (
        "import sys, numpy, vae.visualise as v; assert 'matplotlib' not in sys.modules;"
        "v.kl_per_dimension(numpy.ones(3)); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# Files


def test_save_makes_folders_and_writes_no_text_chunks(tmp_path):
    path = visualise.save(FIGURES["image_grid"](), tmp_path / "a" / "b" / "figure.png")
    data, kinds, at = path.read_bytes(), [], 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        kinds.append(kind)
        at += length + 12
    assert set(kinds) <= {b"IHDR", b"pHYs", b"IDAT", b"IEND"}
    assert [file.name for file in path.parent.iterdir()] == ["figure.png"]


def test_save_scales_with_dpi(tmp_path):
    figure = FIGURES["image_grid"]()
    low, high = (cv2.imread(str(visualise.save(figure, tmp_path / f"{dpi}.png", dpi))) for dpi in (150, 300))
    assert high.shape[0] == 2 * low.shape[0]


def test_a_save_that_fails_keeps_the_old_file(tmp_path):
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")

    class Broken(Figure):
        def savefig(self, target, **_):
            target.write_bytes(b"half")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        visualise.save(Broken(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_save_refuses_other_formats(tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.png"):
        visualise.save(FIGURES["image_grid"](), tmp_path / "figure.pdf")


# Images


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (64, 48, 3), (20, 33, 3), (128, 128, 1), (12, 9, 2), (16, 16, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_file_holds_the_pixels_themselves(shape, dtype, tmp_path):
    images = RNG.integers(0, 256, (3, *shape), np.uint8)
    given = images if dtype == np.uint8 else images.astype(np.float32) / 255
    shown = images[..., :1] if shape[-1] < 3 else images[..., :3]
    shown = 255 * over_checkerboard(images / np.float32(255)) if shape[-1] == 4 else shown
    tiles = pixels_of_tiles(visualise.image_grid(given, columns=2), tmp_path / "grid.png")
    assert len(tiles) == 3
    for tile, image in zip(tiles, shown):
        scale = tile.shape[0] // shape[0]
        assert tile.shape == (scale * shape[0], scale * shape[1], 3)  # square pixels, a whole number of file pixels each
        expected = np.broadcast_to(np.kron(image, np.ones((scale, scale, 1))), tile.shape)
        inside = np.s_[2:-2, 2:-2]  # the frame covers the edge
        np.testing.assert_allclose(tile[inside], expected[inside], atol=1)


def test_gray_stays_on_the_scale_from_0_to_1(tmp_path):
    figure = visualise.image_grid(np.full((2, 8, 8, 1), 0.5, np.float32))
    assert all(image.get_clim() == (0.0, 1.0) for image in figure.axes[0].images)
    assert all(image.get_interpolation() == "nearest" for image in figure.axes[0].images)
    np.testing.assert_allclose(pixels_of_tiles(figure, tmp_path / "gray.png")[0][4:-4, 4:-4], 128, atol=1)


def test_channels_left_out_are_mentioned():
    assert "first of 2 channels" in words(visualise.image_grid(random_images(2, 8, 8, 2)))
    assert "first 3 of 5 channels" in words(visualise.image_grid(random_images(2, 8, 8, 5)))
    assert "channels" not in words(visualise.image_grid(random_images(2, 8, 8, 3)))
    assert "Checkerboard" in words(visualise.image_grid(random_images(2, 8, 8, 4)))


def test_a_fourth_channel_is_how_opaque_the_others_are():
    image = np.zeros((16, 32, 4), np.float32)
    image[..., :3] = (1.0, 0.5, 0.0)
    image[:, 16:, 3] = 1.0
    clear, solid = np.split(over_checkerboard(image), 2, axis=1)
    np.testing.assert_allclose(solid, np.broadcast_to([1.0, 0.5, 0.0], solid.shape))
    assert sorted(set(clear.reshape(-1).tolist())) == pytest.approx([0.85, 1.0]), "the colour of what is clear is not seen"
    assert clear[0, 0, 0] == clear[1, 1, 0] == clear[2, 2, 0] != clear[0, 2, 0] == clear[2, 0, 0]
    half = over_checkerboard(np.concatenate([image[..., :3], np.full((16, 32, 1), 0.25, np.float32)], axis=-1))
    np.testing.assert_allclose(half[:, :16], 0.25 * solid + 0.75 * clear, rtol=1e-6)
    stacked = over_checkerboard(np.stack([image, image])[None])
    np.testing.assert_array_equal(stacked[0, 1], over_checkerboard(image))


def test_grid_takes_jax_arrays_and_is_about_square():
    figure = visualise.image_grid(jnp.asarray(random_images(12, 8, 16, 1), jnp.bfloat16))
    assert len(figure.axes[0].images) == 12
    assert len({image.get_extent()[0] for image in figure.axes[0].images}) == 3  # 3 columns of twice the width, 4 rows


def test_reconstructions_stand_below_their_originals(tmp_path):
    originals, others = random_images(7, 8, 8, 1), 1 - random_images(7, 8, 8, 1)
    figure = visualise.reconstructions(originals, others, columns=4)
    extents = np.array([image.get_extent() for image in figure.axes[0].images])  # left, right, bottom, top
    arrays = np.stack([np.asarray(image.get_array()) for image in figure.axes[0].images])
    upper = np.r_[0:4, 8:11]
    lower = np.r_[4:8, 11:14]
    np.testing.assert_array_equal(arrays[upper], originals[..., 0])
    np.testing.assert_array_equal(arrays[lower], others[..., 0])
    np.testing.assert_array_equal(extents[upper, :2], extents[lower, :2])
    assert np.all(extents[lower, 3] > extents[upper, 2])  # the y axis points down
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["original", "reconstruction"] * 2


def test_samples_are_stacks_of_what_is_there():
    draws, neighbours = random_images(5, 8, 8, 1) > 0.5, 1 - GRAY
    figure = visualise.samples(GRAY, draws, neighbours, [0.0, 1.234, 2.0, 3.0, 4.0], columns=3)
    arrays = np.stack([np.asarray(image.get_array()) for image in figure.axes[0].images])
    for row, images in enumerate((GRAY, draws, neighbours)):
        shown = np.r_[3 * row : 3 * row + 3, 9 + 2 * row : 11 + 2 * row]
        np.testing.assert_allclose(arrays[shown], images[..., 0])
    tops = [image.get_extent()[3] for image in figure.axes[0].images]
    assert tops == sorted(tops)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["decoder mean", "draw from\np(x|z)", "training image\nnearest to the mean"] * 2
    text = words(figure)
    assert "1.23" in text
    assert "Euclidean distance of mean and training image" in text
    means = words(visualise.samples(GRAY))
    assert "draw" not in means
    assert "Euclidean" not in means


def test_draws_stand_to_the_right_of_their_means_in_the_same_order():
    means, draws = random_images(2, 3, 8, 8, 1), 1 - random_images(2, 3, 8, 8, 1)
    figure = visualise.samples_by_row(means, draws, row_names=["a", "b"])
    arrays = np.stack([np.asarray(image.get_array()) for image in figure.axes[0].images]).reshape(2, 6, 8, 8)
    np.testing.assert_array_equal(arrays, np.concatenate([means, draws], axis=1)[..., 0])
    lefts = [image.get_extent()[0] for image in figure.axes[0].images[:6]]
    assert lefts == sorted(lefts)
    assert lefts[3] - lefts[2] > lefts[2] - lefts[1]
    assert "Left: decoder means. Right:" in words(figure)
    assert "Right" not in words(visualise.samples_by_row(means))


def test_traversals_name_dimensions_values_and_kl():
    images = random_images(3, 5, 8, 6, 3)
    figure = visualise.latent_traversals(images, np.linspace(-3, 3, 5), [2.5, 0.004, 1.0], [7, 1, 4])
    assert len(figure.axes[0].images) == 15
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [f"{MINUS}3", f"{MINUS}1.5", "0", "1.5", "3"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["z[7]   2.50", "z[1]   0.00", "z[4]   1.00"]
    assert "KL in nats" in figure.axes[0].get_ylabel()
    first_row = [image.get_extent()[3] for image in figure.axes[0].images[:5]]
    assert len(set(first_row)) == 1


def test_names_longer_than_their_axis_go_into_the_note():
    narrow = visualise.latent_traversals(random_images(1, 2, 8, 8, 1), kl=[1.0])
    assert narrow.axes[0].get_ylabel() == ""
    assert "Rows: latent dimension, its KL in nats." in words(narrow).replace("\n", " ")


def test_labels_that_would_touch_are_thinned_out():
    figure = visualise.latent_traversals(random_images(1, 60, 8, 8, 1), np.linspace(-3, 3, 60))
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert 5 < len(boxes) < 60
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_interpolation_sets_the_real_images_apart():
    figure = visualise.interpolation(random_images(2, 4, 8, 8, 1), originals=random_images(2, 2, 8, 8, 1))
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["\nreal A", "0\ndecoded A", "0.333", "0.667", "1\ndecoded B", "\nreal B"]
    colours = [patch.get_edgecolor() for patch in figure.axes[0].patches]
    assert colours[0] == colours[5] != colours[1]
    assert "real" not in words(visualise.interpolation(random_images(2, 4, 8, 8, 1)))


BAD_IMAGES = {
    "shape": (GRAY[..., 0], r"shape \(5, 8, 8\)"),
    "empty": (GRAY[:0], "empty axis"),
    "above 1": (GRAY * 255, r"wanted \[0, 1\]"),
    "below 0": (GRAY - 1, r"wanted \[0, 1\]"),
    "nan": (np.where(GRAY > 0.5, np.nan, GRAY), "without NaN"),
    "int32": (GRAY.astype(np.int32), "got int32"),
}


@pytest.mark.parametrize("bad", BAD_IMAGES)
@pytest.mark.parametrize(
    "draw",
    [
        visualise.image_grid,
        lambda images: visualise.reconstructions(GRAY, images),
        lambda images: visualise.samples(images, GRAY),
        lambda images: visualise.nearest_training_images(images, GRAY),
    ],
    ids=["image_grid", "reconstructions", "samples", "nearest_training_images"],
)
def test_bad_images_are_refused_in_one_sentence(draw, bad):
    images, message = BAD_IMAGES[bad]
    with pytest.raises(ValueError, match=message) as error:
        draw(images)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: visualise.reconstructions(GRAY, GRAY[:4]), "one for each"),
        (lambda: visualise.reconstructions(GRAY, GRAY, columns=0), "at least 1"),
        (lambda: visualise.image_grid(GRAY, columns=0), "at least 1"),
        (lambda: visualise.image_grid(np.zeros((2000, 2, 2, 1))), "2000 images|2025 images"),
        (lambda: visualise.samples(GRAY, distances=[1.0]), "one for each mean"),
        (lambda: visualise.samples(GRAY, GRAY[:4]), r"draws got shape \(4, 8, 8, 1\), wanted that of means"),
        (lambda: visualise.samples(GRAY, None, GRAY[:4]), "neighbours got shape"),
        (lambda: visualise.samples_by_row(GRAY), "rows, columns"),
        (lambda: visualise.samples_by_row(GRAY[None], GRAY[None, :4]), "one for each"),
        (lambda: visualise.samples_by_row(GRAY[None], row_names=["a", "b"]), "one for each row"),
        (lambda: visualise.latent_traversals(GRAY), "dimensions, steps"),
        (lambda: visualise.latent_traversals(GRAY[None], [0.0, 1.0]), "one for each column"),
        (lambda: visualise.latent_traversals(GRAY[None], kl=[1.0, 2.0]), "one for each row"),
        (lambda: visualise.interpolation(GRAY[None], originals=GRAY[None, :3]), "A and B"),
        (lambda: visualise.nearest_training_images(GRAY, GRAY[:, :4]), r"images of shape \(8, 8, 1\)"),
        (lambda: visualise.nearest_training_images(GRAY, GRAY, chunk=0), "at least 1"),
        (lambda: visualise.latent_means([[0.0, np.nan]]), "1 of 2 values"),
        (lambda: visualise.latent_means(np.zeros(3)), "N, D"),
        (lambda: visualise.latent_means(np.zeros((3, 2)), [0, 1]), "one for each row"),
        (lambda: visualise.latent_means(np.zeros((3, 2)), [0, 1, 2], ["a", "b"]), "2 names"),
        (lambda: visualise.kl_per_dimension([]), "at least one"),
        (lambda: visualise.kl_per_dimension([1.0, np.inf]), "NaN or infinite"),
        (lambda: visualise.kl_per_dimension([1.0, 2.0], active=[True]), "one for each latent dimension"),
        (lambda: visualise.kl_per_dimension([[1.0], [2.0]], group_names=["z1"]), "one for each latent group"),
        (lambda: visualise.training_curves([]), "0 records"),
        (lambda: visualise.training_curves([{"step": 1, "elbo": float("nan")}]), "without a number"),
        (lambda: visualise.rate_distortion({}), "at least one"),
        (lambda: visualise.rate_distortion({"a": []}), "at least one"),
        (lambda: visualise.signal_to_noise([1, 2], {"a": [1.0, 0.0]}), "positive"),
        (lambda: visualise.signal_to_noise([1, 2], {"a": [1.0]}), "one for each"),
        (lambda: visualise.signal_to_noise([1, 2], {}), "at least one"),
    ],
)
def test_what_does_not_fit_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


# Nearest training images


@pytest.mark.parametrize("chunk", [None, 1, 7, 1000])
def test_nearest_images_agree_with_all_distances(chunk):
    training, samples = random_images(50, 6, 5, 3), random_images(9, 6, 5, 3)
    indices, distances = visualise.nearest_training_images(samples, jnp.asarray(training), chunk)
    table = cdist(samples.reshape(9, -1), training.reshape(50, -1))
    np.testing.assert_array_equal(indices, table.argmin(axis=1))
    np.testing.assert_allclose(distances, table.min(axis=1), rtol=1e-6)


def test_a_memorised_image_is_found_at_distance_zero():
    training = random_images(40, 28, 28, 3)
    copies = RNG.permutation(40)
    indices, distances = visualise.nearest_training_images(training[copies], training, chunk=7)
    np.testing.assert_array_equal(indices, copies)
    np.testing.assert_array_equal(distances, 0.0)


def test_stored_pixels_and_floats_are_the_same_images():
    training = np.round(load_digits().images[:200, ..., None] * (255 / 16)).astype(np.uint8)
    indices, distances = visualise.nearest_training_images(training[50:60].astype(np.float32) / 255, training)
    np.testing.assert_array_equal(indices, np.arange(50, 60))
    np.testing.assert_allclose(distances, 0.0, atol=1e-6)


def test_the_first_of_equal_neighbours_is_returned():
    training = np.concatenate([GRAY, GRAY, GRAY])
    for chunk in (2, 5, 100):
        np.testing.assert_array_equal(visualise.nearest_training_images(GRAY, training, chunk)[0], np.arange(5))


# Latents


def test_two_dimensions_are_drawn_as_they_are():
    means, labels = RNG.normal(size=(40, 2)) * [3, 1], np.arange(40) % 3
    axes = visualise.latent_means(means, labels, ["cat", "dog", "owl"]).axes[0]
    drawn = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], means[np.lexsort(means.T)])
    assert axes.get_aspect() == 1.0
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["cat", "dog", "owl"]
    for label, handle in enumerate(axes.collections[1:4]):
        colour = handle.get_facecolor()[0, :3]
        same = np.all(np.isclose(axes.collections[0].get_facecolor()[:, :3], colour), axis=1)
        members = drawn[same]
        np.testing.assert_allclose(np.sort(members[:, 0]), np.sort(means[labels == label, 0]))


def test_more_dimensions_are_drawn_on_principal_components():
    means = RNG.normal(size=(300, 6)) @ np.diag([1, 5, 0.1, 2, 0.5, 1]) + 7
    axes = visualise.latent_means(means).axes[0]
    oracle = PCA(2).fit(means)
    drawn, expected = np.asarray(axes.collections[0].get_offsets()), oracle.transform(means)
    for column in range(2):
        one, other = np.sort(drawn[:, column]), np.sort(expected[:, column])
        flipped = np.sort(-expected[:, column])
        assert min(np.abs(one - other).max(), np.abs(one - flipped).max()) < 1e-9
    first, second = oracle.explained_variance_ratio_
    assert f"principal component 1 of 6 latent dimensions ({first:.0%} of the variance)" == axes.get_xlabel()
    assert f"({second:.0%} of the variance)" in axes.get_ylabel()


def test_one_dimension_is_drawn_against_its_distribution_function():
    means = RNG.normal(size=(50, 1))
    drawn = np.asarray(visualise.latent_means(means, np.zeros(50)).axes[0].collections[0].get_offsets())
    for value, share in drawn:
        assert share == pytest.approx((np.sum(means < value) + 0.5) / 50)


@pytest.mark.parametrize("dimensions", [2, 5])
def test_collapsed_means_look_collapsed(dimensions):
    axes = visualise.latent_means(np.full((20, dimensions), 1e-7), np.arange(20) % 2).axes[0]
    assert np.ptp(axes.get_xlim()) >= 1.0
    assert np.ptp(axes.get_ylim()) >= 1.0


def test_many_labels_get_a_colour_bar():
    figure = visualise.latent_means(RNG.normal(size=(60, 2)), np.linspace(0, 1, 60))
    assert len(figure.axes) == 2
    assert figure.axes[1].get_ylabel() == "label"


def test_names_of_classes_do_not_cover_each_other():
    figure = visualise.latent_means(RNG.normal(size=(500, 2)), np.arange(500) % 8, [f"class {i}" for i in range(8)])
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 8
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


@pytest.mark.parametrize("dimensions", [1, 2, 50, 51, 512])
def test_kl_bars_are_sorted_and_add_up(dimensions):
    kl = np.random.default_rng(dimensions).gamma(0.3, 1.0, dimensions)
    figure = visualise.kl_per_dimension(jnp.asarray(kl), threshold=0.05)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(heights, np.sort(kl)[::-1], rtol=1e-6)
    assert f"{kl.sum():.2f} nats" in figure.get_suptitle()
    assert f"active by KL over 0.05 nats: {np.sum(kl > 0.05)} of {dimensions} (the others on gray)" in words(figure)


def test_kl_bars_carry_their_dimension_and_both_kinds_of_activity():
    figure = visualise.kl_per_dimension([0.5, 3.0, 0.009], active=[False, True, False])
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "0", "2"]
    active, *inactive = [bar.get_facecolor() for bar in axes.patches]
    assert inactive[0] == inactive[1] != active
    gray = [path.get_extents().extents for path in axes.collections[0].get_paths()]
    np.testing.assert_allclose([(x0, x1) for x0, _, x1, _ in gray], [(0.5, 1.5), (1.5, 2.5)])
    circles = [line.get_xydata() for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(circles, [[(2, 0.009)]])
    text = words(figure)
    assert "active by variance of the posterior mean: 1 of 3 (the others on gray)" in text
    assert "active by KL over 0.01 nats: 2 of 3 (the others with a circle)" in text


def test_kl_of_groups_says_so():
    text = words(visualise.kl_per_dimension([1.0, 2.0], title="KL per latent group", unit="latent group"))
    assert "index of the latent group" in text
    assert "dimension" not in text


def test_kl_groups_are_sorted_on_their_own_and_named():
    figure = visualise.kl_per_dimension([np.array([1.0, 2.0]), np.array([5.0])], group_names=["bottom", "top"])
    assert [bar.get_height() for bar in figure.axes[0].patches] == [2.0, 1.0, 5.0]
    text = words(figure)
    assert "bottom\n3.00 nats" in text
    assert "top\n5.00 nats" in text


# Curves


def test_training_curves_hold_every_finite_number():
    records = [*RECORDS, {"step": 110, "elbo": None, "kl": float("nan")}, {"step": 5, "elbo": -120.0}]
    figure = visualise.training_curves(records)
    assert [axes.get_title(loc="left").split(":")[0] for axes in figure.axes[:2]] == ["ELBO", "log-likelihood"]
    assert len(figure.axes) == 3
    assert "images per second" not in words(figure), "a speed is no result"
    train, validation = figure.axes[0].lines
    assert (train.get_label(), validation.get_label()) == ("train", "validation")
    np.testing.assert_array_equal(train.get_xdata(), [5, *range(10, 101, 10)])
    np.testing.assert_allclose(train.get_ydata()[1:], -100 + np.arange(1, 11.0))
    assert len(figure.axes[2].lines[0].get_xdata()) == 10


def test_where_the_rate_is_no_kl_no_bound_is_shown():
    figure = visualise.training_curves([{"step": 3, "score": -7.0, "rate": 1.0, "log_likelihood": -6.0}])
    assert len(figure.axes) == 3
    assert "no bound" in words(figure)
    assert "ELBO" not in words(figure)


@pytest.mark.parametrize("keys", [("elbo",), ("elbo", "kl"), ("elbo", "kl", "log_likelihood")])
def test_panels_without_numbers_are_left_out(keys):
    figure = visualise.training_curves([{"step": 3, **dict.fromkeys(keys, -7.0)}])
    assert len(figure.axes) == len(keys)
    low, high = figure.axes[0].get_ylim()
    assert low < -7 < high


def test_first_steps_do_not_flatten_the_rest_and_are_mentioned():
    steps = np.arange(1, 1001)
    records = [{"step": int(step), "elbo": -90 - 500 * np.exp(-step / 10)} for step in steps]
    axes = visualise.training_curves(records).axes[0]
    low, high = axes.get_ylim()
    late = [record["elbo"] for record in records if record["step"] > 110]
    assert low < min(late)
    assert max(late) < high
    assert low > -100
    assert f"as far as {MINUS}{-records[0]['elbo']:.4g}" in axes.get_xlabel()
    straight = visualise.training_curves([{"step": step, "elbo": float(step)} for step in range(100)]).axes[0]
    assert straight.get_ylim()[0] < 0
    assert straight.get_xlabel() == "step"


def test_rate_distortion_is_ordered_by_rate_with_lines_of_equal_elbo():
    axes = visualise.rate_distortion({"beta-VAE": POINTS[::-1]}).axes[0]
    curve = axes.lines[0].get_xydata()
    np.testing.assert_array_equal(curve, [[10, 95], [25, 75]])
    dotted = [line.get_xydata() for line in axes.lines if line.get_linestyle() == ":"]
    assert len(dotted) >= 3
    for line in dotted:
        assert line[0].sum() == pytest.approx(line[1].sum())
    text = [text.get_text() for text in axes.texts]
    assert {"beta 1", "beta 4"} <= set(text)
    assert f"ELBO {MINUS}{dotted[0][0].sum():g}" in words(axes.figure)


def test_signal_to_noise_has_its_reference_slopes():
    samples = np.array([1, 10, 100])
    figure = visualise.signal_to_noise(samples, {"IWAE": [2.0, 0.7, 0.2], "DReG": [2.0, 5.0, 15.0]}, slopes=(-0.5, 0.5))
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(lines["proportional to 1/√K"], 2 / np.sqrt(samples))
    np.testing.assert_allclose(lines["proportional to √K"], 2 * np.sqrt(samples))
    assert {"IWAE", "DReG"} <= {text.get_text() for text in axes.get_legend().get_texts()}


def test_long_titles_are_wrapped():
    figure = visualise.latent_means(RNG.normal(size=(5, 2)), title="posterior means of the test images " * 5)
    figure.draw_without_rendering()
    assert figure.get_tightbbox().x1 <= figure.get_size_inches()[0]
