"""Whole-batch quantities against loops in NumPy and against populations whose value is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from vae import discrepancies as d

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(7, 3)), RNG.normal(size=(7, 3)) + 0.5
WEIGHT = np.array([1.0, 2.0, 0.5, 0.0, 1.0, 0.0, 3.0])
GARBAGE = WEIGHT == 0


def f32(array):
    return jnp.asarray(array, jnp.float32)


def with_garbage(rows):
    return f32(np.where(GARBAGE[:, None], 1e30, rows))


def kernels():
    def gaussian(square):
        return np.exp(-square / (2 * 0.8**2))

    def multiquadric(square):
        return sum(c / (c + square) for c in (0.5, 2.0))

    return [(d.gaussian_kernel(0.8), gaussian), (d.inverse_multiquadric_kernel((0.5, 2.0)), multiquadric)]


@pytest.mark.parametrize(("kernel", "plain"), kernels())
def test_mmd_against_loops(kernel, plain):
    share = WEIGHT / WEIGHT.sum()
    biased = within = across = 0.0
    for i in range(7):
        for j in range(7):
            k_xx, k_yy, k_xy = (plain(np.sum((a[i] - b[j]) ** 2)) for a, b in ((X, X), (Y, Y), (X, Y)))
            biased += share[i] * share[j] * (k_xx + k_yy - 2 * k_xy)
            within += share[i] * share[j] * (k_xx + k_yy) * (i != j)
            across += share[i] * share[j] * k_xy
    unbiased = within / (1 - np.sum(share**2)) - 2 * across
    arguments = with_garbage(X), with_garbage(Y), kernel, f32(WEIGHT)
    assert d.mmd_biased(*arguments) == pytest.approx(biased, rel=1e-5)
    assert d.mmd_unbiased(*arguments) == pytest.approx(unbiased, rel=1e-5)
    gradient = jax.grad(lambda x: d.mmd_unbiased(x, *arguments[1:]))(arguments[0])
    assert np.all(np.isfinite(gradient))
    assert np.all(np.asarray(gradient)[GARBAGE] == 0)


def test_the_unbiased_mmd_has_mean_zero_for_equal_distributions_and_the_biased_one_has_not():
    """At n = 4, over 4,000 draws of both sides from N(0, I)."""
    draws = f32(RNG.normal(size=(4000, 2, 4, 3)))
    weight, kernel = jnp.ones(4), d.gaussian_kernel(1.0)
    unbiased, biased = (
        np.asarray(jax.jit(jax.vmap(lambda xy, estimate=estimate: estimate(xy[0], xy[1], kernel, weight)))(draws))
        for estimate in (d.mmd_unbiased, d.mmd_biased)
    )
    assert abs(unbiased.mean()) < 4 * unbiased.std() / np.sqrt(4000)
    excess = 2 * (1 - (1 + 2 / 1.0**2) ** -1.5) / 4  # 2 (k(0) - E k(x, x')) / n with x - x' ~ N(0, 2 I)
    assert biased.mean() == pytest.approx(excess, abs=4 * biased.std() / np.sqrt(4000))
    assert biased.min() >= -1e-6


def test_kernels_refuse_scales_that_are_not_positive():
    with pytest.raises(ValueError, match="bandwidth of 0"):
        d.gaussian_kernel(0.0)
    with pytest.raises(ValueError, match="scales"):
        d.inverse_multiquadric_kernel((1.0, -1.0))


def test_minibatch_weights():
    weights = np.exp(d.minibatch_weights(jnp.ones(5), 50))
    np.testing.assert_allclose(weights, 1 / (50 * 5), rtol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=1), 1 / 50, rtol=1e-5)


def test_stratified_weights_rows_and_diagonal():
    n, size = 5, 50
    weights = np.exp(d.stratified_weights(jnp.ones(n), size))
    wanted = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            wanted[i, j] = 1 / size if i == j else 1 / (n - 1)
        wanted[i, (i + 1) % n] = (size - (n - 1)) / (size * (n - 1))
    np.testing.assert_allclose(weights, wanted, rtol=1e-5)
    np.testing.assert_allclose(np.diagonal(weights), 1 / size, rtol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)


def test_stratified_weights_are_those_of_the_batch_without_its_padding():
    weight = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    kept = weight > 0
    padded = np.exp(d.stratified_weights(f32(weight), 50))
    np.testing.assert_allclose(padded[np.ix_(kept, kept)], np.exp(d.stratified_weights(jnp.ones(3), 50)), rtol=1e-5)
    assert np.all(padded[:, ~kept] == 0)


def test_stratified_weights_estimate_the_aggregate_without_bias():
    """Every batch of 3 out of 5 in every order: the mean of the estimate of q(z_1) is 1/5 sum_j q(z_1 | x_j), exactly."""
    from itertools import permutations

    densities = RNG.uniform(size=5)
    weights = np.asarray(np.exp(d.stratified_weights(jnp.ones(3), 5)))
    estimates = [weights[0] @ densities[list(batch)] for batch in permutations(range(5), 3) if batch[0] == 0]
    assert np.mean(estimates) == pytest.approx(densities.mean(), rel=1e-5)


def test_a_data_set_smaller_than_the_batch_is_refused():
    with pytest.raises(ValueError, match="dataset_size is 4"):
        d.stratified_weights(jnp.ones(5), 4)


@pytest.mark.slow
@pytest.mark.parametrize("make", [d.minibatch_weights, d.stratified_weights])
def test_total_correlation_against_a_loop(make):
    n, size = 7, 40
    means, stds = RNG.normal(size=(n, 3)), RNG.uniform(0.3, 1.0, size=(n, 3))
    z = means + stds * RNG.normal(size=(n, 3))
    log_densities = norm.logpdf(z[:, None], means[None], stds[None])
    weights = np.exp(np.asarray(make(f32(WEIGHT), size), np.float64))
    total = 0.0
    for i in np.flatnonzero(WEIGHT):
        joint = sum(weights[i, j] * np.exp(log_densities[i, j].sum()) for j in range(n))
        marginals = [sum(weights[i, j] * np.exp(log_densities[i, j, k]) for j in range(n)) for k in range(3)]
        total += WEIGHT[i] * (np.log(joint) - np.sum(np.log(marginals)))
    spoilt = log_densities.copy()
    spoilt[GARBAGE], spoilt[:, GARBAGE] = np.nan, np.nan
    value, gradient = jax.value_and_grad(d.total_correlation)(f32(spoilt), make(f32(WEIGHT), size), f32(WEIGHT))
    assert value == pytest.approx(total / WEIGHT.sum(), rel=1e-4)
    assert np.all(np.isfinite(gradient))


def test_mutual_information_against_a_loop_and_at_its_ends():
    n = 6
    means, stds = RNG.normal(size=n), RNG.uniform(0.3, 1.0, size=n)
    z = means + stds * RNG.normal(size=n)
    log_densities = norm.logpdf(z[:, None], means[None], stds[None])
    weight = np.array([1.0, 0.0, 2.0, 1.0, 1.0, 0.0])
    share = weight / weight.sum()
    wanted = sum(share[i] * (log_densities[i, i] - np.log(share @ np.exp(log_densities[i]))) for i in range(n))
    got = d.mutual_information(f32(log_densities), jnp.arange(n), f32(weight))
    assert got == pytest.approx(wanted, rel=1e-4)
    apart = f32(np.where(np.eye(n, dtype=bool), 0.0, -1e4))
    assert d.mutual_information(apart, jnp.arange(n), jnp.ones(n)) == pytest.approx(np.log(n), rel=1e-5)
    assert d.mutual_information(jnp.zeros((n, n)), jnp.arange(n), jnp.ones(n)) == pytest.approx(0.0, abs=1e-6)


def test_covariances_against_numpy():
    """Centred over the examples, axis 0, by NumPy's own weighted covariance."""
    variances = RNG.uniform(0.1, 1.0, size=(7, 3))
    wanted = np.cov(X.T, aweights=WEIGHT, ddof=0)
    means = d.covariance_of_means(with_garbage(X), f32(variances), f32(WEIGHT))
    np.testing.assert_allclose(means, wanted, rtol=1e-4, atol=1e-6)
    aggregate = d.covariance_of_aggregate(with_garbage(X), with_garbage(variances), f32(WEIGHT))
    np.testing.assert_allclose(aggregate, wanted + np.diag(np.average(variances, axis=0, weights=WEIGHT)), rtol=1e-4, atol=1e-6)
    off = sum(wanted[i, j] ** 2 for i in range(3) for j in range(3) if i != j)
    assert d.off_diagonal_square(f32(wanted)) == pytest.approx(off, rel=1e-5)
    assert d.diagonal_square(f32(wanted)) == pytest.approx(sum((wanted[i, i] - 1) ** 2 for i in range(3)), rel=1e-5)


def test_permutation_keeps_each_marginal_and_breaks_the_rows():
    n = 40
    z = np.arange(n)[:, None] * np.array([1.0, 10.0, 100.0])
    weight = np.ones(n)
    weight[[3, 17, 39]] = 0.0
    kept = weight > 0
    permuted = np.asarray(d.permute_dimensions(f32(z), f32(weight), jax.random.key(0)))
    for column in range(3):
        np.testing.assert_array_equal(np.sort(permuted[kept, column]), z[kept, column])
    places = permuted[kept] / np.array([1.0, 10.0, 100.0])
    assert np.all((places != places[:, :1])[:, 1:].mean(axis=0) > 0.8), "dimensions move apart: a row is no old row"
    assert np.mean(places[:, 0] != np.arange(n)[kept]) > 0.8
