"""Observed groups: a bound on log p(x, value), held against the exact joint density; and objectives of several feeds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy.stats import multivariate_normal

import vae
from vae import objectives
from vae.objectives.observed import merged
from vae.settings import Settings
from vae.types import Batch, Carried

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(6, 1)).astype(np.float32)
ANCESTOR = np.random.default_rng(1).normal(size=(6, 1)).astype(np.float32)
SETTINGS = Settings(training=True)


def batch(values=()):
    return Batch(x=jnp.asarray(X), context=(), weight=jnp.ones(len(X)), values=values)


def loss_of(objective, given, model=None, params=None):
    model = toys.two_groups(bottom_up=False) if model is None else model
    params, state = (params, ()) if params is not None else model.init(KEY)
    carried = Carried(state, objective.init(KEY)[1])
    return jax.jit(lambda params, given: objective.loss(params, carried, KEY, given, SETTINGS, model))(params, given)


def log_joint():
    """log p(x, z2) of every example, by SciPy: (x, z2) is Gaussian."""
    covariance = [[toys.A**2 + toys.T**2 + toys.S**2, toys.A], [toys.A, 1.0]]
    return multivariate_normal([0, 0], covariance).logpdf(np.concatenate([X, ANCESTOR], axis=1))


@pytest.mark.parametrize("samples", [1, 3])
def test_with_the_exact_posterior_of_the_rest_every_weight_is_the_joint_density(samples):
    """q(z1 | x, z2) of this model is exact, so that log w = log p(x, z2) whatever is drawn."""
    loss, (terms, _) = loss_of(objectives.importance_weighted(samples), batch((jnp.asarray(ANCESTOR), None)))
    assert -float(loss) == pytest.approx(log_joint().mean(), rel=1e-5)
    np.testing.assert_allclose(terms.rates[0], -multivariate_normal(0, 1).logpdf(ANCESTOR[:, 0]), rtol=1e-5)


def test_the_bound_in_closed_form_is_the_joint_density_on_average():
    def loss(key):
        objective = vae.elbo()
        model = toys.two_groups(bottom_up=False)
        params, state = model.init(KEY)
        return objective.loss(params, Carried(state, ()), key, batch((jnp.asarray(ANCESTOR), None)), SETTINGS, model)[0]

    losses = np.asarray(jax.jit(jax.vmap(loss))(jax.random.split(KEY, 2000)), np.float64)
    error = losses.std(ddof=1) / np.sqrt(len(losses))
    assert abs(-losses.mean() - log_joint().mean()) < 5 * error


def test_what_is_not_observed_changes_nothing():
    for values in ((), (None,), (None, None)):
        assert loss_of(vae.elbo(), batch(values))[0] == loss_of(vae.elbo(), batch())[0]


def test_more_values_than_groups_are_refused():
    with pytest.raises(ValueError, match="values for 3 latent groups, but the model has 2"):
        loss_of(vae.elbo(), batch((jnp.asarray(ANCESTOR), None, jnp.asarray(ANCESTOR))))


def test_observed_values_come_before_chosen_ones():
    assert merged((1, None), (5, 6)) == (1, 6)
    assert merged((1,), (5, 6, 7)) == (1, 6, 7)
    assert merged((None, 2), ()) == (None, 2)


def test_the_validation_of_observed_groups_is_the_joint_bound_too():
    model = toys.two_groups(bottom_up=False)
    trained = vae.Trained(model, *model.init(KEY))
    values = (jnp.asarray(ANCESTOR), None)
    found = vae.evaluation.elbo_terms(trained, jnp.asarray(X), KEY, values=values, rates=objectives.log_ratio)
    bound = found.log_likelihood - objectives.total_rate(found)
    np.testing.assert_allclose(bound, log_joint(), rtol=1e-5)


LABELLED = {"labelled": vae.elbo(objectives.log_ratio), "unlabelled": objectives.importance_weighted(2)}


@pytest.mark.slow
def test_the_losses_of_feeds_add_up_with_their_weights():
    objective = objectives.by_feed(LABELLED)
    both = {"labelled": batch((jnp.asarray(ANCESTOR), None)), "unlabelled": batch()}
    model = toys.two_groups(bottom_up=False)
    params, state = model.init(KEY)
    carried = Carried(state, objective.init(KEY)[1])

    def total(params, weight):
        return objective.loss(params, carried, KEY, both, Settings({"labelled": weight}, training=True), model)[0]

    def alone(params, name):
        key = jax.random.fold_in(KEY, list(LABELLED).index(name))
        return LABELLED[name].loss(params, Carried(state, ()), key, both[name], SETTINGS, model)[0]

    graded = jax.jit(jax.value_and_grad(alone), static_argnums=1)
    expected = jax.tree.map(lambda a, b: 3.0 * a + b, *(graded(params, name) for name in ("labelled", "unlabelled")))
    jax.tree.map(
        lambda found, wanted: np.testing.assert_allclose(found, wanted, rtol=1e-5),
        jax.jit(jax.value_and_grad(total))(params, 3.0),
        expected,
    )


@pytest.mark.slow
def test_players_of_one_feed_are_paid_by_the_other_too():
    objective = objectives.by_feed({"a": vae.elbo(), "b": objectives.partially_importance_weighted(2, 2)})
    losses, _ = loss_of(objective, {"a": batch(), "b": batch()})
    alone = LABELLED | {"b": objectives.partially_importance_weighted(2, 2)}
    model = toys.two_groups(bottom_up=False)
    params, state = model.init(KEY)

    @jax.jit
    def both(params):
        parts = zip((vae.elbo(), alone["b"]), (0, 1), strict=True)
        keys = [(each, jax.random.fold_in(KEY, i)) for each, i in parts]
        return [each.loss(params, Carried(state, ()), key, batch(), SETTINGS, model)[0] for each, key in keys]

    first, second = both(params)
    for player in ("posterior", "generative"):
        assert float(losses[player]) == pytest.approx(float(first + second[player]), rel=1e-5)


def test_the_feeds_have_to_be_those_of_the_objective():
    with pytest.raises(TypeError, match="by_feed got one batch; wanted one for each of labelled, unlabelled"):
        loss_of(objectives.by_feed(LABELLED), batch())
    with pytest.raises(ValueError, match=r"the feeds are \['other', 'unlabelled'\]"):
        loss_of(objectives.by_feed(LABELLED), {"other": batch(), "unlabelled": batch()})
    with pytest.raises(TypeError, match=r"batches of the feeds \['a', 'b'\]; wanted one feed, or objectives.by_feed"):
        loss_of(vae.elbo(), {"a": batch(), "b": batch()})


@pytest.mark.slow
def test_feeds_train_together_and_report_under_their_names():
    train = {
        "labelled": vae.data.feed((X, ANCESTOR), lambda key, rows: (rows[0], (), (rows[1], None))),
        "unlabelled": vae.data.feed(np.tile(X, (4, 1))),
    }
    experiment = vae.Experiment(
        data=vae.data.Splits(train, validation=X),
        model=toys.two_groups(bottom_up=False),
        steps=4,
        objective=objectives.by_feed(LABELLED),
        batch_size={"labelled": 2, "unlabelled": 8},
        settings={"labelled": 2.0, "learning_rate": 1e-3},
    )
    fitted = vae.fit(experiment, host=vae.Host(log_every=2, progress=False))
    record = next(r for r in fitted.records if r["split"] == "train")
    assert {"labelled/elbo", "unlabelled/elbo", "labelled/rate", "unlabelled/bound", "loss"} <= set(record)
    assert {r["split"] for r in fitted.records} == {"train", "validation"}
