"""What is easily written in the place of what was meant: refused before a step is taken, saying what to write."""

import numpy as np
import optax
import pytest
from tiny_run import EXPERIMENT, SPLITS, X, fit

import vae
from vae.data import Split, Splits, feed, from_splits
from vae.training.planning import planned

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1)).astype(np.uint8)
DATASET = from_splits("small", dict.fromkeys(("train", "validation", "test"), Split(PIXELS)))
NETWORKS = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[4], likelihood="normal")


def conditional(x, classes):
    """A feed whose examples carry a one-hot context."""
    return feed((x, np.eye(classes, dtype=np.float32)[np.arange(len(x)) % classes]), lambda key, stored: stored)


@pytest.mark.parametrize("optimiser", [optax.adam, optax.sgd, {"posterior": optax.adam(1e-3), "generative": optax.adamw}])
def test_an_optimiser_without_its_learning_rate(optimiser):
    message = r"the optimiser \w+ was called with the settings and failed .*; wanted an optax transformation, such as"
    with pytest.raises(TypeError, match=message):
        planned(EXPERIMENT._replace(optimiser=optimiser)).start()


@pytest.mark.parametrize("objective", [vae.elbo, vae.objectives.importance_weighted, vae.objectives.by_feed])
def test_an_objective_without_brackets(objective):
    with pytest.raises(
        TypeError, match=rf"the objective is the function (\w+) itself; .*: write {objective.__name__}\(\.\.\.\)"
    ):
        planned(EXPERIMENT._replace(objective=objective))


def test_nothing_in_the_place_of_a_function_that_stops():
    with pytest.raises(TypeError, match=r"stop is None; wanted a function of the records, such as vae.training.patience\(5\)"):
        fit(stop=None)


@pytest.mark.parametrize("arrays", [DATASET, SPLITS, feed(X)])
def test_what_holds_splits_in_the_place_of_arrays(arrays):
    message = rf"the arrays of a feed are a {type(arrays).__name__}; .*data=vae.data.image_splits\(dataset\)"
    with pytest.raises(TypeError, match=message):
        feed(arrays)
    if not isinstance(arrays, vae.data.Feed):
        with pytest.raises(TypeError, match=message):
            planned(EXPERIMENT._replace(data=Splits(train=arrays)))


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (Splits(X, X[:, :3]), r"the validation data has x of shape \(3,\) and no context, .* training data x of shape \(4,\)"),
        (Splits(X, X, X[:, :3]), r"the test data has x of shape \(3,\)"),
        (
            Splits(conditional(X, 5), X),
            r"validation data has x of shape \(4,\) and no context, .* and a context of shape \(5,\)",
        ),
        (Splits(X, conditional(X, 5)), r"validation data has .* a context of shape \(5,\), .* no context"),
        (Splits(conditional(X, 5), None, conditional(X, 3)), r"a context of shape \(3,\), .* a context of shape \(5,\)"),
    ],
)
def test_data_of_other_shapes_to_validate_on(splits, message):
    with pytest.raises(ValueError, match=message):
        planned(EXPERIMENT._replace(data=splits, model=NETWORKS))


def test_a_validation_may_be_like_any_of_several_feeds():
    feeds = {"labelled": conditional(X, 5), "plain": feed(X)}
    sizes = {"labelled": 4, "plain": 10}
    for validation in feeds.values():
        assert planned(EXPERIMENT._replace(data=Splits(feeds, validation), batch_size=sizes)).splits.validation is validation


def test_a_model_that_was_built_for_other_data():
    """Networks know the shapes of their parameters alone; what flax says of them comes with what to do."""
    model = vae.models.mlp(conditional(X, 5).spec, latent_dim=2, hidden=[4], likelihood="normal")
    message = r"got inputs of shapes \(4,\), for which it was not made \(.*\); build the model for the data that it sees"
    with pytest.raises(ValueError, match=message) as caught:
        fit(model=model)
    assert "http" not in str(caught.value)


def test_arrays_are_splits_without_labels_wherever_splits_are_meant():
    bare = from_splits("small", dict.fromkeys(("train", "validation", "test"), PIXELS))
    assert bare.sha256 == DATASET.sha256
    shown = vae.data.image_splits(DATASET._replace(validation=PIXELS))
    np.testing.assert_array_equal(shown.validation.arrays, vae.data.image_splits(DATASET).validation.arrays)
    trained = fit(steps=1).trained
    for given, same in ((Splits(X, test=X[:5]), Splits(feed(X), test=feed(X[:5]))), (Splits(X, X[:5]), Splits(X, test=X[:5]))):
        found, wanted = (
            vae.reports.evaluate(vae.Trained(trained.model, trained.params, spec=trained.spec), splits, samples=2)
            for splits in (given, same)
        )
        assert found == wanted


@pytest.mark.parametrize("data", [X[:, 0], {"x": X, "label": np.arange(len(X))}])
def test_what_is_no_array_for_each_example(data):
    with pytest.raises(ValueError, match=r"an example of the data has shape \(\), .*; wanted .* vae.data.array_splits"):
        planned(EXPERIMENT._replace(data=data, model=NETWORKS))


def test_lists_of_numbers_are_arrays():
    assert planned(EXPERIMENT._replace(data=X.tolist())).spec.shape == (4,)
    with pytest.raises(ValueError, match="the data are a list of rows of different lengths; wanted rows alike: pad them"):
        planned(EXPERIMENT._replace(data=[[1.0], [1.0, 2.0]]))
