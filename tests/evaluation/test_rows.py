"""What does not fit the model is refused in one sentence, before anything is traced; what fits gives one row for one row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from conditional import CLASSES, SHAPE, conditional
from unchecked import unchecked

from vae.evaluation import annealed_evidence, elbo_terms, encode, generate, importance_sampled_evidence, simulate
from vae.evaluation.aggregate import posteriors_of
from vae.evaluation.anomaly_scores import model_scores
from vae.evaluation.gaps import fitted_bounds
from vae.evaluation.report import report
from vae.evaluation.rows import require_context, require_examples, rows_of
from vae.spec import Data
from vae.trained import Trained

KEY = jax.random.key(0)
LABELLED = conditional()
PLAIN = conditional(context=())
X = jnp.asarray(np.random.default_rng(0).integers(0, 2, (6, *SHAPE)), jnp.float32)
LABELS = jax.nn.one_hot(jnp.arange(6) % CLASSES, CLASSES)
MODEL = toys.linear_gaussian()
UNKNOWN = Trained(MODEL, MODEL.init(KEY)[0])


@pytest.mark.parametrize(
    ("trained", "context", "sentence"),
    [
        (
            LABELLED,
            (),
            r"the model is conditioned on a context of shape \(3,\) and got none; pass context= with a row for each",
        ),
        (PLAIN, LABELS, r"the model takes no context and got one of shape \(6, 3\); leave context= out"),
        (LABELLED, {"label": LABELS}, r"made of \{'label': \(6, 3\)\}; wanted the structure .* built for, \(3,\) behind"),
        (
            LABELLED,
            LABELS[:, :2],
            r"the context has shape \(6, 2\); wanted rows of shape \(3,\), for which the model was built",
        ),
        (LABELLED, jnp.zeros(3), r"the context has shape \(3,\); wanted rows of shape \(3,\), .* behind an axis of rows"),
        (LABELLED, LABELS[:4], r"the context has shape \(4, 3\); wanted a leading axis of 6, a row of the context for each"),
        (UNKNOWN, LABELS[:4], r"the context has shape \(4, 3\); wanted a leading axis of 6"),
    ],
)
def test_a_context_that_does_not_fit_is_refused(trained, context, sentence):
    with pytest.raises(ValueError, match=sentence):
        require_context(trained, context, 6)


@pytest.mark.parametrize(
    ("trained", "x", "sentence"),
    [
        (PLAIN, X[..., 0], r"an example of x has shape \(4, 3\); wanted \(4, 3, 1\), for which the model was built"),
        (PLAIN, X[0], r"an example of x has shape \(3, 1\); wanted \(4, 3, 1\)"),
        (
            UNKNOWN,
            (jnp.zeros((5, 2)), jnp.zeros((4, 2))),
            r"x has shape \(\(5, 2\), \(4, 2\)\); wanted a leading axis of examples",
        ),
        (UNKNOWN, (), r"x has shape \(\); wanted a leading axis of examples"),
        (UNKNOWN, 1.0, r"x has shape \(\); wanted a leading axis of examples"),
    ],
)
def test_examples_that_do_not_fit_are_refused(trained, x, sentence):
    with pytest.raises(ValueError, match=sentence):
        require_examples(trained, x)


OF_PAIRS = UNKNOWN.replace(spec=Data(shape=(), space="real"))


@pytest.mark.parametrize(
    ("fitting", "other"),
    [
        ((LABELLED, X, LABELS), (LABELLED, X, LABELS[:-1])),
        ((PLAIN, np.asarray(X)), (PLAIN, np.asarray(X)[0])),
        ((UNKNOWN, jnp.zeros((5, 2)), jnp.zeros((5, 7))), (UNKNOWN, jnp.zeros((5, 2)), jnp.zeros((4, 7)))),
        ((OF_PAIRS, (jnp.zeros((5, 2)), jnp.zeros((5, 3)))), (OF_PAIRS, (jnp.zeros((5, 2)), jnp.zeros((4, 3))))),
    ],
)
def test_what_fits_passes_and_its_neighbour_does_not(fitting, other):
    assert require_examples(*fitting) is None
    with pytest.raises(ValueError, match="wanted"):
        require_examples(*other)


@pytest.mark.parametrize(
    ("key", "kind", "said"),
    [
        (0, TypeError, r"the key is 0; wanted one of jax.random.key: write jax.random.key\(0\)"),
        (None, TypeError, "the key is None"),
        (np.int32(3), TypeError, r"the key is an array of int32 of shape \(\)"),
        (jax.random.split(jax.random.key(0)), ValueError, r"got \(2,\) keys; wanted one"),
    ],
)
def test_what_is_no_key_is_refused(key, kind, said):
    calls = {
        "terms": lambda: elbo_terms(PLAIN, X, key),
        "report": lambda: report(PLAIN, X, key, samples=2),
        "prior": lambda: generate.sample_prior(PLAIN, key, 3),
        "aggregate": lambda: generate.sample_aggregate(PLAIN, X, key, 3),
        "simulate": lambda: simulate(PLAIN, key, 3),
        "below": lambda: generate.traverse(PLAIN, (jnp.zeros(2),), np.arange(1), jnp.zeros(2), key),
    }
    calls |= {} if key is not None else {"below": calls["terms"]}  # a traversal of the last group needs none
    for call in calls.values():
        with unchecked(), pytest.raises(kind, match=said):
            call()


@pytest.mark.parametrize(
    "evaluate",
    [
        elbo_terms,
        encode,
        annealed_evidence,
        posteriors_of,
        model_scores,
        fitted_bounds,
        generate.reconstruct,
        generate.codes_of,
        lambda *given: importance_sampled_evidence(*given, samples=2),
        lambda *given: report(*given, samples=2),
        lambda *given: generate.sample_aggregate(*given, 4),
    ],
)
def test_everything_that_takes_examples_asks(evaluate):
    with pytest.raises(ValueError, match="the model is conditioned on a context"):
        evaluate(LABELLED, X, KEY)
    with pytest.raises(ValueError, match="an example of x has shape"):
        evaluate(PLAIN, X[:, 0], KEY)


# Contexts are rows


def test_the_rows_of_the_context_are_the_samples():
    (values,) = generate.sample_prior(LABELLED, KEY, context=LABELS)
    assert values.shape == (6, 2)
    np.testing.assert_array_equal(values, generate.sample_prior(LABELLED, KEY, 6, context=LABELS)[0])
    images = generate.decode_means(LABELLED, (values,), context=LABELS)
    by_hand = [LABELLED.decode((z,), c).mean for z, c in zip(values, LABELS)]
    np.testing.assert_allclose(images, by_hand, rtol=1e-5)


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: generate.sample_prior(LABELLED, KEY, 4, context=LABELS), "the numbers of rows differ: number 4, context 6;"),
        (
            lambda: simulate(LABELLED, KEY, 4, context=LABELS),
            "the numbers of rows differ: number 4, context 6; wanted equal ones",
        ),
        (
            lambda: generate.sample_prior(PLAIN, KEY),
            "nothing says how many rows are wanted; pass number=, or rows of context or",
        ),
        (lambda: generate.sample_prior(PLAIN, KEY, 0), "number is 0; wanted at least 1"),
        (lambda: generate.sample_prior(LABELLED, KEY, 4), "the model is conditioned on a context"),
        (lambda: generate.decode_means(LABELLED, (jnp.zeros((5, 2)),), context=LABELS), r"wanted a leading axis of 5"),
        (lambda: generate.sample_prior(PLAIN, KEY, 4, values=(jnp.zeros((5, 2)),)), "number 4, values 5"),
        (lambda: generate.interpolate(LABELLED, (jnp.zeros((2, 2)),), (jnp.ones((2, 2)),), 3, context=LABELS), "axis of 2"),
        (lambda: generate.traverse(LABELLED, (jnp.zeros(2),), np.arange(2), jnp.ones(3)), "is conditioned on a context"),
    ],
)
def test_numbers_that_differ_are_refused(draw, sentence):
    with pytest.raises(ValueError, match=sentence):
        draw()


def test_the_rows_that_everything_agrees_on():
    assert rows_of(3) == rows_of(None, a=(), b=jnp.zeros((3, 2))) == rows_of(3, a={"c": jnp.zeros(3)}) == 3


def test_values_that_are_given_are_kept():
    given = jnp.asarray([[1.0], [2.0]])
    model = toys.two_groups(bottom_up=False)
    z2, z1 = generate.sample_prior(Trained(model, model.init(KEY)[0]), KEY, values=(given, None))
    np.testing.assert_array_equal(z2, given)
    assert z1.shape == (2, 1)


def test_examples_are_evaluated_under_their_own_context():
    terms = elbo_terms(LABELLED, X, KEY, context=LABELS)
    alone = elbo_terms(LABELLED, X[:1], KEY, context=LABELS[:1])
    other = elbo_terms(LABELLED, X[:1], KEY, context=LABELS[1:2])
    np.testing.assert_allclose(terms.log_likelihood[0], alone.log_likelihood[0], rtol=1e-5)
    assert abs(float(terms.log_likelihood[0] - other.log_likelihood[0])) > 1e-3


def test_a_number_is_no_rows():
    with pytest.raises(ValueError, match="context is 3; wanted rows, an array with a leading axis of samples"):
        rows_of(None, context=3)
