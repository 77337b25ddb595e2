"""Names, splits and the cache, end to end."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from vae.data import cache, known_datasets, load, loading
from vae.data.sources import SOURCES, digits, find_source


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "a.npz", seed=0)


def write(path, seed):
    generator = np.random.Generator(np.random.Philox(seed))
    np.savez(path, x=generator.integers(0, 256, (200, 4, 5, 1), dtype=np.uint8), y=np.arange(200))
    return str(path)


def entries():
    root = cache.cache_root()
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def arrays(data):
    return [array for split in data[1:4] for array in split if array is not None]


def assert_same(a, b):
    assert a.sha256 == b.sha256
    for left, right in zip(arrays(a), arrays(b), strict=True):
        np.testing.assert_array_equal(left, right)


# names


def test_the_digits():
    data = load("digits")
    assert [len(split.x) for split in data[1:4]] == [1258, 180, 359]
    assert (data.shape, data.binary, data.name) == ((8, 8, 1), False, "digits")
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    ours = sorted((x.tobytes(), int(y)) for split in data[1:4] for x, y in zip(*split, strict=True))
    theirs = (np.floor(images * 255 / 16 + 0.5).astype(np.uint8), labels)
    assert ours == sorted((x.tobytes(), int(y)) for x, y in zip(*theirs, strict=True))
    assert data.train.x.max() == 255


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "digit",
            ValueError,
            r"there is no data set 'digit'; did you mean 'digits'\? Known are: digits, sprites, emoji, .*mnist,",
        ),
        ("fashionmnist", ValueError, r"did you mean 'fashion_mnist'\?"),
        ("Zzzzzz!", ValueError, r"there is no data set 'Zzzzzz!'; known are: digits, .*FILE\.npz.*module:function"),
        ("/nowhere/x.npz", FileNotFoundError, r"there is no file or folder '/nowhere/x\.npz': check the path"),
        ("faces.zip", FileNotFoundError, r"there is no file or folder 'faces\.zip'"),
        (__file__, ValueError, r"is not a file that can be read as images, wanted one of: digits"),
    ],
)
def test_names_that_are_not_known(name, error, message):
    with pytest.raises(error, match=message) as caught:
        load(name)
    assert "\n" not in str(caught.value)


def test_every_known_name_has_one_source():
    for name in known_datasets():
        assert sum(source.accepts(name) for source in SOURCES) == 1
    assert find_source("digits") is digits.SOURCE


# splits


def test_missing_splits_are_cut_from_the_training_set(file):
    x = np.load(file)["x"]
    a, b = load(file, validation_fraction=0.05), load(file, validation_fraction=0.3)
    assert [len(split.x) for split in b[1:4]] == [120, 60, 20]
    np.testing.assert_array_equal(a.test.x, b.test.x)
    np.testing.assert_array_equal(np.sort(np.concatenate([split.label for split in b[1:4]])), np.arange(200))
    for split in b[1:4]:
        np.testing.assert_array_equal(split.x, x[split.label])


@pytest.mark.parametrize(("fraction", "split"), [(0.001, "validation"), (0.95, "train")])
def test_a_split_that_would_be_empty_is_refused(file, fraction, split):
    with pytest.raises(
        ValueError, match=rf"the {split} split of '.*' is empty \(200 images in all, validation_fraction {fraction}\)"
    ):
        load(file, validation_fraction=fraction)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_outside_0_and_1_is_refused(fraction):
    with pytest.raises(ValueError, match=r"validation_fraction is .*, wanted a number between 0 and 1"):
        load("digits", validation_fraction=fraction)


# the cache


def test_the_second_load_is_mapped_from_the_cache_and_the_same(file, monkeypatch):
    first = load(file)
    monkeypatch.setattr(loading, "_build", None)  # the cache must answer
    second = load(file)
    assert_same(first, second)
    assert first.label_names == second.label_names
    assert all(isinstance(array, np.memmap) and not array.flags.writeable for array in arrays(second))


def test_blocks_do_not_show(file, monkeypatch):
    whole = load(file)
    monkeypatch.setattr(loading, "BLOCK", 7)
    assert_same(whole, load(file, cache_dir=cache.cache_root() / "other"))


def test_a_changed_file_is_read_again(file):
    before = load(file)
    write(file, seed=1)
    assert load(file).sha256 != before.sha256
    assert len(entries()) == 2


def test_the_cache_folder_is_the_argument_then_the_variables_then_home(monkeypatch, tmp_path):
    assert cache.cache_root(tmp_path / "a") == tmp_path / "a"
    assert cache.cache_root() == Path(os.environ["VAE_CACHE_DIR"])
    monkeypatch.delenv("VAE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_root() == tmp_path / "vae"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.cache_root() == tmp_path / "home" / ".cache" / "vae"


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, empty, Path.unlink])
@pytest.mark.parametrize("part", ["train_x.npy", "test_label.npy", "manifest.json"])
def test_a_damaged_entry_is_rebuilt(file, damage, part):
    first = load(file)
    wanted = [array.copy() for array in arrays(first)]
    if (part, damage) == ("manifest.json", flip_a_bit):
        (entries()[0] / part).write_text(json.dumps({"arrays": {}}))
    else:
        damage(entries()[0] / part)
    assert cache.read(entries()[0], file) is None
    again = load(file)
    assert again.sha256 == first.sha256
    for array, expected in zip(arrays(again), wanted, strict=True):
        np.testing.assert_array_equal(array, expected)
    assert len(entries()) == 1
    assert cache.read(entries()[0], file) is not None


def test_a_cache_that_cannot_be_written_is_done_without_and_said_so(file, tmp_path):
    (tmp_path / "occupied").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match=r"the data cache cannot be used, so .* stays in memory .*\(.*occupied.*\)") as caught:
        data = load(file, cache_dir=tmp_path / "occupied")
    assert len(caught) == 1
    assert_same(data, load(file))


def test_a_disk_that_fills_up_leaves_the_data_in_memory_and_nothing_behind(file, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.warns(UserWarning, match="No space left on device"):
            data = load(file)
    assert entries() == []
    assert_same(data, load(file))


def test_a_source_that_fails_half_way_leaves_nothing_behind(file, monkeypatch):
    def interrupted(part):
        yield part.rows.fetch(part.indices[:3])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loading, "blocks", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(file)
    assert entries() == []


def test_what_a_killed_process_left_is_passed_over_and_removed_after_a_day(file):
    root = cache.cache_root()
    old, young = root / ".partial-old", root / ".partial-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    load(file)
    assert not old.exists()
    assert young.exists()


SLOW_LOAD = """
import sys, time
from vae.data import load, loading

def slowly(part, blocks=loading.blocks):
    for block in blocks(part):
        time.sleep(0.02)
        yield block

loading.BLOCK, loading.blocks = 5, slowly
load(sys.argv[1])
"""


def test_a_load_that_is_killed_while_it_writes_breaks_nothing(file):
    process = subprocess.Popen([sys.executable, "-c", SLOW_LOAD, file])
    try:
        while process.poll() is None and not any(cache.cache_root().glob(".partial-*/*.npy")):
            time.sleep(0.01)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    assert [path.name.startswith(".partial-") for path in entries()] == [True]
    expected = np.load(file)["x"]
    data = load(file)
    for split in data[1:4]:
        np.testing.assert_array_equal(split.x, expected[split.label])


def test_many_at_once_leave_one_whole_entry(file):
    results = []
    threads = [threading.Thread(target=lambda: results.append(load(file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len({data.sha256 for data in results}) == 1
    assert [path.name.startswith(".partial-") for path in entries()] == [False]


def test_a_cached_load_imports_no_reader(tmp_path):
    load("digits")
    code = "import sys; from vae.data import load; load('digits'); print('sklearn' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
