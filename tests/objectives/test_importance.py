"""Bounds of several samples: order, identities, and which samples belong together."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy.special import logsumexp

from vae.objectives import (
    combined_importance_weighted,
    doubly_reparameterised,
    estimators,
    importance_weighted,
    log_mean_weight,
    log_power_mean,
    multi_sample,
    multiply_importance_weighted,
    partially_importance_weighted,
    renyi,
    reparameterised,
)
from vae.objectives.estimators import leave_one_out, path_factors
from vae.settings import Settings
from vae.types import Batch, Carried

X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4)), jnp.float32)


def loss_of(objective, model, params, key, x, settings=()):
    batch = Batch(x=x, context=(), weight=jnp.ones(len(x)))
    return objective.loss(params, Carried((), ()), key, batch, Settings(dict(settings), training=True), model)


def off(model):
    """The model with a posterior that is not exact, and its parameters."""
    params, _ = model.init(jax.random.key(0))
    return params | {"posterior": jax.tree.map(lambda leaf: 0.7 * leaf, params["posterior"])}


# On models whose evidence is exact

CASES = {
    "one group": (toys.linear_gaussian(), X, toys.linear_gaussian_evidence),
    "two groups, top-down": (toys.two_groups(False), X[:, :1], toys.two_group_evidence),
    "two groups, bottom-up": (toys.two_groups(True), X[:, :1], toys.two_group_evidence),
}


def of_the_first(log_weights, settings):
    """IWAE-k from the first k of all samples, so that one program serves every k."""
    return log_mean_weight(log_weights[: settings["k"]])


@pytest.mark.slow_but("two groups, bottom-up")
@pytest.mark.parametrize("name", CASES)
def test_elbo_below_iwae_increasing_in_k_below_the_evidence(name):
    model, x, evidence = CASES[name]
    keys = jax.random.split(jax.random.key(1), 4000)
    objective = multi_sample(of_the_first, 16, monitors=())

    def bounds(params, key):
        return [-loss_of(objective, model, params, key, x, {"k": k})[0] for k in (1, 4, 16)]

    many = jax.jit(jax.vmap(bounds, in_axes=(None, 0)))
    one, four, sixteen = np.asarray(many(off(model), keys), np.float64)
    truth = evidence(np.asarray(x, np.float64)).mean()
    for lower, upper in ((one, four), (four, sixteen), (sixteen, np.full_like(one, truth))):
        error = np.hypot(lower.std(), upper.std()) / np.sqrt(len(keys))
        assert upper.mean() - lower.mean() > 3 * error
    exact, _ = model.init(jax.random.key(0))
    for bound in many(exact, keys[:5]):
        np.testing.assert_allclose(bound, truth, atol=1e-4)


# Which samples belong together


def recording(found):
    """An estimator that also puts every group's log weights into a list on the host."""

    def estimator(bound, draw, frozen_draw, keys):
        value, drawn = reparameterised(bound, draw, frozen_draw, keys)
        jax.debug.callback(lambda log_weights: found.append(np.asarray(log_weights, np.float64)), drawn.log_weight)
        return value, drawn

    return estimator


@pytest.mark.parametrize("objective_of", [multiply_importance_weighted, partially_importance_weighted])
def test_groups_and_samples_are_not_exchanged(objective_of):
    """M = 2 groups of K = 5 samples, against a loop in NumPy over the log weights that were drawn."""
    found, model = [], toys.linear_gaussian()
    objective = objective_of(2, 5, recording(found), monitors=())
    losses = jax.jit(lambda params: loss_of(objective, model, params, jax.random.key(3), X[:1])[0])(off(model))
    jax.effects_barrier()
    assert [len(group) for group in found] == [5, 5]
    bounds = [logsumexp(group) - np.log(5) for group in found]
    if objective_of is multiply_importance_weighted:
        assert losses == pytest.approx(-np.mean(bounds), rel=1e-5)
        return
    assert losses["posterior"] == pytest.approx(-np.mean(bounds), rel=1e-5)
    assert losses["generative"] == pytest.approx(np.log(10) - logsumexp(np.concatenate(found)), rel=1e-5)


def test_samples_drawn_in_chunks_show_in_no_number(monkeypatch):
    """Six examples with eight samples each, all 48 rows at once, or three samples at a time with two left over."""
    model = toys.linear_gaussian()
    objective = importance_weighted(8)

    def step(params):
        return jax.value_and_grad(lambda params: loss_of(objective, model, params, jax.random.key(2), X)[0])(params)

    whole = jax.jit(step)(off(model))
    assert "scan" not in str(jax.make_jaxpr(step)(off(model)))
    monkeypatch.setattr(estimators, "ROWS_IN_FLIGHT", 20)
    chunked = jax.make_jaxpr(lambda params: step(params))(off(model))
    assert "scan" in str(chunked)
    values = jax.jit(lambda params: step(params))(off(model))
    chex.assert_trees_all_close(values, whole, rtol=1e-5, atol=1e-6)


def test_samples_at_once_divide_all_where_a_divisor_is_near(monkeypatch):
    monkeypatch.setattr(estimators, "ROWS_IN_FLIGHT", 20)
    assert [estimators.samples_at_once(samples) for samples in (8, 20, 50, 47)] == [8, 20, 25, 20]


def test_identities_between_the_bounds():
    model, key = toys.linear_gaussian(), jax.random.key(4)
    params, options = off(model), {"monitors": ()}

    @jax.jit
    def values(share, order):
        def loss(objective, **settings):
            return loss_of(objective, model, params, key, X, settings)[0]

        return {
            "iwae": loss(importance_weighted(5, **options)),
            "miwae": loss(multiply_importance_weighted(1, 5, **options)),
            "ciwae": loss(combined_importance_weighted(5, **options), elbo_share=share),
            "renyi": loss(renyi(5, **options), renyi_order=order),
        }

    low, half, high = (values(s, s) for s in (0.0, 0.5, 1.0))
    assert low["iwae"] == pytest.approx(float(low["miwae"]), rel=1e-6)
    assert low["ciwae"] == pytest.approx(float(low["iwae"]), rel=1e-6)
    assert low["renyi"] == pytest.approx(float(low["iwae"]), rel=1e-6)
    assert high["ciwae"] == pytest.approx(float(high["renyi"]), rel=1e-6), "both are the ELBO with five samples"
    assert high["ciwae"] > high["iwae"] + 0.01
    assert half["ciwae"] == pytest.approx(0.5 * float(low["ciwae"] + high["ciwae"]), rel=1e-6)
    assert low["renyi"] < half["renyi"] < high["renyi"]
    assert values._cache_size() == 1


POWER_MEAN = jax.jit(jax.value_and_grad(log_power_mean))


@pytest.mark.parametrize("power", [-2.0, -1e-3, 0.0, 1e-6, 1e-3, 0.3, 1.0, 4.0])
def test_log_power_mean_in_float64(power):
    log_weights = np.array([-3.0, 0.5, 1.25, -80.0, -0.1])
    shifted = log_weights - 700.0  # weights that underflow
    wide = np.asarray(log_weights, np.longdouble)
    exact = np.log(np.mean(np.exp(power * wide))) / power if power else np.mean(wide)
    got, slope = POWER_MEAN(jnp.asarray(shifted, jnp.float32), power)
    assert got == pytest.approx(float(exact) - 700.0, abs=2e-3 if abs(power) < 1e-2 else 2e-4)
    assert np.sum(slope) == pytest.approx(1.0, abs=1e-4)


# Estimators of any bound


def test_path_factors_of_iwae_ciwae_and_renyi():
    """1 - (d c / d log w) / c by hand: w^2 for IWAE in place of w, and the mixtures with the ELBO."""
    log_weights = np.array([0.3, -1.0, 2.0, 0.9])
    share, order, k = 0.3, 0.4, len(log_weights)
    weights = np.exp(log_weights - logsumexp(log_weights))
    tempered = np.exp((1 - order) * log_weights - logsumexp((1 - order) * log_weights))

    def factors(given):
        return {
            "iwae": path_factors(log_mean_weight, given),
            "ciwae": path_factors(lambda lw: share * jnp.mean(lw) + (1 - share) * log_mean_weight(lw), given),
            "renyi": path_factors(lambda lw: log_power_mean(lw, 1 - order), given),
            "elbo": path_factors(jnp.mean, given),
            "none": path_factors(log_mean_weight, given.at[1].set(-jnp.inf)),
        }

    got = jax.jit(factors)(jnp.asarray(log_weights, jnp.float32))
    np.testing.assert_allclose(got["iwae"], weights, rtol=1e-5)
    slopes = share / k + (1 - share) * weights
    np.testing.assert_allclose(got["ciwae"], (share / k + (1 - share) * weights**2) / slopes, rtol=1e-5)
    np.testing.assert_allclose(got["renyi"], order + (1 - order) * tempered, rtol=1e-4)
    np.testing.assert_allclose(got["elbo"], 1.0, rtol=1e-6)
    assert got["none"][1] == 0, "what carries no weight has no gradient to scale"


def test_doubly_reparameterised_gradient_of_a_renyi_bound_is_unbiased():
    model = toys.linear_gaussian()
    params, keys = off(model), jax.random.split(jax.random.key(5), 6000)

    def gradients(key):
        estimates = []
        for estimator in (reparameterised, doubly_reparameterised):
            objective = renyi(3, 0.3, estimator, monitors=())
            gradient = jax.grad(lambda p, o=objective: loss_of(o, model, p, key, X[:2])[0])(params)["posterior"]
            estimates.append(jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(gradient)]))
        return jnp.stack(estimates)

    total, double = np.moveaxis(np.asarray(jax.jit(jax.vmap(gradients))(keys), np.float64), 1, 0)
    difference = total - double
    error = difference.std(axis=0) / np.sqrt(len(keys))
    assert np.all(np.abs(difference.mean(axis=0)) < 4 * error)
    assert double.var(axis=0).sum() < 0.5 * total.var(axis=0).sum()


def test_leave_one_out_against_a_loop():
    log_weights = np.array([0.3, -1.0, 2.0])
    wanted = []
    for k in range(3):
        replaced = log_weights.copy()
        replaced[k] = np.mean(np.delete(log_weights, k))
        wanted.append(logsumexp(replaced) - np.log(3))
    got = leave_one_out(lambda lw: jax.nn.logsumexp(lw) - jnp.log(3), jnp.asarray(log_weights, jnp.float32))
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_sizes_are_refused():
    with pytest.raises(ValueError, match="samples is 0"):
        importance_weighted(0)
    with pytest.raises(ValueError, match="groups is 0"):
        multiply_importance_weighted(0, 5)
    with pytest.raises(ValueError, match=r"elbo_share is 1\.5"):
        combined_importance_weighted(5, 1.5)
