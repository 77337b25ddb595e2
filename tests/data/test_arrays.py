"""What arrays of any shape become: spaces, masks, contexts, splits; and what is said of those that do not fit."""

import itertools

import jax
import numpy as np
import pytest
import toys

import vae
from vae.data import array_splits, feeds
from vae.data.feeds import gather
from vae.data.picked import Picked
from vae.training.identity import feed_digest

RNG = np.random.default_rng(0)
SPLITS = ("train", "validation", "test")
VECTORS = RNG.normal(size=(100, 3)).astype(np.float32)
SERIES = RNG.normal(5, 2, size=(60, 4, 2)).astype(np.float32)
TOKENS = RNG.integers(0, 9, size=(60, 5))


def shown(feed):
    x, context = jax.jit(feed.prepare)(jax.random.key(0), jax.tree.map(np.asarray, feed.arrays))
    return np.asarray(x), jax.tree.map(np.asarray, context)


def of_rows(x, all_x=VECTORS):
    """Which rows of the array these are."""
    return [int(np.flatnonzero(np.all(all_x == row, axis=tuple(range(1, all_x.ndim))))[0]) for row in x]


def test_every_row_is_in_one_split_in_its_own_units():
    splits = array_splits(VECTORS)
    rows = {split: of_rows(shown(getattr(splits, split))[0]) for split in SPLITS}
    assert sorted(itertools.chain(*rows.values())) == list(range(100))
    assert [len(rows[split]) for split in SPLITS] == [80, 10, 10]
    spec, train = splits.train.spec, VECTORS[rows["train"]].astype(np.float64)
    assert (spec.shape, spec.space, spec.context) == ((3,), "real", ())
    np.testing.assert_allclose(spec.mean, train.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(spec.scale, train.std(axis=0), rtol=1e-6)
    assert array_splits(VECTORS, standardise=False).train.spec.scale is None


def test_rows_in_another_order_or_type_land_in_the_same_splits():
    order = np.random.default_rng(1).permutation(100)
    splits, moved = array_splits(VECTORS), array_splits(VECTORS.astype(np.float64)[order])
    twice = array_splits(np.concatenate([VECTORS, VECTORS]))
    for split in SPLITS:
        want = sorted(of_rows(shown(getattr(splits, split))[0]))
        assert sorted(of_rows(shown(getattr(moved, split))[0])) == want
        assert sorted(of_rows(shown(getattr(twice, split))[0])) == sorted(2 * want), "equal rows are kept together"


@pytest.mark.parametrize(
    ("x", "arguments", "space", "dtype", "has_scale"),
    [
        (RNG.integers(0, 2, (40, 6)), {}, "binary", np.float32, False),
        (RNG.integers(0, 2, (40, 6)) > 0, {}, "binary", np.float32, False),
        (RNG.integers(0, 256, (40, 6)).astype(np.uint8), {}, "uint8", np.uint8, False),
        (RNG.integers(0, 256, (40, 6)).astype(np.float32), {"space": "uint8"}, "uint8", np.uint8, False),
        (RNG.poisson(3, (40, 6)), {}, "count", np.float32, False),
        (RNG.poisson(3, (40, 6)).astype(np.float64), {}, "count", np.float32, False),
        (RNG.integers(-3, 3, (40, 6)), {}, "real", np.float32, True),
        (np.where(RNG.random((40, 6)) < 0.2, np.nan, RNG.poisson(3, (40, 6))), {"missing": "mask"}, "count", np.float32, False),
        (VECTORS.astype(">f8"), {}, "real", np.float32, True),
        (TOKENS.astype(">i4"), {}, "count", np.float32, False),
        (VECTORS.astype(np.longdouble), {}, "real", np.float32, True),
        (VECTORS.astype(np.float64) * 1e37, {}, "real", np.float32, True),
        (RNG.random((40, 6)), {}, "unit_interval", np.float32, False),
        (RNG.random((40, 6)), {"space": "real"}, "real", np.float32, True),
        (RNG.random((40, 6)), {"space": "unit_interval"}, "unit_interval", np.float32, False),
        (RNG.integers(0, 5, (40, 6)), {"space": "tokens"}, "tokens", np.int32, False),
    ],
)
def test_the_space_decides_what_a_model_sees(x, arguments, space, dtype, has_scale):
    splits = array_splits(x, **arguments)
    spec = splits.train.spec
    assert (spec.space, spec.tokens) == (space, 5 if space == "tokens" else 0)
    assert (spec.scale is not None, spec.mean is not None) == (has_scale, space != "tokens")
    found = shown(splits.train)[0]
    assert found.dtype == dtype
    assert {tuple(row) for row in found} <= {tuple(row) for row in np.nan_to_num(x).astype(dtype)}


def test_lengths_and_masks_become_what_is_observed():
    lengths = RNG.integers(1, 5, 60)
    found = shown(array_splits(SERIES, lengths=lengths).train)
    x, observed = found[0], found[1]["observed"]
    assert set(found[1]) == {"observed"}
    assert observed.shape == x.shape
    rows = of_rows(x[:, 0], SERIES[:, 0])
    want = np.broadcast_to((np.arange(4) < lengths[rows][:, None])[..., None], x.shape)
    np.testing.assert_array_equal(observed, want)
    np.testing.assert_array_equal(x, np.where(want, SERIES[rows], 0))
    mask = np.broadcast_to((np.arange(4) < lengths[:, None])[..., None], SERIES.shape)
    for same in (array_splits(SERIES, observed=mask), array_splits(np.where(mask, SERIES, np.nan), missing="mask")):
        assert feed_digest(same.train) == feed_digest(array_splits(SERIES, lengths=lengths).train)


@pytest.mark.parametrize("x", [SERIES, TOKENS])
def test_a_masked_array_is_observed_where_it_is_not_masked(x):
    mask = RNG.random(x.shape) < 0.3
    masked = np.ma.masked_array(np.where(mask, -999, x), mask)
    want, found = array_splits(x, observed=~mask), array_splits(masked, missing="mask")
    assert found.train.spec.space == want.train.spec.space
    both = array_splits(masked, missing="mask", lengths=np.full(60, 2))
    for split in SPLITS:
        assert feed_digest(getattr(found, split)) == feed_digest(getattr(want, split))
        assert not np.any(shown(getattr(both, split))[1]["observed"][:, 2:])
    rows = array_splits(list(masked), missing="mask")
    assert feed_digest(rows.train) == feed_digest(want.train)
    complete = array_splits(np.ma.masked_array(x, False))
    assert feed_digest(complete.train) == feed_digest(array_splits(x).train)


def test_what_is_not_observed_does_not_show_anywhere():
    mask = RNG.random(SERIES.shape) < 0.7
    one, other = (array_splits(np.where(mask, SERIES, junk), observed=mask) for junk in (7.0, -1e30))
    for split in SPLITS:
        assert feed_digest(getattr(one, split)) == feed_digest(getattr(other, split))
    x, context = shown(one.train)
    seen = context["observed"]
    count = seen.sum(axis=0)
    mean = np.sum(x, axis=0, where=seen, dtype=np.float64) / count
    std = np.sqrt(np.sum((x - mean) ** 2, axis=0, where=seen) / count)
    np.testing.assert_allclose(one.train.spec.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(one.train.spec.scale, std, rtol=1e-5)
    padded = array_splits(np.where(np.arange(5) < 3, TOKENS, -1), space="tokens", lengths=np.full(60, 3))
    assert padded.train.spec.tokens == 1 + TOKENS[:, :3].max()


def test_a_pair_is_conditioned_on_row_by_row():
    context = {"text": np.arange(100) * 3, "picture": VECTORS * 2}
    for source, arguments in ((VECTORS, {"context": context}), ({"x": VECTORS, "context": context}, {})):
        splits = array_splits(source, **arguments)
        for split in SPLITS:
            x, given = shown(getattr(splits, split))
            np.testing.assert_array_equal(given["picture"], x * 2)
            np.testing.assert_array_equal(given["text"], 3 * np.array(of_rows(x)))
    both = array_splits(VECTORS, context=VECTORS, missing="mask").train
    assert set(both.spec.context) == {"observed", "given"}
    assert feed_digest(both) != feed_digest(array_splits(VECTORS, context=-VECTORS, missing="mask").train)


@pytest.mark.parametrize(
    ("train", "test", "dtype"),
    [
        (np.uint8, np.uint8, np.int32),
        (np.uint8, np.float64, np.float32),
        (np.float32, np.int64, np.float32),
        (np.int64, np.uint16, np.int32),
        (bool, bool, np.float32),
        (bool, np.int64, np.int32),
    ],
)
def test_contexts_have_one_type_in_all_splits(train, test, dtype):
    source = {"x_train": VECTORS, "x_test": VECTORS[:9]}
    given = {"context_train": {"a": np.arange(100).astype(train)}, "context_test": {"a": np.arange(9).astype(test)}}
    splits = array_splits({**source, **given})
    for split in SPLITS:
        assert shown(getattr(splits, split))[1]["a"].dtype == dtype
    np.testing.assert_array_equal(shown(splits.test)[1]["a"], np.arange(9).astype(test).astype(dtype))


def test_files_and_functions_give_what_memory_gives(tmp_path):
    label = np.arange(100) % 3
    np.save(tmp_path / "a.npy", VECTORS)
    np.savez(tmp_path / "a.npz", x=VECTORS, y=label)
    want = array_splits(VECTORS, labels=label, label_names=("a", "b", "c"))
    for source in (str(tmp_path / "a.npy"), str(tmp_path / "a.npz"), f"{__name__}:made"):
        splits = vae.resolve(vae.reference_to(array_splits, source=source))
        assert feed_digest(splits.test) == feed_digest(want.test)
    np.testing.assert_array_equal(array_splits(tmp_path / "a.npz").test.labels, want.test.labels)
    assert want.train.label_names == ("a", "b", "c")


def made():
    return VECTORS


def test_splits_of_the_source_are_kept():
    splits = array_splits({"x_train": VECTORS[:70], "x_val": VECTORS[70:80], "x_test": VECTORS[80:], "y_test": np.arange(20)})
    for split, want in {"train": VECTORS[:70], "validation": VECTORS[70:80], "test": VECTORS[80:]}.items():
        np.testing.assert_array_equal(shown(getattr(splits, split))[0], want)
    np.testing.assert_array_equal(splits.test.labels, np.arange(20))
    assert array_splits({"x_train": VECTORS[:70], "x_test": VECTORS[70:]}).validation.size == 7


def test_a_file_that_is_too_large_stays_on_the_disk(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", VECTORS.astype(np.float64))
    want = array_splits(VECTORS)
    monkeypatch.setattr(feeds, "RESIDENT_BYTES", 100)
    splits = array_splits(str(tmp_path / "a.npy"))
    stored = splits.train.arrays["x"]
    assert isinstance(stored, Picked)
    assert isinstance(stored.array, np.memmap)
    assert not splits.train.resident
    assert (stored.shape, len(stored), stored.nbytes) == ((80, 3), 80, 80 * 24)
    rows = np.array([[3, 70], [0, 3]])
    np.testing.assert_array_equal(gather(splits.train.arrays, rows)["x"], np.asarray(want.train.arrays["x"])[rows])
    for split in SPLITS:
        assert feed_digest(getattr(splits, split)) == feed_digest(getattr(want, split)), "as the device has them"


@pytest.mark.slow
def test_training_from_the_disk_and_from_memory_is_the_same(tmp_path, monkeypatch):
    x = np.random.default_rng(2).normal(size=(60, 4))
    np.save(tmp_path / "a.npy", x)
    arguments = {"context": np.arange(60.0), "standardise": False}

    def params(source):
        data = array_splits(source, **arguments)
        experiment = vae.Experiment(data=data, model=toys.linear_gaussian(), steps=4, batch_size=8, settings={"beta": 1.0})
        return vae.fit(experiment, None, vae.Host(progress=False)).state.params

    want = params(x)
    monkeypatch.setattr(feeds, "RESIDENT_BYTES", 100)
    jax.tree.map(np.testing.assert_array_equal, params(str(tmp_path / "a.npy")), want)


# What does not fit


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        (VECTORS, {"space": "mixed"}, "space is 'mixed'; wanted one of real, unit_interval"),
        (VECTORS, {"missing": "drop"}, "missing is 'drop'; wanted one of refuse, mask"),
        (np.where(VECTORS > 2, np.nan, VECTORS), {}, "the data hold nan in row .*: mask what is missing"),
        (VECTORS, {"space": "count"}, "the data hold .* in row 1; wanted whole numbers from 0 on"),
        (TOKENS, {"space": "tokens", "tokens": 8}, "the data hold 8 in row .*; wanted tokens from 0 to 7"),
        (TOKENS, {"space": "tokens", "tokens": 0}, "tokens is 0; wanted how many"),
        ({"x_train": TOKENS, "x_test": -TOKENS}, {"space": "count"}, "the test data hold -. in row 1; wanted"),
        (VECTORS, {"labels": np.arange(99)}, "the data have 100 rows of x but 99 of label"),
        (VECTORS, {"context": {"a": VECTORS[:9]}}, "the data have 100 rows of x but 9 of context"),
        (VECTORS, {"labels": np.arange(100), "label_names": list("ab")}, "the label of row 3 of the data is 2; wanted 0 to 1"),
        (VECTORS, {"labels": np.zeros((100, 1, 1))}, r"the labels of the data have shape \(100, 1, 1\)"),
        (TOKENS, {"lengths": np.full(60, 6)}, "lengths has 6 in row 1; wanted a whole number from 0 to 5"),
        (TOKENS, {"lengths": np.full((60, 1), 2)}, r"lengths has shape \(60, 1\); wanted"),
        (TOKENS[:, 0], {"lengths": np.full(60, 2)}, r"the x of the data has shape \(60,\), wanted \(rows, ...\)"),
        (TOKENS, {"observed": np.ones((60, 4))}, r"observed has shape \(60, 4\); wanted that of x, \(60, 5\)"),
        (TOKENS, {"observed": TOKENS}, "observed holds other values than true and false"),
        ({"x": VECTORS, "contxt": VECTORS}, {}, "an entry 'contxt': did you mean 'context'"),
        ({"context": VECTORS}, {}, "hold context, and no x of the train split"),
        ({"x": VECTORS, "x_train": VECTORS}, {}, "hold the x of the train split twice"),
        ({"x": VECTORS, "y": TOKENS[:, 0]}, {"labels": TOKENS[:, 0]}, "the source has splits or a label of its own"),
        ({"x_train": VECTORS, "x_test": VECTORS}, {"context": VECTORS}, "the source has splits or a context of its own"),
        (
            {"x_train": VECTORS, "x_test": SERIES},
            {},
            "the shapes of an example differ, of the train data .* and of the test data",
        ),
        (np.ma.masked_less(TOKENS, 3), {}, "the x of the data has masked values, first in row .*: say missing='mask'"),
        (VECTORS, {"context": np.ma.masked_less(VECTORS, 0)}, "the context of the data has masked values, .*: fill them"),
        (1e7 + RNG.normal(size=(60, 2)), {}, r"the entry \(.,\) of the data varies by .* about .*: subtract a constant"),
        (1e8 + VECTORS.astype(np.float64), {}, r"the entry \(0,\) of the data varies by 1.* about 9999999.*: subtract"),
        (RNG.normal(size=(60, 2)) * 1e-46, {}, r"the entry \(0,\) of the data varies by .*e-4. about .*, or rescale it"),
        (RNG.random((60, 2)) * 1e-46, {}, r"the entry \(0,\) of the data varies by .*e-47 about .*, or rescale it"),
        (VECTORS * np.float32(1e-39), {}, r"the entry \(0,\) varies by .*e-39 only, which float32 takes for 0: rescale"),
        (VECTORS, {"context": 2**32 + np.arange(100)}, "the contexts of the data hold 4294967296 in row 1; .* int32 holds"),
        (VECTORS, {"context": 1e9 + np.arange(100.0)}, r"the entry \(\) of the contexts varies by .*: subtract a constant"),
        (VECTORS * np.float64(1e39), {}, "the data hold .* in row 1; wanted finite numbers"),
        ([[1, 2], [3]], {}, "the x of the data has rows of different lengths: pad them, and give lengths"),
        (np.array(["a", "b"]), {}, "the x of the data is <U1 of shape"),
        (VECTORS[:0], {}, r"the x of the data has shape \(0, 3\), which is empty"),
        (VECTORS, {"context": np.where(VECTORS > 1, np.nan, VECTORS)}, "the contexts of the data hold nan in row"),
        ("missing.csv:", {}, "there is no file 'missing.csv:'"),
    ],
)
def test_what_does_not_fit_is_refused(source, arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        array_splits(source, **arguments)


def test_files_that_are_no_arrays_are_refused(tmp_path):
    for name, message in {
        "a.npy": "cannot be read as .npy",
        "a.npz": "as .npz",
        "a.csv": "a table is for table_splits",
    }.items():
        (tmp_path / name).write_text("a,b\n")
        with pytest.raises(ValueError, match=message):
            array_splits(str(tmp_path / name))
    with pytest.raises(TypeError, match="the data are a int; wanted an array"):
        array_splits(3)


def test_rows_that_lie_on_the_disk_can_be_put_on_the_device():
    picked = Picked(VECTORS, np.array([5, 2, 9]))
    resident = feeds.feed(picked, resident=True)
    assert isinstance(resident.arrays, jax.Array)
    np.testing.assert_array_equal(resident.arrays, VECTORS[[5, 2, 9]])
    np.testing.assert_array_equal(picked[1:], VECTORS[[2, 9]])
