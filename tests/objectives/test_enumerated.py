"""A discrete group summed out: held against brute force, with the terms, the gradients and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import vae
from vae import objectives
from vae.distributions import Bernoulli, Categorical, Normal, standard_normal
from vae.settings import Settings
from vae.types import Batch, Carried

KEY = jax.random.key(0)
CLASSES = 3
X = jnp.asarray((np.random.default_rng(0).normal(size=(5, 4)) > 0).astype(np.float32))
MODEL = toys.labelled(CLASSES)
PARAMS, _ = MODEL.init(jax.random.key(1))
ENUMERATED = vae.elbo(monitors=(), expectation=objectives.enumerated(CLASSES))
KNOWN = (jnp.asarray([0, 2, 1, 1, 0], jnp.int32), None)


def batch(values=()):
    return Batch(x=X, context=(), weight=jnp.ones(len(X)), values=values)


def loss(objective, params=PARAMS, values=(), key=KEY, settings=None):
    carried, numbers = Carried((), objective.init(KEY)[1]), Settings(settings or {}, training=True)
    return jax.jit(lambda params, key: objective.loss(params, carried, key, batch(values), numbers, MODEL))(params, key)


def elements(params, x, y, z):
    """Every term of log p(x, y, z) - log q(y, z | x), by hand."""
    seen = jnp.concatenate([x, jax.nn.one_hot(y, CLASSES)])
    q = Normal(params["posterior"]["code"] @ seen, jnp.full(2, -1.0))
    logits = params["generative"]["decoder"] @ jnp.concatenate([z, jax.nn.one_hot(y, CLASSES)])
    log_q_y = Categorical(params["posterior"]["label"] @ x).log_prob(jnp.asarray(y))
    parts = Bernoulli(logits).log_prob(x) - jnp.log(CLASSES) - log_q_y
    return parts + standard_normal(2).log_prob(z) - q.log_prob(z), jnp.exp(log_q_y), q


@pytest.fixture(scope="module")
def by_quadrature():
    """The exact bound of every example: all classes, and z by Gauss-Hermite quadrature in two dimensions."""
    points, weights = np.polynomial.hermite_e.hermegauss(24)
    grid = jnp.asarray(np.stack(np.meshgrid(points, points), axis=-1).reshape(-1, 2), jnp.float32)
    mass = jnp.asarray(np.outer(weights, weights).reshape(-1) / (2 * np.pi), jnp.float32)

    @jax.jit
    def bound(params, x):
        total = 0.0
        for y in range(CLASSES):
            _, share, q = elements(params, x, y, jnp.zeros(2))
            at = jax.vmap(lambda point, y=y, q=q: elements(params, x, y, q.mean + jnp.exp(q.log_std) * point)[0])(grid)
            total += share * (mass @ at)
        return total

    return lambda params=PARAMS: jax.vmap(lambda x: bound(params, x))(X)


@pytest.fixture(scope="module")
def many():
    """Losses and terms of many keys."""
    keys = jax.random.split(jax.random.key(2), 400)
    return jax.jit(jax.vmap(lambda key: (loss(ENUMERATED, key=key)[0], loss(ENUMERATED, key=key)[1][0])))(keys)


def test_its_mean_is_the_bound_by_brute_force(many, by_quadrature):
    values = -np.asarray(many[0], np.float64)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - np.mean(by_quadrature())) < 4.5 * error
    assert error < 0.02, "a loose test would hold for anything"


def test_the_rate_of_the_class_is_its_kl_without_noise(many):
    q = jax.nn.softmax(X @ PARAMS["posterior"]["label"].T)
    exact = jnp.sum(q * (jnp.log(q) + jnp.log(CLASSES)), axis=1)
    rates = np.asarray(many[1].rates[0]).reshape(400, 5)
    np.testing.assert_allclose(rates, np.broadcast_to(exact, rates.shape), rtol=1e-4)
    sampled = loss(vae.elbo(objectives.log_ratio, monitors=(), expectation=objectives.enumerated(CLASSES)))[1][0]
    np.testing.assert_allclose(sampled.rates[0], exact, rtol=1e-4)


def test_its_gradient_is_that_of_the_bound(by_quadrature):
    """Every parameter's: that of q(y | x) gets the whole of it, though no draw of y is differentiable."""
    keys = jax.random.split(jax.random.key(3), 1000)
    gradients = jax.jit(jax.vmap(lambda key: jax.grad(lambda p: loss(ENUMERATED, p, key=key)[0])(PARAMS)))(keys)
    exact = jax.jit(jax.grad(lambda p: -jnp.mean(by_quadrature(p))))(PARAMS)

    def near(found, wanted):
        error = np.asarray(found).std(axis=0, ddof=1) / np.sqrt(len(keys))
        np.testing.assert_array_less(np.abs(np.mean(found, axis=0) - wanted), 5 * error + 2e-5)

    jax.tree.map(near, gradients, exact)


def test_draws_of_the_class_and_of_the_code_have_the_same_mean(many):
    trained = vae.Trained(MODEL, PARAMS)
    x = jnp.tile(X, (2000, 1))
    terms = vae.evaluation.elbo_terms(trained, x, KEY)
    values = np.asarray(terms.log_likelihood - objectives.total_rate(terms), np.float64).reshape(2000, 5).mean(axis=1)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() + np.mean(many[0])) < 5 * np.hypot(error, np.std(many[0]) / 20)


def test_free_bits_and_beta_reach_the_means_over_the_classes():
    _, (terms, _) = loss(ENUMERATED)
    weighed = float(loss(ENUMERATED, settings={"beta": 2.0})[0])
    expected = -jnp.mean(terms.log_likelihood) + 2.0 * jnp.mean(objectives.total_rate(terms))
    assert weighed == pytest.approx(float(expected), rel=1e-5)
    free = vae.elbo(rate_term=objectives.free_bits(50.0), monitors=(), expectation=objectives.enumerated(CLASSES))
    assert float(loss(free)[0]) == pytest.approx(float(-jnp.mean(terms.log_likelihood) + 100.0), rel=1e-5)


@pytest.mark.slow
def test_an_objective_for_each_feed_learns_from_labels_where_there_are_any():
    objective = objectives.by_feed(
        {"known": vae.elbo(regularisers=[objectives.classification(0.5)], monitors=()), "unknown": ENUMERATED}
    )
    carried = Carried((), objective.init(KEY)[1])
    settings = Settings({"known": 2.0}, training=True)
    both = {"known": batch(KNOWN), "unknown": batch()}
    total, (_, aux) = jax.jit(lambda params: objective.loss(params, carried, KEY, both, settings, MODEL))(PARAMS)
    parts = [
        loss(each, values=values, key=jax.random.fold_in(KEY, i))[0]
        for i, (each, values) in enumerate([(vae.elbo(monitors=()), KNOWN), (ENUMERATED, ())])
    ]
    crossed = -jnp.mean(jax.vmap(lambda x, y: Categorical(PARAMS["posterior"]["label"] @ x).log_prob(y))(X, KNOWN[0]))
    assert float(aux["metrics"]["known/classification"]) == pytest.approx(float(crossed), rel=1e-5)
    assert float(total) == pytest.approx(float(2.0 * (parts[0] + 0.5 * crossed) + parts[1]), rel=1e-4)


def test_the_term_of_the_classifier_reaches_the_classifier_alone():
    objective = vae.elbo(regularisers=[objectives.classification()], monitors=())
    settings = {"likelihood": 0.0, "beta": 0.0}
    gradient = jax.grad(lambda p: loss(objective, p, KNOWN, settings=settings)[0])(PARAMS)
    residual = jax.nn.softmax(X @ PARAMS["posterior"]["label"].T) - jax.nn.one_hot(KNOWN[0], CLASSES)
    np.testing.assert_allclose(gradient["posterior"]["label"], residual.T @ X / len(X), atol=1e-6)
    assert not np.any(gradient["posterior"]["code"])
    assert not np.any(gradient["generative"]["decoder"])
    plain = jax.grad(lambda p: loss(vae.elbo(monitors=()), p, KNOWN)[0])(PARAMS)
    assert not np.any(plain["posterior"]["label"]), "the bound on log p(x, y) alone teaches it nothing"


@pytest.mark.parametrize(
    ("expectation", "values", "error", "said"),
    [
        (objectives.enumerated(4), (), ValueError, r"4 values for group 0, whose posterior has logits of shape \(3,\)"),
        (objectives.enumerated(3, group=2), (), ValueError, "group 2 of a model with 2 latent groups"),
        (objectives.enumerated(3), KNOWN, ValueError, "group 0, whose value the batch gives"),
        (objectives.enumerated(jnp.zeros((3, 2)), group=1), (), TypeError, "posterior Normal; wanted one of classes"),
        (objectives.one_draw, (), TypeError, "draws of the posterior Categorical pass no gradient back"),
    ],
)
def test_what_cannot_be_summed_is_refused(expectation, values, error, said):
    with pytest.raises(error, match=said):
        loss(vae.elbo(expectation=expectation), values=values)
    with pytest.raises(ValueError, match="wanted at least one value"):
        objectives.enumerated(0)


def test_the_classifiers_term_needs_an_observed_group():
    with pytest.raises(ValueError, match="batch in which no latent group is observed"):
        loss(vae.elbo(regularisers=[objectives.classification()], expectation=objectives.enumerated(CLASSES)))
