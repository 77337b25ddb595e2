import hashlib

import numpy as np
import pytest

from vae.data import binarise, keyed, load, split_indices
from vae.data.dataset import Split

MASK = 2**64 - 1


def philox_words(salt, count):
    """Philox4x64-10 of Salmon et al. 2011 with Python integers; the counter starts at one."""
    key = int.from_bytes(hashlib.sha256(f"vae {salt}".encode()).digest()[:16], "little")
    words = []
    for block in range(1, -(-count // 4) + 1):
        c, k = [block, 0, 0, 0], [key & MASK, key >> 64]
        for _ in range(10):
            low, high = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
            c = [(high >> 64) ^ c[1] ^ k[0], high & MASK, (low >> 64) ^ c[3] ^ k[1], low & MASK]
            k = [(k[0] + 0x9E3779B97F4A7C15) & MASK, (k[1] + 0xBB67AE8584CAA73B) & MASK]
        words += c
    return words[:count]


def test_splits_follow_the_published_generator():
    parts = split_indices(50, {"test": 0.2, "validation": 0.1}, salt="a")
    words = philox_words("a", 50)
    order = sorted(range(50), key=words.__getitem__)
    assert parts["test"].tolist() == sorted(order[:10])
    assert parts["validation"].tolist() == sorted(order[10:15])
    assert parts["train"].tolist() == sorted(order[15:])


def test_splits_partition_whatever_the_global_seed():
    np.random.seed(1)  # noqa: NPY002
    first = split_indices(1001, {"test": 0.1, "validation": 0.05}, salt="a")
    np.random.seed(2)  # noqa: NPY002
    second = split_indices(1001, {"test": 0.1, "validation": 0.05}, salt="a")
    assert [len(first[name]) for name in ("train", "validation", "test")] == [851, 50, 100]
    np.testing.assert_array_equal(np.sort(np.concatenate(list(first.values()))), np.arange(1001))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_the_test_set_stays_when_the_validation_fraction_changes():
    few, many = (split_indices(500, {"test": 0.1, "validation": f}, salt="a") for f in (0.02, 0.4))
    np.testing.assert_array_equal(few["test"], many["test"])
    assert set(few["validation"]) < set(many["validation"])


def test_another_salt_is_another_split():
    a, b = (split_indices(1000, {"test": 0.5}, salt=salt)["test"] for salt in "ab")
    # two independent halves of 1000 share 250 on average, with a standard deviation of sqrt(1000 / 16) = 7.9
    assert abs(len(np.intersect1d(a, b)) - 250) < 5 * 7.9


def test_binarisation_follows_the_published_generator():
    pixels = np.arange(7 * 11, dtype=np.uint8).reshape(7, 11, 1) * 3
    halves = [word >> shift & 0xFFFF for word in philox_words("binarise test", 20) for shift in (0, 16, 32, 48)]
    expected = [int(half < 257 * int(pixel)) for half, pixel in zip(halves, pixels.reshape(-1), strict=False)]
    assert binarise(pixels, "test").reshape(-1).tolist() == expected


def test_binarisation_has_the_stated_probability_at_every_grey():
    count = 20_000
    levels = np.arange(256, dtype=np.uint8)
    drawn = binarise(np.repeat(levels, count).reshape(256, count), "frequencies").mean(axis=1)
    probability = 257 * levels.astype(float) / 2**16
    error = np.sqrt(probability * (1 - probability) / count)
    assert drawn[0] == 0
    np.testing.assert_array_less(np.abs(drawn[1:] - probability[1:]), 5 * error[1:] + 1 / count)


def test_binarisation_does_not_depend_on_its_blocks(monkeypatch):
    pixels = np.random.Generator(np.random.Philox(0)).integers(0, 256, (100, 5, 7, 3), dtype=np.uint8)
    whole = binarise(Split(pixels), "train")
    monkeypatch.setattr(keyed, "WORDS_AT_A_TIME", 13)
    np.testing.assert_array_equal(binarise(pixels, "train"), whole)
    assert whole.dtype == np.uint8
    assert whole.shape == pixels.shape
    assert 0.3 < np.mean(whole != binarise(pixels, "test")) < 0.37  # E |difference| = 2 E[p (1 - p)] = 1/3


def test_the_static_binarisation_of_the_digits_never_changes():
    digits = load("digits")
    digest = hashlib.sha256(binarise(digits.test, "test").tobytes()).hexdigest()
    assert digest == "cb27808cb7efef9012f5f5e81c1d954d1c3435310103e643a1acf1f407499a55"


def test_binarise_refuses_what_is_not_stored_pixels():
    with pytest.raises(TypeError, match=r"binarise got float64, wanted the stored uint8 pixels in 0 \.\.\. 255: pass those\."):
        binarise(np.zeros((2, 2)), "test")
