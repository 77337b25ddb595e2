"""Models of standardised data in the units of the data: exact evidence, change of units, and the constants in the state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal

import vae
from vae.evaluation.evidence import elbo_terms, importance_sampled_evidence
from vae.models.standardisation import shift_and_scale, standardised, standardised_data
from vae.spec import Column, Data
from vae.testing.linear_gaussian_model import LOADINGS, NOISE, linear_gaussian

MEAN, SCALE = np.array([100.0, -3.0, 0.0, 7.0, 1.0]), np.array([20.0, 0.5, 1.0, 0.01, 3.0])
X = np.random.default_rng(0).normal(MEAN, SCALE, (6, 5))
QUIET = vae.Host(progress=False)


def data(unit=1.0):
    return Data((5,), "real", mean=jnp.asarray(unit * MEAN, jnp.float32), scale=jnp.asarray(unit * SCALE, jnp.float32))


def trained(unit=1.0):
    model = standardised(linear_gaussian(), data(unit))
    return vae.Trained(model, *model.init(jax.random.key(0)), spec=data(unit))


def evidence(unit=1.0):
    found = importance_sampled_evidence(trained(unit), jnp.asarray(unit * X, jnp.float32), jax.random.key(1), samples=3)
    return np.asarray(found.log_evidence, float)


def test_the_evidence_is_that_of_the_gaussian_in_the_units_of_the_data():
    covariance = (LOADINGS @ LOADINGS.T + NOISE**2 * np.eye(5)) * np.outer(SCALE, SCALE)
    assert_allclose(evidence(), multivariate_normal(MEAN, covariance).logpdf(X), rtol=1e-4)


def test_a_change_of_units_shifts_the_nll_by_the_log_of_the_factor():
    assert_allclose(evidence(1000.0) - evidence(), -5 * np.log(1000.0), atol=2e-3)


def test_samples_and_means_are_in_the_units_of_the_data():
    model = trained()
    inner = linear_gaussian()
    values = (jnp.array([0.3, -0.8]),)
    likelihood, plain = model.decode(values), inner.decode(*inner.init(jax.random.key(0)), values, ())
    assert_allclose(likelihood.mean, MEAN + SCALE * np.asarray(plain.mean), rtol=1e-5)
    assert_allclose(likelihood.sample(jax.random.key(2)), MEAN + SCALE * np.asarray(plain.sample(jax.random.key(2))), rtol=1e-5)


def test_the_inner_model_keeps_its_own_state():
    inner = toys.vector_quantised()
    model = standardised(inner, Data((4,), "real", mean=jnp.ones(4), scale=jnp.full(4, 2.0)))
    params, state = model.init(jax.random.key(0))
    trace = model.infer(params, state, 1.0 + 2.0 * jnp.arange(4.0), (), vae.Settings())(jax.random.key(1))
    plain = inner.infer(params, state["model"], jnp.arange(4.0), (), vae.Settings())(jax.random.key(1))
    statistics = jax.tree.map(lambda leaf: leaf[None], trace.statistics)
    after = model.update(state, statistics, jax.random.key(2))
    expected = inner.update(state["model"], jax.tree.map(lambda leaf: leaf[None], plain.statistics), jax.random.key(2))
    jax.tree.map(assert_array_equal, after, {**state, "model": expected})


def test_columns_that_are_no_real_numbers_are_not_moved():
    columns = (Column("a", "real"), Column("b", "count"), Column("c", "tokens", ("x", "y")), Column("constant", "real"))
    table = Data((4,), "mixed", mean=jnp.array([2.0, 5.0, 0.3, 9.0]), scale=jnp.array([4.0, 1.0, 1.0, 1.0]), columns=columns)
    shift, scale = shift_and_scale(table)
    assert_array_equal(shift, [2.0, 0.0, 0.0, 9.0])
    assert_array_equal(scale, [4.0, 1.0, 1.0, 1.0])
    assert_allclose(standardised_data(table).mean, [0.0, 5.0, 0.3, 0.0], atol=1e-6)
    with pytest.raises(ValueError, match="data without a scale"):
        standardised(linear_gaussian(), Data((5,), "real"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of four steps, interrupted after two."""
    folder = tmp_path_factory.mktemp("standardised")
    x = np.asarray(np.random.default_rng(1).normal(MEAN, SCALE, (40, 5)), np.float32)
    feed = vae.data.feed(x, spec=data())
    model = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[4])
    experiment = vae.Experiment(vae.data.Splits(feed, feed), model, steps=4, batch_size=8, validate_every=2)
    whole = vae.fit(experiment, folder / "whole", QUIET)
    vae.fit(experiment._replace(steps=2), folder / "cut", QUIET)
    return folder, experiment, whole, vae.fit(experiment, folder / "cut", QUIET), x


@pytest.mark.slow
def test_a_resumed_run_is_the_same_run(run):
    _, _, whole, cut, _ = run
    jax.tree.map(
        assert_array_equal, (whole.trained.params, whole.trained.model_state), (cut.trained.params, cut.trained.model_state)
    )


def test_a_loaded_model_has_the_constants_and_says_the_same(run):
    folder, _, whole, _, x = run
    loaded = vae.load(folder / "whole", "latest")
    assert loaded.spec.scale is None
    assert_array_equal(loaded.model_state["shift"], data().mean)
    assert_array_equal(loaded.model_state["scale"], data().scale)
    key = jax.random.key(3)
    terms = [elbo_terms(each, x, key) for each in (loaded, whole.trained)]
    jax.tree.map(assert_array_equal, *terms)
    assert np.all(np.isfinite(terms[0].log_likelihood))


def test_other_units_are_another_run(run):
    folder, experiment, *_ = run
    feed = experiment.data.train._replace(spec=data()._replace(scale=2.0 * jnp.asarray(SCALE, jnp.float32)))
    with pytest.raises(vae.training.workdir.RunError, match="the first state is made otherwise"):
        vae.fit(experiment._replace(data=vae.data.Splits(feed, feed)), folder / "whole", QUIET)
