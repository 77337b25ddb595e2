"""Missing entries: they cost nothing, show nowhere, and what is left is the exact marginal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal

import vae
from vae.evaluation import generate, impute
from vae.evaluation.evidence import elbo_terms, importance_sampled_evidence
from vae.models import all_observed, mlp, standardised, with_missing
from vae.objectives import elbo
from vae.spec import Column, Data
from vae.testing.linear_gaussian_model import linear_gaussian
from vae.types import Batch, Carried

LOADINGS, NOISE = np.array([[0.9], [-0.7], [0.5], [1.1]]), 0.6
MEAN, SCALE = np.array([5.0, 0.0, -20.0, 1.0]), np.array([2.0, 1.0, 10.0, 0.1])
COVARIANCE = (LOADINGS @ LOADINGS.T + NOISE**2 * np.eye(4)) * np.outer(SCALE, SCALE)
MASK = np.array([True, False, True, False])
X = np.random.default_rng(0).multivariate_normal(MEAN, COVARIANCE, 5)
KEY = jax.random.key(0)


def masks(number, shape, extra=()):
    """Shapes of such a context, and of what else is given."""
    mask = {"observed": jax.ShapeDtypeStruct(shape, bool)}
    return mask | ({"given": jax.ShapeDtypeStruct(extra, jnp.float32)} if extra else {})


def linear(mask=MASK, exact=True):
    """The linear-Gaussian model in units of its own, with the exact posterior of one latent given the observed entries."""
    data = Data((4,), "real", mean=jnp.asarray(MEAN, jnp.float32), scale=jnp.asarray(SCALE, jnp.float32))
    model = with_missing(standardised(linear_gaussian(LOADINGS, NOISE), data))
    params, state = model.init(KEY)
    precision = 1.0 + np.sum(LOADINGS[mask] ** 2) / NOISE**2
    weights = np.where(mask, LOADINGS[:, 0], 0.0) / NOISE**2 / precision
    own = {"weights": jnp.asarray(weights[None], jnp.float32), "log_std": jnp.asarray([-0.5 * np.log(precision)], jnp.float32)}
    return vae.Trained(model, params | {"posterior": own} if exact else params, state)


def rows_of(mask):
    return {"observed": jnp.asarray(np.tile(mask, (len(X), 1)))}


def evidence(trained, x, mask):
    found = importance_sampled_evidence(trained, jnp.asarray(x, jnp.float32), KEY, samples=4, context=rows_of(mask))
    return np.asarray(found.log_evidence, float)


@pytest.mark.parametrize("mask", [MASK, ~MASK, np.ones(4, bool), np.zeros(4, bool)], ids=["some", "others", "all", "none"])
def test_the_evidence_is_the_exact_marginal_of_what_is_observed(mask):
    """Of nothing it is 0."""
    oracle = np.zeros(len(X))
    if mask.any():
        oracle = multivariate_normal(MEAN[mask], COVARIANCE[np.ix_(mask, mask)]).logpdf(X[:, mask])
    assert_allclose(evidence(linear(mask), X, mask), oracle, rtol=1e-4, atol=1e-5)


def test_what_stands_under_the_mask_does_not_show():
    other = np.where(MASK, X, np.array([np.nan, np.inf, -np.inf, 1e30]))
    assert_array_equal(evidence(linear(), X, MASK), evidence(linear(), other, MASK))


def test_the_elbo_of_another_posterior_is_below_the_marginal():
    terms = jax.vmap(lambda key: elbo_terms(linear(exact=False), jnp.asarray(X, jnp.float32), key, context=rows_of(MASK)))(
        jax.random.split(KEY, 2_000)
    )
    draws = np.asarray(terms.log_likelihood - terms.rates[0].sum(axis=-1), float)
    bound, error = draws.mean(axis=0), draws.std(axis=0) / np.sqrt(len(draws))
    exact = multivariate_normal(MEAN[MASK], COVARIANCE[np.ix_(MASK, MASK)]).logpdf(X[:, MASK])
    assert np.all(bound < exact + 4 * error)
    assert np.any(bound < exact - 4 * error)


COLUMNS = (Column("size", "real"), Column("colour", "tokens", ("red", "green", "blue")), Column("dots", "count"))
KINDS = {
    "table": Data((3,), "mixed", jnp.array([3.0, 0.8, 2.0]), scale=jnp.array([2.0, 1.0, 1.0]), columns=COLUMNS),
    "series": Data((4, 2), "real", jnp.zeros((4, 2)), scale=jnp.full((4, 2), 3.0)),
    "tokens": Data((5,), "tokens", tokens=7),
    "image": Data((4, 4, 1), "binary", jnp.full((4, 4, 1), 0.5)),
}
ROWS = {
    "table": jnp.array([[2.5, 2.0, 4.0], [1.0, 0.0, 0.0]]),
    "series": jnp.arange(16.0).reshape(2, 4, 2),
    "tokens": jnp.array([[1, 6, 2, 3, 4], [0, 5, 0, 0, 0]], jnp.int32),
    "image": jnp.asarray(np.arange(32).reshape(2, 4, 4, 1) % 2, jnp.float32),
}


@pytest.mark.slow_but("image", "series")
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_and_its_gradient_do_not_see_what_is_missing(kind):
    data, x = KINDS[kind]._replace(context=masks(2, KINDS[kind].shape, (2,))), ROWS[kind]
    model = mlp(data, latent_dim=2, hidden=(6,))
    observed = jnp.asarray(np.random.default_rng(3).random(x.shape) < 0.6).at[1].set(False)
    context = {"observed": observed, "given": jnp.ones((2, 2))}
    params, state = model.init(KEY)
    objective = elbo()

    @jax.jit
    def loss(x):
        def of(params):
            batch = Batch(x=x, context=context, weight=jnp.ones(2))
            value, (terms, _) = objective.loss(
                params, Carried(state, objective.init(KEY)[1]), KEY, batch, vae.Settings(), model
            )
            return value, terms

        return jax.value_and_grad(of, has_aux=True)(params)

    other = jnp.where(observed, x, jnp.full_like(x, 3))
    (value, terms), slope = loss(x)
    jax.tree.map(assert_array_equal, ((value, terms), slope), loss(other))
    assert terms.log_likelihood[1] == 0, "nothing of it is observed"
    assert terms.log_likelihood[0] < 0
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slope))
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(slope["posterior"]))


def test_samples_of_the_prior_take_a_context_of_all_observed_rows():
    data = KINDS["table"]._replace(context=masks(1, (3,), (2,)))
    model = mlp(data, latent_dim=2, hidden=(6,))
    trained = vae.Trained(model, *model.init(KEY), spec=data)
    context = all_observed(trained.spec, 4, given=jnp.ones((4, 2)))
    values = generate.sample_prior(trained, KEY, context=context)
    assert generate.decode_means(trained, values, context=context).shape == (4, 3)
    with pytest.raises(ValueError, match="conditioned on a context"):
        generate.sample_prior(trained, KEY, 4)


# What is missing, drawn


def given_observed(x):
    """Mean and covariance of the missing entries given the observed ones, of a normal distribution."""
    gain = COVARIANCE[np.ix_(~MASK, MASK)] @ np.linalg.inv(COVARIANCE[np.ix_(MASK, MASK)])
    mean = MEAN[~MASK] + gain @ (x[MASK] - MEAN[MASK])
    return mean, COVARIANCE[np.ix_(~MASK, ~MASK)] - gain @ COVARIANCE[np.ix_(MASK, ~MASK)]


def imputed(trained, x, samples, number=4_000):
    """So many draws of what is missing in one row."""
    rows, observed = np.tile(np.where(MASK, x, np.nan), (number, 1)), np.tile(MASK, (number, 1))
    found = impute(trained, rows, KEY, context={"observed": observed}, samples=samples, batch_size=500)
    assert_array_equal(found[:, MASK], rows[:, MASK])
    return found[:, ~MASK]


def errors_of(draws, mean, covariance):
    """How many standard errors the mean and the (co)variances of normal draws are off, at most."""
    variances = np.diagonal(covariance)
    of_mean = (draws.mean(axis=0) - mean) / np.sqrt(variances / len(draws))
    spread = np.sqrt((np.outer(variances, variances) + covariance**2) / len(draws))
    return max(np.max(np.abs(of_mean)), np.max(np.abs((np.cov(draws.T) - covariance) / spread)))


@pytest.mark.parametrize("row", [0, 3])
def test_what_is_missing_has_the_exact_conditional_under_the_exact_posterior(row):
    assert errors_of(imputed(linear(), X[row], samples=1), *given_observed(X[row])) < 4


@pytest.mark.slow
@pytest.mark.parametrize("row", [0, 3])
def test_resampling_corrects_another_posterior(row):
    """Here the prior, whose weights are bounded; the bias falls as 1 / samples."""
    model, params, state = (getattr(linear(), field) for field in ("model", "params", "model_state"))
    broad = params | {"posterior": {"weights": jnp.zeros((1, 4)), "log_std": jnp.zeros(1)}}
    trained = vae.Trained(model, broad, state)
    assert errors_of(imputed(trained, X[row], samples=1), *given_observed(X[row])) > 8
    assert errors_of(imputed(trained, X[row], samples=500), *given_observed(X[row])) < 4


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_what_is_observed_is_returned_bit_for_bit(dtype):
    """Also where float32 could not hold it, whatever the batches."""
    x = (2**25 + 1 + np.arange(20).reshape(5, 4) / 3).astype(dtype)
    observed = np.random.default_rng(1).random((5, 4)) < 0.5
    found = impute(linear(), x, KEY, context={"observed": observed})
    assert_array_equal(found[observed], x[observed])
    assert np.all(found[~observed] != x[~observed])
    assert_allclose(impute(linear(), x, KEY, context={"observed": observed}, batch_size=2), found, rtol=1e-5)


@pytest.mark.slow_but("3-table", "1-image")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [1, 3])
def test_what_is_drawn_is_of_the_kind_of_the_data(kind, samples):
    data, x = KINDS[kind]._replace(context=masks(2, KINDS[kind].shape, (2,))), ROWS[kind]
    model = mlp(data, latent_dim=2, hidden=(6,))
    trained = vae.Trained(model, *model.init(KEY), spec=data)
    context = {"observed": np.arange(x.size).reshape(x.shape) % 3 == 1, "given": jnp.ones((2, 2))}
    found = impute(trained, x, KEY, context=context, samples=samples)
    assert (found.shape, found.dtype) == (x.shape, x.dtype)
    assert_array_equal(found[context["observed"]], x[context["observed"]])
    if kind == "table":
        assert set(vae.data.as_columns(found, data.columns)["colour"]) <= {"red", "green", "blue"}
    if kind == "image":
        assert set(np.unique(found)) == {0, 1}


def test_a_model_that_knows_no_missing_entries_and_no_sample_are_refused():
    model = mlp(Data((4,), "real"), latent_dim=1, hidden=(3,))
    trained = vae.Trained(model, *model.init(KEY), spec=Data((4,), "real"))
    with pytest.raises(
        TypeError, match="no mask in its context, so that nothing can be missing; train it on data with missing"
    ):
        impute(trained, X, KEY, context={"observed": np.tile(MASK, (5, 1))})
    with pytest.raises(TypeError, match="no mask in its context"):
        impute(linear(), X, KEY)
    with pytest.raises(ValueError, match="samples is 0; wanted at least 1"):
        impute(linear(), X, KEY, context=rows_of(MASK), samples=0)


def test_the_decoder_sees_what_is_given_and_not_the_mask():
    data = KINDS["table"]._replace(context=masks(1, (3,), (2,)))
    model = mlp(data, latent_dim=2, hidden=(6,))
    params, state = model.init(KEY)
    some, given = jnp.array([True, False, True]), jnp.array([0.3, 2.0])

    def mean(mask, given):
        return model.decode(params, state, (jnp.ones(2),), {"observed": mask, "given": given}).mean

    assert_array_equal(mean(some, given), mean(~some, given))
    assert np.any(mean(some, given) != mean(some, -given))


def test_a_context_without_anything_given_is_the_mask_alone():
    assert set(all_observed(Data((3,), "real"), 2)) == {"observed"}
    assert all_observed(Data((3, 2), "real"), 2)["observed"].shape == (2, 3, 2)
