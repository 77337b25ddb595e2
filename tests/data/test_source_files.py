"""IDX, .npz, folders and zips: what a user's own files may look like, and what is said of those that are damaged."""

import gzip
import struct
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from vae.data import load
from vae.data.sources import idx

SHARED = Path(__file__).resolve().parents[3] / "shared"


def random_images(count, shape=(6, 5), seed=0):
    return np.random.Generator(np.random.Philox(seed)).integers(0, 256, (count, *shape), dtype=np.uint8)


def idx_bytes(array):
    code = {"uint8": 0x08, "int32": 0x0C, "float32": 0x0D}[array.dtype.name]
    header = struct.pack(">BBBB", 0, 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def all_images(data):
    return np.concatenate([data.train.x, data.validation.x, data.test.x])


def as_rows(images):
    return sorted(image.tobytes() for image in images)


# IDX


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("separator", ["-", "."])
def test_idx_files_in_the_naming_of_mnist(tmp_path, suffix, separator):
    pack = gzip.compress if suffix else bytes
    x, y, x_test, y_test = (
        random_images(40),
        np.arange(40, dtype=np.uint8),
        random_images(7, seed=1),
        np.arange(7, dtype=np.uint8),
    )
    for start, images, labels in (("train", x, y), ("t10k", x_test, y_test)):
        (tmp_path / f"{start}-images{separator}idx3-ubyte{suffix}").write_bytes(pack(idx_bytes(images)))
        (tmp_path / f"{start}-labels{separator}idx1-ubyte{suffix}").write_bytes(pack(idx_bytes(labels)))
    data = load(str(tmp_path / f"train-images{separator}idx3-ubyte{suffix}"))
    np.testing.assert_array_equal(data.test.x[..., 0], x_test)
    np.testing.assert_array_equal(data.test.label, y_test)
    assert (len(data.train.x), len(data.validation.x)) == (38, 2)
    for split in (data.train, data.validation):
        np.testing.assert_array_equal(split.x[..., 0], x[split.label])


def test_a_lone_idx_file_of_any_type(tmp_path):
    values = np.linspace(0, 1, 40 * 3 * 4, dtype=np.float32).reshape(40, 3, 4)
    (tmp_path / "mine.idx").write_bytes(idx_bytes(values))
    data = load(str(tmp_path / "mine.idx"))
    assert data.train.label is None
    assert data.shape == (3, 4, 1)
    assert as_rows(all_images(data)) == as_rows(np.rint(values.astype(np.float64) * 255).astype(np.uint8))


def test_idx_integers_are_big_endian(tmp_path):
    values = np.arange(-3, 3, dtype=np.int32).reshape(2, 3)
    (tmp_path / "a.idx").write_bytes(idx_bytes(values))
    np.testing.assert_array_equal(idx.parse(tmp_path / "a.idx"), values)


def test_damaged_idx_files_are_named(tmp_path):
    whole = idx_bytes(random_images(30))
    packed = gzip.compress(whole)
    damaged = {
        "cut.idx.gz": (packed[: len(packed) // 2], "is a damaged .gz file"),
        "flipped.idx.gz": (packed[:200] + bytes([packed[200] ^ 255]) + packed[201:], "is a damaged .gz file"),
        "plain.idx.gz": (whole, "is a damaged .gz file"),
        "short.idx": (whole[:-1], "holds 899 bytes of values, wanted 900"),
        "long.idx": (whole + b"x", "holds 901 bytes of values, wanted 900"),
        "text.idx": (b"hello world", "is not an IDX file"),
        "empty.idx": (b"", "is not an IDX file"),
    }
    for name, (content, message) in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load(str(tmp_path / name))


def test_idx_labels_must_be_as_many_as_images(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(random_images(30)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(29, np.uint8)))
    with pytest.raises(ValueError, match="the train split has 30 images but 29 labels"):
        load(str(tmp_path / "train-images-idx3-ubyte"))


# .npz


@pytest.mark.parametrize("keys", [("x", "y"), ("images", "labels"), ("x_train", "y_train")])
def test_npz_with_one_set(tmp_path, keys):
    x = random_images(60, (4, 7, 3))
    np.savez(tmp_path / "a.npz", **{keys[0]: x, keys[1]: np.arange(60)[:, None]})
    data = load(str(tmp_path / "a.npz"), validation_fraction=0.2)
    assert [len(split.x) for split in (data.train, data.validation, data.test)] == [42, 12, 6]
    assert data.shape == (4, 7, 3)
    for split in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(split.x, x[split.label])


def test_npz_with_splits_of_its_own(tmp_path):
    x = random_images(30)
    np.savez_compressed(tmp_path / "a.npz", x_train=x[:20], x_val=x[20:24], x_test=x[24:])
    data = load(str(tmp_path / "a.npz"))
    np.testing.assert_array_equal(all_images(data)[..., 0], x)
    assert len(data.validation.x) == 4


def test_npz_that_cannot_be_used(tmp_path):
    np.savez(tmp_path / "keys.npz", pictures=random_images(3))
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object))
    (tmp_path / "text.npz").write_text("hello")
    packed = (tmp_path / "keys.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(packed[: len(packed) // 2])
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npz").write_bytes((tmp_path / "array.npy").read_bytes())
    wanted = {"keys": "holds pictures, wanted images under x, images or x_train"}
    for name in ("keys", "objects", "text", "cut", "array"):
        with pytest.raises(ValueError, match=wanted.get(name, "cannot be read as .npz")):
            load(str(tmp_path / f"{name}.npz"))


# folders and zips


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as file:
        for image in sorted(folder.rglob("*.*")):
            file.write(image, image.relative_to(folder.parent))
    return path


def test_class_folders_become_labels_in_a_folder_and_in_a_zip(tmp_path):
    images = random_images(40, (6, 5, 3))
    for number, image in enumerate(images):
        write(tmp_path / "pets" / ("cat", "dog")[number % 2] / f"{number:02d}.png", image[..., ::-1])  # OpenCV writes BGR
    write(tmp_path / "pets" / "cat" / ".hidden.png", images[0, :2])
    (tmp_path / "pets" / "notes.txt").write_text("not an image")
    for name in (tmp_path / "pets", zipped(tmp_path / "pets", tmp_path / "pets.zip")):
        data = load(str(name), validation_fraction=0.1)
        assert data.label_names == ("cat", "dog")
        assert data.shape == (6, 5, 3)
        number_of = {image.tobytes(): number for number, image in enumerate(images)}
        for split in (data.train, data.validation, data.test):
            assert [number_of[image.tobytes()] % 2 for image in split.x] == split.label.tolist()
        assert as_rows(all_images(data)) == as_rows(images)


def test_a_flat_folder_has_no_labels(tmp_path):
    for number, image in enumerate(random_images(30)):
        write(tmp_path / "flat" / f"{number}.png", image)
    data = load(str(tmp_path / "flat"))
    assert data.train.label is None
    assert data.label_names == ()
    assert data.shape == (6, 5, 1)


def test_folders_called_train_and_test_are_splits(tmp_path):
    images = random_images(12)
    for number, image in enumerate(images):
        split = ("train", "val", "test")[number % 3]
        write(tmp_path / "root" / split / "ab"[number // 3 % 2] / f"{number:02d}.png", image)
    data = load(str(tmp_path / "root"))
    for start, split in enumerate((data.train, data.validation, data.test)):
        assert as_rows(split.x) == as_rows(images[start::3])
    assert data.label_names == ("a", "b")
    assert sorted(data.test.label.tolist()) == [0, 0, 1, 1]


def test_a_transparent_image_keeps_its_fourth_channel(tmp_path):
    image = random_images(1, (4, 4, 4))[0]
    for number in range(12):
        write(tmp_path / "rgba" / f"{number}.png", image)
    data = load(str(tmp_path / "rgba"), validation_fraction=0.2)
    np.testing.assert_array_equal(data.train.x[0], image[..., [2, 1, 0, 3]])


def test_images_of_mixed_sizes_are_refused_and_two_are_named(tmp_path):
    for number, image in enumerate(random_images(20)):
        write(tmp_path / "mixed" / f"{number:02d}.png", image if number != 17 else image[:4])
    message = r"mixed sizes: 00\.png is 6 x 5 x 1 but 17\.png is 4 x 5 x 1 \(height x width x channels\)"
    with pytest.raises(ValueError, match=message):
        load(str(tmp_path / "mixed"))


def test_folders_and_zips_that_cannot_be_used(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty holds no images \(\.png, "):
        load(str(tmp_path / "empty"))
    for number, image in enumerate(random_images(20)):
        write(tmp_path / "damaged" / f"{number:02d}.png", image)
        write(tmp_path / "deep" / f"{number:02d}.png", image.astype(np.uint16) * 257)
    (tmp_path / "damaged" / "05.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"05\.png cannot be read as an image"):
        load(str(tmp_path / "damaged"))
    with pytest.raises(ValueError, match=r"00\.png has uint16 pixels up to \d+, wanted 8 bits in 0 \.\.\. 255"):
        load(str(tmp_path / "deep"))
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.zip is not a readable zip file"):
        load(str(tmp_path / "text.zip"))
    whole = zipped(tmp_path / "deep", tmp_path / "whole.zip").read_bytes()
    position = whole.index(b"IDAT")
    (tmp_path / "flipped.zip").write_bytes(whole[:position] + b"\xff\xff\xff" + whole[position + 3 :])
    with pytest.raises(ValueError, match=r"flipped\.zip is a damaged zip file"):
        load(str(tmp_path / "flipped.zip"))


@pytest.mark.skipif(not (SHARED / "omniglot").is_dir(), reason="the shared OMNIGLOT zip files are not beside the repository")
def test_a_published_zip():
    data = load(str(SHARED / "omniglot" / "images_background_small1.zip"))
    assert sum(len(split.x) for split in (data.train, data.validation, data.test)) == 2720
    assert data.shape == (105, 105, 1)
    assert data.binary
    assert {name.split("/")[0] for name in data.label_names} == {
        "Balinese", "Early_Aramaic", "Greek", "Korean", "Latin",
    }  # fmt: skip
