"""A part of every example is predicted from the rest: what is x, what is given, and what is scored."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae
from vae.data.completion import completion_splits
from vae.data.feeds import prepared

KEY = jax.random.key(0)
HIDDEN = np.array([True, False, True, False])
X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
SPLITS = vae.data.Splits(train=vae.data.feed(X), validation=vae.data.feed(X[:3]))


def test_the_example_runs():
    names = {"vae": vae, "np": np}
    (example,) = doctest.DocTestFinder(recurse=False).find(completion_splits, "completion_splits", globs=names)
    assert doctest.DocTestRunner().run(example).failed == 0


def test_hidden_and_shown_entries_are_the_whole_example():
    batch = prepared(completion_splits(SPLITS, HIDDEN).validation, KEY, jnp.asarray(X[:3]))
    np.testing.assert_array_equal(batch.x + batch.context["given"], X[:3])
    np.testing.assert_array_equal(batch.context["observed"], np.tile(HIDDEN, (3, 1)))
    assert not np.any(batch.x * batch.context["given"])


def test_labels_context_and_values_stay():
    def prepare(key, rows):
        return rows[0], rows[1], (rows[2],)

    part = vae.data.feed((X, X[:, :2], np.arange(8, dtype=np.int32)), prepare, labels=np.arange(8))
    found = completion_splits(vae.data.Splits(part), HIDDEN).train
    batch = prepared(found, KEY, found.arrays)
    np.testing.assert_array_equal(batch.context["given"][1], X[:, :2])
    np.testing.assert_array_equal(batch.values[0], np.arange(8))
    np.testing.assert_array_equal(found.labels, np.arange(8))


def test_the_likelihood_is_that_of_the_hidden_entries_alone():
    data = completion_splits(SPLITS, HIDDEN).train
    model = vae.models.regression(data.spec, hidden=(3,), likelihood="normal", std=1.0)
    trained = vae.Trained(model, *model.init(KEY), spec=data.spec)
    batch = prepared(data, KEY, jnp.asarray(X))
    context = jax.tree.map(lambda leaf: leaf[0], batch.context)
    likelihood = trained.infer(batch.x[0], context)(KEY).likelihood
    by_hand = -0.5 * (X[0] - np.asarray(likelihood.mean)) ** 2 - 0.5 * np.log(2 * np.pi)
    assert float(likelihood.log_prob(batch.x[0])) == pytest.approx(by_hand[HIDDEN].sum(), rel=1e-5)


@pytest.mark.parametrize("hidden", [np.ones(4, bool), np.zeros(4, bool), np.ones(3, bool), np.array([1, 0, 1, 0])])
def test_masks_that_hide_nothing_all_or_other_entries_are_refused(hidden):
    with pytest.raises(ValueError, match="wanted booleans of the shape"):
        completion_splits(SPLITS, hidden)


def test_data_with_missing_entries_are_refused():
    masked = vae.data.array_splits(
        np.where(np.arange(80).reshape(20, 4) % 7 == 0, np.nan, np.arange(80).reshape(20, 4)), missing="mask"
    )
    with pytest.raises(ValueError, match="data with missing entries; wanted whole examples"):
        completion_splits(masked, HIDDEN)
