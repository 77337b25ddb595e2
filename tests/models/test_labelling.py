"""The class as a latent group around any model, and data of which few examples have one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae
from vae import models, objectives
from vae.data.supervision import semi_supervised_splits
from vae.distributions import Categorical
from vae.evaluation import accuracy, most_probable
from vae.evaluation.examples import Examples
from vae.models.labelling import beside
from vae.networks import mlp
from vae.settings import Settings
from vae.spec import Data

KEY, CLASSES, SHAPE = jax.random.key(0), 3, (5,)
DATA = Data(shape=SHAPE, space="binary")
X = jnp.asarray(np.random.default_rng(0).integers(0, 2, (6, 5)), jnp.float32)


def small(data=DATA, **changed):
    return models.semi_supervised(data, **({"classes": CLASSES, "latent_dim": 2, "hidden": (4,)} | changed))


MODEL = small()
PARAMS, STATE = MODEL.init(KEY)


def trace_of(values=(), x=X[0], key=KEY):
    return jax.jit(MODEL.infer(PARAMS, STATE, x, (), Settings()))(key, values)


def test_the_class_comes_first_and_the_code_depends_on_it():
    drawn = trace_of()
    label, code = drawn.latents
    assert isinstance(label.posterior, Categorical)
    assert label.value.dtype == jnp.int32
    means = [trace_of((jnp.asarray(y, jnp.int32),)).latents[1].posterior.mean for y in range(CLASSES)]
    assert np.ptp(np.asarray(means), axis=0).min() > 1e-3, "another class, another code"
    kept = trace_of((label.value, code.value), key=jax.random.key(9))
    assert kept.latents[0].log_q == label.log_q
    np.testing.assert_allclose(kept.latents[1].log_q, code.log_q, rtol=1e-5)
    np.testing.assert_allclose(kept.likelihood.logits, drawn.likelihood.logits, rtol=1e-5)
    decoded = MODEL.decode(PARAMS, STATE, (label.value, code.value), ())
    np.testing.assert_allclose(decoded.logits, drawn.likelihood.logits, rtol=1e-5)


def test_the_prior_draws_all_classes_and_keeps_the_one_that_is_given():
    trained = vae.Trained(MODEL, PARAMS, STATE, spec=DATA)
    labels, codes = vae.evaluation.generate.sample_prior(trained, KEY, 3000)
    counts = np.bincount(labels, minlength=CLASSES)
    assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(3000 * 2 / 9))
    assert codes.shape == (3000, 2)
    given = jnp.asarray([2, 0], jnp.int32)
    kept, _ = vae.evaluation.generate.sample_prior(trained, KEY, values=(given, None))
    np.testing.assert_array_equal(kept, given)


def test_a_group_within_is_scored_as_the_model_within_scores_it():
    """The model within, with the class in its context, gives the rest of the trace."""
    within_data = models.with_label(DATA, CLASSES)
    within = models.conditional(within_data, latent_dim=2, hidden=(4,))
    model = models.labelled(within, mlp((), (CLASSES,)), CLASSES, DATA)
    params, state = model.init(KEY)
    own = {player: params[player]["model"] for player in ("posterior", "generative")}
    y = jnp.asarray(1, jnp.int32)
    whole = jax.jit(model.infer(params, state, X[0], (), Settings()))(KEY, (y,))
    (code,) = whole.latents[1:]
    part = within.infer(own, state["model"], X[0], jax.nn.one_hot(y, CLASSES), Settings())(KEY, (code.value,))
    np.testing.assert_allclose(part.latents[0].log_q, code.log_q, rtol=1e-5)
    np.testing.assert_allclose(part.latents[0].prior.mean, code.prior.mean, rtol=1e-5)
    assert np.any(code.prior.mean != 0), "its prior sees the class"


def test_the_context_that_was_there_stays():
    label = jnp.ones(3)
    assert beside((), label) is label
    assert beside(jnp.zeros(2), label)[1] is label
    masked = beside({"observed": jnp.ones(5, bool)}, label)
    assert masked["given"] is label
    assert set(masked) == {"observed", "given"}
    assert beside({"observed": jnp.ones(5, bool), "given": jnp.zeros(2)}, label)["given"][1] is label


@pytest.mark.parametrize(
    "data",
    [
        Data(SHAPE, "real", mean=jnp.ones(5), scale=2.0 * jnp.ones(5)),
        Data(SHAPE, "binary", context={"observed": jax.ShapeDtypeStruct(SHAPE, bool)}),
        Data(SHAPE, "tokens", tokens=4, context=jax.ShapeDtypeStruct((2,), jnp.float32)),
    ],
)
def test_it_takes_what_every_model_of_data_takes(data):
    """Units, missing entries, tokens and a context, traced without computing anything."""
    model = small(data)
    x, context = jnp.zeros(SHAPE, jnp.int32 if data.space == "tokens" else jnp.float32), data.context

    def bound(context):
        params, state = model.init(KEY)
        trace = model.infer(params, state, x, context, Settings({}, training=True))(KEY)
        model.update(state, jax.tree.map(lambda leaf: leaf[None], trace.statistics), KEY)
        return objectives.log_weight(trace, x)

    assert jax.eval_shape(bound, context).shape == ()


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="labelled got 1 classes; wanted at least 2"):
        models.labelled(MODEL, mlp((), (1,)), 1, DATA)
    with pytest.raises(ValueError, match="stochastic classifier; wanted one without dropout"):
        models.labelled(MODEL, mlp((4,), (3,), dropout=0.5), 3, DATA)


# Data


def splits(labels=None, test=None):
    rng = np.random.default_rng(1)
    labels = np.tile(np.arange(CLASSES), 20) if labels is None else np.asarray(labels)
    centres = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [1, 0, 0, 1, 1]])

    def of(labels):
        flips = rng.random((len(labels), 5)) < 0.05
        return vae.data.feed((centres[labels % CLASSES] ^ flips).astype(np.float32), labels=labels)

    test = labels[:30] if test is None else np.asarray(test)
    return vae.data.Splits(of(labels), validation=of(test), test=of(test))


def test_equally_many_of_each_class_keep_their_label_the_fewer_among_the_more():
    whole = splits()
    few, more = (semi_supervised_splits(whole, n).train["labelled"] for n in (6, 15))
    assert np.bincount(few.labels).tolist() == [2, 2, 2]
    assert {row.tobytes() for row in np.asarray(few.arrays[0])} <= {row.tobytes() for row in np.asarray(more.arrays[0])}
    other = semi_supervised_splits(whole, 6, draw=1).train["labelled"]
    assert not np.array_equal(other.arrays[0], few.arrays[0])
    x, context, (label,) = few.prepare(KEY, few.arrays)
    np.testing.assert_array_equal(label, few.labels)
    assert context == ()
    assert semi_supervised_splits(whole, 6).train["unlabelled"] is whole.train
    assert x.shape == (6, 5)


@pytest.mark.parametrize(
    ("data", "labels", "said"),
    [
        (partial(splits), 7, "labels is 7; wanted a multiple of the 3 classes"),
        (partial(splits), 0, "labels is 0"),
        (partial(splits), 63, "21 of each class, but class 0 has 20 examples"),
        (partial(splits, np.tile([0, 2], 20)), 4, "training labels are .0, 2.; wanted all classes from 0"),
        (partial(splits, None, np.tile([0, 5], 5)), 6, r"validation split has the class \[5\], which no training example has"),
        (lambda: vae.data.Splits(vae.data.feed(np.asarray(X))), 6, "train split has no classes as labels"),
    ],
)
def test_data_without_such_classes_are_refused(data, labels, said):
    with pytest.raises(ValueError, match=said):
        semi_supervised_splits(data(), labels)


@pytest.fixture(scope="module")
def fitted():
    objective = {
        "labelled": vae.elbo(regularisers=[objectives.classification()]),
        "unlabelled": vae.elbo(expectation=objectives.enumerated(CLASSES)),
    }
    experiment = vae.Experiment(
        data=semi_supervised_splits(splits(), 6),
        model=vae.reference_to(models.semi_supervised, classes=CLASSES, latent_dim=1, hidden=[8]),
        steps=150,
        objective=objectives.by_feed(objective),
        batch_size={"labelled": 6, "unlabelled": 20},
        settings={"learning_rate": 2e-2, "classification": 5.0},
    )
    return vae.fit(experiment, host=vae.Host(log_every=50, progress=False))


@pytest.mark.slow  # a training
def test_six_labels_and_many_examples_without_tell_the_classes_apart(fitted):
    whole = splits()
    examples = Examples(jnp.asarray(whole.test.arrays), (), whole.test.labels, ())
    assert accuracy(fitted.trained, examples) > 0.9
    untrained = fitted.trained.replace(params=fitted.trained.model.init(jax.random.key(5))[0])
    assert accuracy(untrained, examples) < 0.9
    found = most_probable(fitted.trained, examples.x, KEY)
    assert found.shape == (30,)
    with pytest.raises(TypeError, match="group 1 has the posterior Normal, which is not of classes"):
        most_probable(fitted.trained, examples.x, KEY, group=1)
    with pytest.raises(ValueError, match="2 latent groups; wanted group 2"):
        most_probable(fitted.trained, examples.x, KEY, group=2)
    with pytest.raises(ValueError, match="accuracy got examples without labels"):
        accuracy(fitted.trained, examples._replace(labels=None))


@pytest.mark.slow  # as above
def test_its_evaluation_claims_a_bound_of_examples_without_labels(fitted):
    numbers = vae.reports.evaluation.evaluate(fitted.trained, splits(), samples=5, limit=20)
    assert numbers["elbo"] is not None
    assert numbers["nll"] <= -numbers["elbo"] + 1.0
    assert len(numbers["kl_per_dimension"]) == 2
