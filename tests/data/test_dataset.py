import subprocess
import sys

import numpy as np
import pytest

from vae.data.dataset import Split, from_splits, is_binary, stored_sha256, without_class


def splits(shape=(4, 5, 3), value=7, labels=True):
    def split(count):
        return Split(np.full((count, *shape), value, np.uint8), np.arange(count, dtype=np.int32) if labels else None)

    return {"train": split(6), "validation": split(2), "test": split(3)}


def test_a_data_set_knows_its_shape_and_whether_it_is_binary():
    grey, binary = from_splits("g", splits()), from_splits("b", splits(value=255))
    assert grey.shape == (4, 5, 3)
    assert (grey.binary, binary.binary) == (False, True)
    assert grey.render is None


def test_one_grey_pixel_is_enough_not_to_be_binary():
    images = np.zeros((5000, 2, 2, 1), np.uint8)
    images[::2] = 255
    assert is_binary(images)
    images[4999, 1, 1, 0] = 1
    assert not is_binary(images)


def test_the_digest_sees_every_value_every_shape_and_every_split():
    base = from_splits("a", splits()).sha256
    assert from_splits("another name", splits()).sha256 == base
    changed = splits()
    changed["test"].x[-1, -1, -1, -1] += 1
    relabelled = splits()
    relabelled["train"].label[0] = 5
    swapped = splits() | {"validation": splits()["test"], "test": splits()["validation"]}
    others = [from_splits("a", s).sha256 for s in (changed, relabelled, swapped, splits(labels=False), splits(shape=(5, 4, 3)))]
    assert len({base, *others}) == 6


def test_the_digest_is_of_values_not_of_their_layout():
    array = np.arange(9000 * 6, dtype=np.int32).reshape(9000, 6)
    assert stored_sha256(array) == stored_sha256(np.asfortranarray(array)) == stored_sha256(array.astype(">i4"))
    assert stored_sha256(array) != stored_sha256(array.astype(np.int64))


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("test", Split(np.zeros((0, 4, 5, 3), np.uint8)), r"the test split of 'a' is empty"),
        (
            "validation",
            Split(np.zeros((2, 5, 4, 3), np.uint8)),
            r"the validation split of 'a' holds examples of uint8 \(5, 4, 3\)",
        ),
        ("test", Split(np.zeros((2, 4, 5, 3), np.float32)), r"the test split of 'a' holds examples of float32"),
        ("test", Split(np.zeros((2, 4, 5, 3), np.uint8), np.zeros(3, np.int32)), r"has 2 examples but 3 labels"),
    ],
)
def test_splits_that_do_not_fit_are_refused(part, value, message):
    with pytest.raises(ValueError, match=message):
        from_splits("a", splits() | {part: value})


def test_the_package_imports_no_reader_before_it_is_used():
    code = (
        "import sys, vae.data; print([m for m in ('tensorflow_datasets', 'sklearn', 'cv2', 'tensorflow') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_class_is_left_out_of_every_split():
    x, label = np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1), np.arange(12, dtype=np.int32) % 3
    data = from_splits("mine", dict.fromkeys(("train", "validation", "test"), Split(x, label)), label_names=("a", "b", "c"))
    rest = without_class(data, 1)
    for split in (rest.train, rest.validation, rest.test):
        assert split.x.reshape(-1).tolist() == [0, 2, 3, 5, 6, 8, 9, 11]
        assert split.label.tolist() == [0, 2] * 4
    assert (rest.label_names, rest.sha256 != data.sha256) == (("a", "b", "c"), True)
    with pytest.raises(ValueError, match="mine has no class 7 in every split; wanted labels, and one of them"):
        without_class(data, 7)
