"""Rows with columns of several kinds: SciPy column by column, sums over what is discrete, and masks."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special, stats
from unchecked import unchecked

from vae import likelihoods
from vae.distributions import Masked, Mixed, MultivariateNormal, Normal
from vae.spec import Column
from vae.special import smooth_bound

COLUMNS = (
    Column("species", "tokens", ("setosa", "virginica")),
    Column("weight", "real"),
    Column("smoker", "binary"),
    Column("city", "tokens", ("Oslo", "Rome", "Lima")),
    Column("visits", "count"),
    Column("height", "real"),
)
FAMILY = likelihoods.mixed(COLUMNS)
RAW = 0.8 * np.random.default_rng(0).standard_normal(FAMILY.outputs)
ROW = jnp.array([1.0, -0.4, 1.0, 2.0, 3.0, 0.9])


def built(raw=RAW):
    return FAMILY.build(jnp.asarray(raw, jnp.float32))


def by_scipy(row, raw=RAW):
    """Log densities in the order of the columns, from the outputs as the docstring lays them out."""
    means, stds = raw[:2], np.exp(np.asarray(smooth_bound(jnp.asarray(raw[2:4]), likelihoods.SCALE_LIMIT)))
    binary, logits = raw[4], (raw[7:9], raw[9:12])
    mean, r = np.exp(np.asarray(smooth_bound(jnp.asarray(raw[5:7]), likelihoods.COUNT_LIMIT)))
    species, weight, smoker, city, visits, height = np.asarray(row, float)
    return np.array(
        [
            special.log_softmax(logits[0])[int(species)],
            stats.norm(means[0], stds[0]).logpdf(weight),
            stats.bernoulli(special.expit(binary)).logpmf(smoker),
            special.log_softmax(logits[1])[int(city)],
            stats.nbinom(r, r / (r + mean)).logpmf(visits),
            stats.norm(means[1], stds[1]).logpdf(height),
        ]
    )


def test_every_column_is_scored_by_its_own_outputs():
    assert FAMILY.outputs == (12,)
    assert_allclose(built().element_log_prob(ROW), by_scipy(ROW), rtol=1e-5)
    assert_allclose(built().log_prob(ROW), by_scipy(ROW).sum(), rtol=1e-5)
    assert built().data_space == "mixed"


def test_the_discrete_columns_sum_to_one():
    counts = np.arange(200.0)
    rows = np.array([[s, 0.0, b, c, n, 0.0] for s, b, c, n in itertools.product((0, 1), (0, 1), (0, 1, 2), counts)])
    elements = jax.jit(jax.vmap(built().element_log_prob))(jnp.asarray(rows, jnp.float32))
    discrete = np.asarray(elements, float)[:, [0, 2, 3, 4]].sum(axis=1)
    assert_allclose(np.exp(discrete).sum(), 1.0, rtol=1e-4)


def test_draws_have_the_frequencies_and_the_moments():
    draws = np.asarray(jax.jit(jax.vmap(built().sample))(jax.random.split(jax.random.key(0), 20_000)))
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(axis=0) - built().mean) < 4.5 * error)
    assert [set(np.unique(draws[:, i])) for i in (0, 2, 3)] == [{0, 1}, {0, 1}, {0, 1, 2}]
    assert np.all(draws[:, 4] == np.floor(draws[:, 4]))
    shares = [np.mean(draws[:, 3] == code) for code in range(3)]
    assert_allclose(shares, special.softmax(RAW[9:12]), atol=4.5 * 0.5 / np.sqrt(len(draws)))


def test_the_mode_is_the_most_probable_row():
    mode = built().mode
    for column, others in {0: (0, 1), 2: (0, 1), 3: (0, 1, 2), 4: range(50)}.items():
        scores = [
            by_scipy(np.asarray(mode).copy() * (np.arange(6) != column) + value * (np.arange(6) == column)) for value in others
        ]
        assert others[int(np.argmax([score.sum() for score in scores]))] == mode[column]
    assert_allclose(mode[jnp.array([1, 5])], RAW[:2], rtol=1e-6)


def test_what_is_missing_may_hold_anything_and_passes_no_gradient():
    observed = jnp.array([True, False, True, False, False, True])
    row = jnp.array([1.0, jnp.nan, 0.0, jnp.nan, -jnp.inf, 0.9])

    def score(raw):
        return Masked(FAMILY.build(raw), observed).log_prob(row)

    value, slope = jax.jit(jax.value_and_grad(score))(jnp.asarray(RAW, jnp.float32))
    kept = by_scipy(jnp.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.9]))[np.asarray(observed)]
    assert_allclose(value, kept.sum(), rtol=1e-5)
    chex.assert_tree_all_finite(slope)
    assert not np.any(np.asarray(slope)[[0, 2, 5, 6, 9, 10, 11]]), "of weight, visits and city"
    assert np.all(np.asarray(slope)[[1, 3, 4, 7, 8]])


def test_gradients_are_finite_far_out():
    def score(scale):
        return jax.grad(lambda raw: FAMILY.build(raw).log_prob(ROW))(scale * jnp.asarray(RAW, jnp.float32))

    chex.assert_tree_all_finite(jax.jit(jax.vmap(score))(jnp.array([0.0, 30.0, 1e4])))


def test_the_program_does_not_grow_with_the_columns():
    def equations(copies):
        family = likelihoods.mixed(COLUMNS * copies)
        raw, row = jnp.zeros(family.outputs), jnp.tile(ROW, copies)
        return len(jax.make_jaxpr(lambda raw, row: family.build(raw).log_prob(row))(raw, row).eqns)

    assert equations(1) == equations(40)


def test_refuses_columns_that_it_cannot_place():
    with pytest.raises(ValueError, match="no columns; wanted columns of the spaces real, binary, count, tokens"):
        likelihoods.mixed(())
    with pytest.raises(ValueError, match="the column 'photo'"):
        likelihoods.mixed((Column("photo", "uint8"),))
    with pytest.raises(ValueError, match="the column 'city'"):
        likelihoods.mixed((Column("city", "tokens"),))
    normal = Normal(jnp.zeros(2), jnp.zeros(2))
    with unchecked(), pytest.raises(ValueError, match=r"wanted every column 0, 1, \.\.\. once"):
        Mixed((normal,), ((0, 0),))
    with unchecked(), pytest.raises(TypeError, match="a joint density cannot be taken apart"):
        Mixed((MultivariateNormal(jnp.zeros(2), jnp.eye(2)),), ((0, 1),))
