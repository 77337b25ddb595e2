"""What a feed accepts, and what it holds."""

import jax
import numpy as np
import pytest

from vae.data import feeds
from vae.data.feeds import as_is, batch_like, each_feed, feed, gather, prepared, with_context
from vae.spec import Data

X = np.arange(24, dtype=np.float32).reshape(6, 4)


def test_a_feed_knows_its_size_and_the_shape_that_prepare_gives():
    found = feed({"a": X, "b": np.arange(6)}, lambda key, stored: (stored["a"].reshape(-1, 2, 2), stored["b"]))
    assert found.size == 6
    assert (found.spec.shape, found.spec.space) == ((2, 2), "count")
    assert feed(X).spec.shape == (4,)
    assert feed({"a": X}).spec.shape == (), "an example of several arrays has no single shape"
    assert feed(X, spec=Data(shape=(4,), space="binary")).spec.space == "binary"


def test_small_data_are_resident_and_large_ones_stay_on_the_host(monkeypatch):
    assert feed(X).resident
    assert isinstance(feed(X).arrays, jax.Array)
    monkeypatch.setattr(feeds, "RESIDENT_BYTES", X.nbytes - 1)
    large = feed(X)
    assert not large.resident
    assert large.arrays is X, "a memory map must not be read into memory"
    assert feed(X, resident=True).resident


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    broken = X.copy()
    broken[3, 1] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        feed({"whole": X, "broken": broken})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": X, "b": X[:5]}, r"shapes \(6, 4\), \(5, 4\); wanted arrays with one leading axis"),
        ({"a": X, "b": np.float32(1.0)}, r"shapes \(6, 4\), \(\); wanted"),
        ((), "no arrays"),
        (X[:0], "hold no examples"),
    ],
)
def test_arrays_without_a_common_leading_axis_are_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        feed(arrays)


def test_gather_takes_the_rows_of_every_array():
    rows = np.array([[0, 5], [2, 2]])
    found = gather({"a": X, "b": np.arange(6)}, rows)
    np.testing.assert_array_equal(found["a"], X[rows])
    np.testing.assert_array_equal(found["b"], rows)


def test_as_is_changes_nothing():
    x, context = as_is(jax.random.key(0), X)
    assert x is X
    assert context == ()


# What is made of stored examples


def labelled(key, stored):
    return stored["x"], jax.nn.one_hot(stored["y"], 3), (stored["y"], None)


STORED = {"x": X, "y": np.array([0, 1, 2, 0, 1, 2])}


def test_a_prepared_batch_has_context_observed_values_and_weights_of_one():
    batch = prepared(feed(STORED, labelled), jax.random.key(0), gather(STORED, np.array([4, 2])))
    np.testing.assert_array_equal(batch.x, X[[4, 2]])
    np.testing.assert_array_equal(batch.context, np.eye(3)[[1, 2]])
    np.testing.assert_array_equal(batch.values[0], [1, 2])
    assert batch.values[1] is None
    np.testing.assert_array_equal(batch.weight, [1.0, 1.0])
    assert prepared(feed(X), jax.random.key(0), X[:2]).values == ()


def test_what_is_conditioned_on_is_part_of_the_spec():
    found = feed(STORED, labelled)
    assert found.spec == Data(shape=(4,), space="count", context=jax.ShapeDtypeStruct((3,), np.float32))
    assert feed(STORED, labelled, spec=Data((4,), "binary")).spec.context == found.spec.context
    assert feed(X).spec.context == ()


def test_labels_are_for_the_eye_and_one_for_each_example():
    found = feed(X, labels=STORED["y"], label_names=["a", "b", "c"])
    np.testing.assert_array_equal(found.labels, STORED["y"])
    assert found.label_names == ("a", "b", "c")
    np.testing.assert_array_equal(found.arrays, X)
    with pytest.raises(ValueError, match="there are 5 labels for 6 examples; wanted one for each"):
        feed(X, labels=STORED["y"][:5])


def test_a_function_of_feeds_is_of_each_by_name_where_there_are_several():
    assert each_feed(lambda size, times: size * times, 2, 3) == 6
    found = each_feed(lambda size, times: size * times, {"b": 2, "a": 5}, {"a": 1, "b": 3})
    assert list(found.items()) == [("a", 5), ("b", 6)]


def test_other_types_of_the_device_are_those_of_a_batch():
    like = batch_like({"x": X.astype(np.float64), "y": np.arange(6)}, 2)
    assert (like["x"].shape, like["x"].dtype, like["y"].dtype) == ((2, 4), np.float32, np.int32)


@pytest.mark.parametrize("labels", [[0, 1, 2, 0, 1, 3], [0, 1, 2, 0, 1, -1], [99] * 6])
def test_labels_outside_their_names_are_refused(labels):
    with pytest.raises(ValueError, match=r"the labels lie in -?\d+ ... \d+, with names for 3 classes; wanted 0 ... 2: number"):
        feed(X, labels=labels, label_names=("a", "b", "c"))


def test_factors_and_numbers_have_no_classes_to_be_outside_of():
    factors = np.full((6, 2), 99)
    assert feed(X, labels=factors, label_names=("size", "angle")).labels is factors
    assert feed(X, labels=[99] * 6).labels.tolist() == [99] * 6


# Whole numbers, and spaces that nobody has said


@pytest.mark.parametrize(
    ("stored", "space", "dtype"),
    [
        (np.array([[0, 1], [1, 1]], np.uint8), "binary", np.float32),
        (np.array([[False, True]]), "binary", np.float32),
        (np.array([[0, 1]]), "real", np.float32),
        (np.array([[0, 1]]), "unit_interval", np.float32),
        (np.array([[0, 7]]), "count", np.float32),
        (np.array([[0, 7]], np.uint8), "uint8", np.uint8),
        (np.array([[0, 7]]), "uint8", np.uint8),
        (np.array([[0, 7]], np.uint8), "tokens", np.int32),
    ],
)
@pytest.mark.parametrize("resident", [True, False])
def test_whole_numbers_are_shown_as_the_space_wants_them(stored, space, dtype, resident):
    found = feed(stored, spec=Data(shape=(2,), space=space, tokens=8), resident=resident)
    x = jax.jit(found.prepare)(jax.random.key(0), jax.tree.map(np.asarray, found.arrays))[0]
    assert x.dtype == dtype
    np.testing.assert_array_equal(x, stored)
    assert found.arrays.dtype == (jax.dtypes.canonicalize_dtype(stored.dtype) if resident else stored.dtype), "stored as is"


def test_a_gradient_reaches_zeros_and_ones_of_any_type():
    for dtype in (bool, np.uint8, np.int32):
        batch = prepared(feed(np.eye(3, dtype=dtype)), jax.random.key(0), jax.numpy.eye(3, dtype=dtype))
        np.testing.assert_array_equal(jax.grad(lambda x: (x**2).sum())(batch.x), 2 * np.eye(3))


def test_what_is_prepared_as_float32_already_is_left_alone():
    assert feed(X).prepare is as_is
    assert feed(STORED, labelled).prepare is labelled


@pytest.mark.parametrize(
    ("stored", "space"),
    [
        (X > 3, "binary"),
        (X.astype(np.uint8), "uint8"),
        (X.astype(int), "count"),
        (X.astype(int) - 1, "real"),
        (X, "count"),
        (X - 1, "real"),
        (X + 0.5, "real"),
        (X / 99, "unit_interval"),
    ],
)
def test_the_space_is_found_where_nobody_says_it(stored, space):
    assert feed(stored).spec.space == space


def test_the_space_of_what_is_prepared_is_found_by_its_type():
    assert feed(X, lambda key, x: (x > 3, ())).spec.space == "binary"
    assert feed(X, lambda key, x: (x.astype(np.uint8), ())).spec.space == "uint8"


@pytest.mark.parametrize(
    ("stored", "space", "message"),
    [
        (X.astype(int), "tokens", "hold 8 in row 3; wanted tokens from 0 to 7"),
        (X.astype(int), "binary", "hold 2 in row 1; wanted 0 or 1"),
        (-X, "count", r"hold -1.0 in row 1; wanted whole numbers from 0 on"),
        (X.astype(int) + 2**24, "real", "hold 16777217 in row 1; wanted whole numbers up to 16777216"),
    ],
)
def test_numbers_outside_the_space_that_is_said_are_refused(stored, space, message):
    with pytest.raises(ValueError, match=message):
        feed(stored, spec=Data(shape=(4,), space=space, tokens=8))


def test_what_a_stored_dict_says_is_its_context():
    whole = {"x": 2.0, "given": 1.0, "observed": 0.0}
    contexts = {("given",): 1.0, ("observed",): {"observed": 0.0}, ("given", "observed"): {"observed": 0.0, "given": 1.0}}
    for names, context in {(): (), **contexts}.items():
        stored = {name: whole[name] for name in ("x", *names)}
        assert with_context(jax.random.key(0), stored) == (stored["x"], context)


def test_what_is_masked_is_refused():
    with pytest.raises(ValueError, match=r"the data are masked arrays; .*vae.data.array_splits\(x, missing='mask'\)"):
        feed({"a": np.ma.masked_less(X, 3)})
