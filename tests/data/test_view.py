"""How each binarisation shows a data set, in training and in evaluation."""

import jax
import numpy as np
import pytest

from vae.data import view
from vae.data.dataset import Split, from_splits
from vae.data.keyed import binarise
from vae.data.sources.sprites import render

RNG = np.random.default_rng(0)


def data_set(binary=False):
    def split(count):
        images = RNG.integers(0, 256, size=(count, 5, 4, 1)).astype(np.uint8)
        return Split(((images > 127) * 255).astype(np.uint8) if binary else images, np.arange(count, dtype=np.int32))

    return from_splits("made up", {"train": split(400), "validation": split(30), "test": split(20)})


GRAY, BINARY = data_set(), data_set(binary=True)


def shown(feed, key=0):
    x, context = jax.jit(feed.prepare)(jax.random.key(key), feed.arrays)
    assert context == ()
    return np.asarray(x)


def test_dynamic_binarisation_draws_afresh_with_the_pixels_probability():
    feed = view.training_feed(GRAY, "dynamic")
    draws = np.stack([shown(feed, key) for key in range(20)])
    assert feed.spec.space == "binary"
    assert set(np.unique(draws)) == {0.0, 1.0}
    assert not np.array_equal(draws[0], draws[1])
    probability = GRAY.train.x / 255
    error = np.sqrt((probability * (1 - probability)).mean() / draws.size)
    assert abs((draws - probability).mean()) < 4 * error
    assert np.corrcoef(draws.mean(axis=0).ravel(), probability.ravel())[0, 1] > 0.9


def test_static_binarisation_is_one_draw_for_ever():
    feed = view.training_feed(GRAY, "static")
    np.testing.assert_array_equal(shown(feed, 0), shown(feed, 1))
    np.testing.assert_array_equal(shown(feed), binarise(GRAY.train.x, "train"))
    assert (feed.spec.space, feed.arrays.dtype) == ("binary", np.uint8)


def test_no_binarisation_shows_gray():
    feed = view.training_feed(GRAY, "none")
    np.testing.assert_allclose(shown(feed), GRAY.train.x / 255, rtol=1e-6)
    assert (feed.spec.space, shown(feed).dtype) == ("unit_interval", np.float32)


def test_uint8_shows_the_values_themselves():
    feed = view.training_feed(GRAY, "uint8")
    np.testing.assert_array_equal(shown(feed), GRAY.train.x)
    assert (feed.spec.space, shown(feed).dtype) == ("uint8", np.uint8)


@pytest.mark.parametrize("binarisation", ["dynamic", "static", "none"])
def test_a_binary_set_needs_no_draw(binarisation):
    feed = view.training_feed(BINARY, binarisation)
    np.testing.assert_array_equal(shown(feed), BINARY.train.x // 255)
    assert feed.spec.space == "binary"
    images, _ = view.evaluation_images(BINARY, "test", binarisation, 100)
    np.testing.assert_array_equal(images, BINARY.test.x // 255)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluation_sees_one_draw_per_split(split):
    part = getattr(GRAY, split)
    want = binarise(part.x, split).astype(np.float32)
    for binarisation in ("dynamic", "static"):
        images, labels = view.evaluation_images(GRAY, split, binarisation, 1000)
        np.testing.assert_array_equal(images, want)
        np.testing.assert_array_equal(labels, part.label)
    assert images.dtype == np.float32
    np.testing.assert_allclose(view.evaluation_images(GRAY, split, "none", 1000)[0], part.x / 255, rtol=1e-6)
    np.testing.assert_array_equal(view.evaluation_images(GRAY, split, "uint8", 1000)[0], part.x)


def test_a_limit_takes_the_first_examples_and_leaves_their_draw():
    some, labels = view.evaluation_images(GRAY, "test", "static", 7)
    assert len(some) == len(labels) == 7
    np.testing.assert_array_equal(some, view.evaluation_images(GRAY, "test", "static", 20)[0][:7])


def test_the_mean_image_is_that_of_the_training_set(monkeypatch):
    np.testing.assert_allclose(view.mean_image(GRAY), GRAY.train.x.mean(axis=0) / 255, rtol=1e-5)
    monkeypatch.setattr(view, "MEAN_IMAGES", 150)
    np.testing.assert_allclose(view.mean_image(GRAY), GRAY.train.x[::3].mean(axis=0) / 255, rtol=1e-5)
    np.testing.assert_array_equal(view.training_feed(GRAY, "dynamic").spec.mean, view.mean_image(GRAY))


def test_sprites_are_rendered_inside_the_step():
    indices = {
        split: Split(RNG.integers(0, 3 * 6 * 40 * 32 * 32, size=9).astype(np.int32))
        for split in ("train", "validation", "test")
    }
    made = from_splits("sprites", indices, render=render, binary=True)
    feed = view.training_feed(made, "dynamic")
    assert feed.arrays.dtype == np.int32, "indices are stored, not images"
    draw = jax.jit(jax.vmap(render))
    images = np.asarray(draw(indices["train"].x))
    np.testing.assert_array_equal(shown(feed), images // 255)
    assert (feed.spec.shape, feed.spec.space) == ((64, 64, 1), "binary")
    np.testing.assert_allclose(feed.spec.mean, images.mean(axis=0) / 255, rtol=1e-5)
    seen, _ = view.evaluation_images(made, "test", "dynamic", 4)
    np.testing.assert_array_equal(seen, np.asarray(draw(indices["test"].x))[:4] // 255)


def test_an_unknown_binarisation_names_the_known_ones():
    with pytest.raises(ValueError, match="'sometimes'; wanted one of dynamic, static, none, uint8"):
        view.training_feed(GRAY, "sometimes")


# Splits of an experiment


@pytest.mark.parametrize("binarisation", ["dynamic", "static", "none", "uint8"])
def test_the_splits_of_a_data_set_show_what_training_and_evaluation_see(binarisation):
    splits = view.image_splits(GRAY, binarisation)
    np.testing.assert_array_equal(shown(splits.train, 3), shown(view.training_feed(GRAY, binarisation), 3))
    for split in ("validation", "test"):
        found = getattr(splits, split)
        images, labels = view.evaluation_images(GRAY, split, binarisation, 1000)
        np.testing.assert_array_equal(shown(found), images)
        np.testing.assert_array_equal(found.labels, labels)
        assert (found.spec.space, found.spec.shape) == (splits.train.spec.space, (5, 4, 1))
    np.testing.assert_array_equal(splits.train.labels, GRAY.train.label)


def test_no_more_examples_are_evaluated_than_the_limits(monkeypatch):
    monkeypatch.setattr(view, "VALIDATION_LIMIT", 7)
    monkeypatch.setattr(view, "TEST_LIMIT", 6)
    splits = view.image_splits(GRAY)
    assert (splits.train.size, splits.validation.size, splits.test.size) == (400, 7, 6)
    assert len(splits.validation.labels) == 7


def test_conditional_splits_condition_on_labels_or_factors():
    classes = GRAY._replace(**{name: part._replace(label=part.label % 3) for name in SPLITS for part in [getattr(GRAY, name)]})
    splits = view.image_splits(classes, "static", conditional=True)
    plain = view.image_splits(classes, "static")
    for name in SPLITS:
        x, context = getattr(splits, name).prepare(jax.random.key(0), getattr(splits, name).arrays)
        np.testing.assert_array_equal(x, shown(getattr(plain, name)))
        np.testing.assert_array_equal(context, np.eye(3)[getattr(classes, name).label])
    assert splits.train.spec.context == jax.ShapeDtypeStruct((3,), np.float32)
    np.testing.assert_array_equal(splits.train.spec.mean, plain.train.spec.mean)
    factors = GRAY._replace(**{name: Split(getattr(GRAY, name).x, angles(getattr(GRAY, name))) for name in SPLITS})
    found = view.image_splits(factors, "static", conditional=True).test
    np.testing.assert_array_equal(found.prepare(jax.random.key(0), found.arrays)[1], factors.test.label)


def test_a_set_without_labels_cannot_be_conditional():
    bare = GRAY._replace(**{name: getattr(GRAY, name)._replace(label=None) for name in SPLITS})
    with pytest.raises(ValueError, match="made up has no labels to condition on; wanted a data set with labels"):
        view.image_splits(bare, conditional=True)


SPLITS = ("train", "validation", "test")


def angles(part):
    """Two factors for each image."""
    return np.stack([part.label, part.label // 2], axis=1).astype(np.int32)


def classes_and_factors():
    classes = {name: getattr(GRAY, name)._replace(label=getattr(GRAY, name).label % 3) for name in SPLITS}
    factors = {name: Split(getattr(GRAY, name).x, angles(getattr(GRAY, name))) for name in SPLITS}
    return GRAY._replace(**classes), GRAY._replace(**factors)


def on_circle(label):
    return {"cosine": jax.numpy.cos(label), "class": label}


@pytest.mark.parametrize("how", [on_circle, f"{__name__}:on_circle"])
def test_labels_are_conditioned_on_in_the_way_that_is_said(how):
    classes, factors = classes_and_factors()

    def contexts(data, conditional):
        found = view.image_splits(data, "static", conditional=conditional).test
        return jax.jit(found.prepare)(jax.random.key(0), found.arrays)[1]

    np.testing.assert_array_equal(contexts(classes, "one-hot"), np.eye(3)[classes.test.label])
    np.testing.assert_array_equal(contexts(classes, "integer"), classes.test.label)
    assert contexts(classes, "integer").dtype == np.int32
    sizes = [max(getattr(factors, name).label[:, i].max() for name in SPLITS) + 1 for i in range(2)]
    want = np.concatenate([np.eye(size)[factors.test.label[:, i]] for i, size in enumerate(sizes)], axis=1)
    np.testing.assert_array_equal(contexts(factors, "one-hot"), want)
    found = contexts(classes, how)
    np.testing.assert_allclose(found["cosine"], np.cos(classes.test.label), rtol=1e-6)
    np.testing.assert_array_equal(found["class"], classes.test.label)
    with pytest.raises(ValueError, match="conditional is 'embedded'; wanted True, False, one-hot, integer"):
        view.image_splits(classes, conditional="embedded")


def test_a_split_without_labels_cannot_be_conditional():
    bare = GRAY._replace(test=GRAY.test._replace(label=None))
    with pytest.raises(ValueError, match="the test split of made up has no labels to condition on"):
        view.image_splits(bare, conditional=True)


def coloured(binary):
    parts = {name: RNG.integers(0, 256, (20, 4, 4, 3)).astype(np.uint8) for name in SPLITS}
    return from_splits("c", {name: Split((x > 99) * np.uint8(255) if binary else x) for name, x in parts.items()})


def test_colours_are_shown_as_they_are_and_gray_is_drawn_unless_it_is_said():
    colours = coloured(binary=False)
    found = view.image_splits(colours)
    assert (found.train.spec.space, found.test.spec.space) == ("uint8", "uint8")
    np.testing.assert_array_equal(shown(found.test), colours.test.x)
    np.testing.assert_allclose(found.train.spec.mean, colours.train.x.mean(axis=0), rtol=1e-5)
    assert view.image_splits(coloured(binary=True)).train.spec.space == "binary"
    gray, dynamic = view.image_splits(GRAY), view.image_splits(GRAY, "dynamic")
    np.testing.assert_array_equal(shown(gray.train, 5), shown(dynamic.train, 5))
    np.testing.assert_array_equal(gray.train.spec.mean, dynamic.train.spec.mean)


def test_a_class_that_no_training_image_has_is_refused_where_it_is_conditioned_on():
    images = RNG.integers(0, 256, size=(6, 5, 4, 1)).astype(np.uint8)
    known, other = np.array([0, 1, 2, 0, 1, 2], np.int32), np.array([0, 1, 7, 0, 1, 2], np.int32)
    data = from_splits(
        "made up", {"train": Split(images, known), "validation": Split(images, known), "test": Split(images, other)}
    )
    with pytest.raises(ValueError, match="test split of made up has the class 7, which no training image has"):
        view.image_splits(data, conditional=True)
    assert view.image_splits(data).test.labels is not None, "a label that only colours figures may be any"
