"""TensorFlow Datasets without TensorFlow, on a small builder written here and on MNIST where the shared folder is there."""

import importlib.util
import io
import json
import os
import shutil
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from vae.data import load
from vae.data.sources import find_source, tfds

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow_datasets

SHARED = Path(__file__).resolve().parents[3] / "shared" / "tensorflow_datasets"


def builder(folder, name="tiny", version="1.0.0", images=None, sizes=None, split="train"):
    """A data set of our own, prepared as ArrayRecord; the pixel in the corner carries the label."""
    images = images or {"train": coloured(60, 0), "test": coloured(8, 1)}
    shape = next(iter(images.values())).shape[1:] if sizes is None else (None, None, 1)

    class Tiny(tensorflow_datasets.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tensorflow_datasets.core.Version(version)

        def _info(self):
            features = {
                "image": tensorflow_datasets.features.Image(shape=shape),
                "label": tensorflow_datasets.features.ClassLabel(names=["even", "odd"]),
                "attribute": tensorflow_datasets.features.Scalar(np.int64),
            }
            return tensorflow_datasets.core.DatasetInfo(
                builder=self, features=tensorflow_datasets.features.FeaturesDict(features)
            )

        def _split_generators(self, manager):
            return {split: self._generate_examples(split) for split in images}

        def _generate_examples(self, split):
            for number, image in enumerate(images[split]):
                image = image if sizes is None else image[: sizes[number]]
                colours = image[..., ::-1] if image.shape[-1] == 3 else image
                png = cv2.imencode(".png", np.ascontiguousarray(colours))[1].tobytes()
                yield number, {"image": io.BytesIO(png), "label": int(image[0, 0, 0]) % 2, "attribute": 3}

    Tiny.name = name
    return Tiny(data_dir=str(folder), file_format="array_record")


def coloured(count, seed):
    return np.random.Generator(np.random.Philox(seed)).integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)


@pytest.fixture
def folder():
    return Path(os.environ["TFDS_DATA_DIR"])


def as_rows(*images):
    return sorted(image.tobytes() for image in np.concatenate(images))


def test_a_prepared_set_is_read_by_name(folder):
    builder(folder).download_and_prepare()
    data = load("tiny", validation_fraction=0.1)
    assert [len(split.x) for split in (data.train, data.validation, data.test)] == [54, 6, 8]
    assert as_rows(data.train.x, data.validation.x) == as_rows(coloured(60, 0))
    assert as_rows(data.test.x) == as_rows(coloured(8, 1))
    assert data.label_names == ("even", "odd")
    for split in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(split.label, split.x[:, 0, 0, 0] % 2)
    again = load("tiny:1.0.0", validation_fraction=0.1)
    assert again.sha256 == data.sha256


def test_official_splits_are_used_and_the_newest_version(folder):
    parts = {"train": coloured(6, 0), "validation": coloured(3, 1), "test": coloured(2, 2), "extra": coloured(5, 3)}
    builder(folder, version="1.9.0").download_and_prepare()
    builder(folder, version="1.10.0", images=parts).download_and_prepare()
    data = load("tiny")
    for split in ("train", "validation", "test"):
        assert as_rows(getattr(data, split).x) == as_rows(parts[split])
    assert len(load("tiny:1.9.0").test.x) == 8


def test_sets_stored_as_0_and_1_become_0_and_255(folder):
    bits = coloured(60, 0)[..., :1] % 2
    builder(folder, images={"train": bits}).download_and_prepare()
    data = load("tiny")
    assert data.binary
    assert as_rows(data.train.x, data.validation.x, data.test.x) == as_rows(bits * np.uint8(255))


def test_images_of_mixed_sizes_are_refused(folder):
    images = {"train": coloured(30, 0)[..., :1]}
    builder(folder, images=images, sizes=[6] * 29 + [4]).download_and_prepare()
    with pytest.raises(ValueError, match=r"the images of 'tiny' have mixed sizes, \(., 5, 1\) and \(., 5, 1\)"):
        load("tiny")


def test_another_file_format_and_a_missing_train_split_are_refused(folder):
    builder(folder, images={"test": coloured(4, 0)}).download_and_prepare()
    with pytest.raises(ValueError, match="'tiny' has the splits test but no train split"):
        load("tiny")
    info = folder / "tiny" / "1.0.0" / "dataset_info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"fileFormat": "tfrecord"}))
    with pytest.raises(ValueError, match="as tfrecord, wanted array_record: move that folder away and run"):
        load("tiny")


def test_configurations(folder):
    one = builder(folder, name="tiny")
    one.download_and_prepare()
    shutil.copytree(folder / "tiny" / "1.0.0", folder / "many" / "a" / "1.0.0")
    assert tfds.find_prepared("many") == folder / "many" / "a" / "1.0.0"
    shutil.copytree(folder / "tiny" / "1.0.0", folder / "many" / "b" / "1.0.0")
    assert tfds.find_prepared("many/b") == folder / "many" / "b" / "1.0.0"
    assert tfds.find_prepared("many/c") is None
    assert tfds.find_prepared("many:2.0.0") is None
    with pytest.raises(ValueError, match=r"several configurations: name one of many/a, many/b\."):
        load("many")


def test_what_is_not_prepared_names_the_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'vae\[prepare\]'` once and then `python -c .*builder\('cifar10'"):
        load("cifar10")


def test_what_is_not_prepared_is_prepared_where_that_can_be_done(folder, monkeypatch):
    asked = []

    def make(name, data_dir, file_format):
        asked.append((name, file_format))
        return builder(data_dir, name=name)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(tensorflow_datasets, "builder", make)
    assert len(load("cifar10").test.x) == 8
    assert len(load("cifar10").test.x) == 8
    assert asked == [("cifar10", "array_record")]


def test_a_preparation_that_fails_says_why(monkeypatch):
    def refuse(name, data_dir, file_format):
        raise ConnectionError("no network\nand more lines")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(tensorflow_datasets, "builder", refuse)
    with pytest.raises(FileNotFoundError, match=r"'cifar10' could not be prepared under .* \(no network\): run `python -c"):
        load("cifar10")


def test_every_name_in_our_list_is_registered_and_others_are_found():
    assert set(tfds.KNOWN) <= set(tfds.registered())
    assert find_source("quickdraw_bitmap") is tfds.SOURCE
    assert find_source("emnist/letters:3.0.0") is tfds.SOURCE


@pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="the shared, prepared MNIST is not beside the repository")
@pytest.mark.slow
def test_the_real_mnist(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(SHARED))
    data = load("mnist")
    again = load("mnist")
    assert data.sha256 == again.sha256 == "57031f4ed9a5488594c052646ab07b87f538c7d55a05558df7529d2fc77c1837"
    assert isinstance(again.train.x, np.memmap)
    assert [len(split.x) for split in data[1:4]] == [57_000, 3000, 10_000]
    assert data.train.x.sum(dtype=np.int64) + data.validation.x.sum(dtype=np.int64) == 1_567_298_545
    assert data.test.x.sum(dtype=np.int64) == 264_923_200
    counts = np.bincount(data.train.label, minlength=10) + np.bincount(data.validation.label, minlength=10)
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.test.label).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    rows = tfds.read("mnist").splits["train"]
    assert rows.fetch(np.arange(10))[1].tolist() == [4, 1, 0, 7, 8, 1, 2, 7, 1, 6]
