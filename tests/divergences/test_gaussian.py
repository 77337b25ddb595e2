"""Every pair of Gaussians: KL and cross-entropy against float64 oracles, Monte Carlo, and the extremes of float32."""

import chex
import gaussian_oracle as oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

from vae.distributions import AtSample, LowRankNormal, MultivariateNormal, Normal, standard_normal
from vae.divergences import cross_entropy, gaussian, kl_divergence, kl_per_factor, monte_carlo_kl

PAIR_NAMES = [f"{q.__name__}-{p.__name__}" for q, p in oracle.PAIRS]
kl_and_gradient = jax.jit(jax.value_and_grad(lambda q, p: kl_divergence(q, p), argnums=(0, 1)))


@pytest.mark.parametrize(("q_kind", "p_kind"), oracle.PAIRS, ids=PAIR_NAMES)
def test_value_and_gradient_of_every_pair(q_kind, p_kind):
    """Gradient in every parameter within 1e-3 relative of float64 finite differences, absolute floor 1e-4."""
    q, p = oracle.parameters(q_kind, 0), oracle.parameters(p_kind, 1)
    value, gradients = kl_and_gradient(oracle.build(q_kind, q), oracle.build(p_kind, p))
    assert value == pytest.approx(oracle.kl(q, p), rel=1e-5)
    expected = (
        oracle.central_differences(lambda moved: oracle.kl(moved, p), q),
        oracle.central_differences(lambda moved: oracle.kl(q, moved), p),
    )
    for got, want in zip(gradients, expected, strict=True):
        for name in want:
            np.testing.assert_allclose(getattr(got, name), want[name], rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("q_kind", "p_kind"), oracle.PAIRS, ids=PAIR_NAMES)
def test_monte_carlo_agrees_and_cross_entropy_minus_entropy_is_kl(q_kind, p_kind):
    """100,000 draws, 4 standard errors; and cross-entropy, whose rows share no formula with the KL rows, minus entropy."""
    q, p = (oracle.build(kind, oracle.parameters(kind, seed)) for kind, seed in ((q_kind, 0), (p_kind, 1)))

    @jax.jit
    def numbers(q, p, key):
        return monte_carlo_kl(q, p, key, 100_000), kl_divergence(q, p), cross_entropy(q, p) - q.entropy()

    (mean, error), closed, difference = numbers(q, p, jax.random.key(2))
    assert abs(mean - closed) < 4 * error
    assert error < 0.02 * closed, "a standard error this large would let anything pass"
    np.testing.assert_allclose(difference, closed, rtol=1e-5)


@pytest.mark.parametrize("q_kind", oracle.KINDS)
def test_zero_value_and_gradient_at_equality(q_kind):
    fields = oracle.parameters(q_kind, 3)
    for scale in (1.0, np.exp(-30.0), np.exp(30.0)):
        q = oracle.build(q_kind, oracle.scaled(fields, scale))
        value, gradients = kl_and_gradient(q, q)
        assert 0.0 <= value <= 2e-6
        # the gradient in a log or relative parameter: times the parameter's own scale
        for gradient in gradients:
            for name, got in vars(gradient).items():
                unit = 1.0 if name.startswith("log") else scale
                np.testing.assert_allclose(np.asarray(got, np.float64) * unit, 0.0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("q_kind", "p_kind"), oracle.PAIRS, ids=PAIR_NAMES)
def test_extreme_scales_of_every_pair(q_kind, p_kind):
    """Log-scales from -30 to 30 with differences up to 40: value and gradient finite wherever the exact ones fit float32.

    A gradient in a factor (not a log) may exceed float32 where the value does not: KL / factor. Those fields are left out, with
    a decade of room for the sums inside a matrix factorisation.
    """
    shape = {"q": oracle.parameters(q_kind, 0), "p": oracle.parameters(p_kind, 1)}
    for q_log, p_log in [(-30.0, -30.0), (30.0, 30.0), (-30.0, 10.0), (10.0, -30.0), (30.0, -10.0), (-10.0, 30.0)]:
        q, p = oracle.scaled(shape["q"], np.exp(q_log)), oracle.scaled(shape["p"], np.exp(p_log))
        value, gradients = kl_and_gradient(oracle.build(q_kind, q), oracle.build(p_kind, p))
        assert value == pytest.approx(oracle.kl(q, p), rel=1e-4)
        exact = (
            oracle.central_differences(lambda moved, p=p: oracle.kl(moved, p), q, np.exp(q_log)),
            oracle.central_differences(lambda moved, q=q: oracle.kl(q, moved), p, np.exp(p_log)),
        )
        for got, want, log in zip(gradients, exact, (q_log, p_log), strict=True):
            for name in want:
                largest, step = np.max(np.abs(want[name])), 1e-5 * (1.0 if name.startswith("log") else np.exp(log))
                if largest < 3e37:
                    floor = 1e-3 * largest + 1e-15 * oracle.kl(q, p) / step  # what float64 differences can resolve
                    np.testing.assert_allclose(getattr(got, name), want[name], rtol=1e-3, atol=floor, err_msg=name)


def test_diagonal_grid_is_exact_wherever_it_fits_float32():
    """Log-scales -30..30 with differences up to 40, means 0 to 1e6 stds apart, against float64, gradient included."""
    logs = np.linspace(-30.0, 30.0, 61)
    q_log, p_log, distance = (a.ravel() for a in np.meshgrid(logs, logs, [0.0, 1e-6, 1.0, 1e3, 1e6], indexing="ij"))
    keep = np.abs(q_log - p_log) <= 40.0
    q_log, p_log = q_log[keep].astype(np.float32), p_log[keep].astype(np.float32)
    q_mean = (distance[keep] * np.exp(np.float64(p_log))).astype(np.float32)

    def kl(q_mean, q_log, p_mean, p_log):
        return kl_divergence(Normal(q_mean, q_log), Normal(p_mean, p_log))

    value, gradients = jax.jit(jax.vmap(jax.value_and_grad(kl, argnums=(0, 1, 2, 3))))(q_mean, q_log, 0.0 * q_mean, p_log)
    ratio, shift = np.float64(q_log) - np.float64(p_log), np.float64(q_mean) * np.exp(-np.float64(p_log))
    excess = np.where(np.abs(ratio) < 1e-3, 2 * ratio**2, np.expm1(2 * ratio) - 2 * ratio)
    by_mean, by_q_log = shift * np.exp(-np.float64(p_log)), np.expm1(2 * ratio)
    expected = (by_mean, by_q_log, -by_mean, -by_q_log - shift**2)
    terms = (np.abs(by_mean), np.abs(by_q_log), np.abs(by_mean), np.abs(by_q_log) + shift**2)
    assert np.all(np.asarray(value) >= 0.0)
    np.testing.assert_allclose(value, 0.5 * (excess + shift**2), rtol=2e-5, atol=1e-30)
    for got, want, size in zip(gradients, expected, terms, strict=True):
        assert np.all(np.abs(got - want) <= 2e-5 * size + 1e-30)  # relative to the terms: they cancel at d^2 = 1, v = 0


def test_nearly_equal_scales_keep_their_digits():
    """KL = r^2 to second order; the naive 1/2 [ v - 1 - ln v ] in float32 is 0 or negative here."""
    ratios = np.float32(np.logspace(-7, -1, 25))
    values = jax.vmap(lambda r: kl_divergence(Normal(0.0 * r, r), Normal(0.0 * r, 0.0 * r)))(ratios)
    exact = ratios.astype(np.float64)
    np.testing.assert_allclose(values, exact**2 * (1 + 2 * exact / 3 + exact**2 / 3 + 2 * exact**3 / 15), rtol=3e-5)


def test_nearly_equal_full_covariances_keep_their_digits():
    """Value and gradient of a pair whose parameters differ in the fourth digit, each entry to its own size."""
    q, rng = oracle.parameters(MultivariateNormal, 0), np.random.default_rng(0)
    p = {name: value * (1 + 1e-4 * rng.normal(size=value.shape)) for name, value in q.items()}
    q, p = ({name: np.float64(np.float32(value)) for name, value in fields.items()} for fields in (q, p))
    value, gradients = kl_and_gradient(oracle.build(MultivariateNormal, q), oracle.build(MultivariateNormal, p))
    assert value == pytest.approx(oracle.kl(q, p), rel=1e-5)
    expected = oracle.central_differences(lambda moved: oracle.kl(q, moved), p)
    for name, want in expected.items():
        np.testing.assert_allclose(getattr(gradients[1], name), np.tril(want) if want.ndim > 1 else want, rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("q_kind", [Normal, LowRankNormal])
def test_a_low_rank_p_with_a_thin_diagonal_keeps_its_digits(q_kind):
    """Where |V| = |D^-1 W| is 1e5, Woodbury's identity in float32 is off by more than the divergence."""
    q, p = oracle.parameters(q_kind, 0), oracle.parameters(LowRankNormal, 1)
    p["log_diagonal_std"] = p["log_diagonal_std"] - np.array([12.0, 0.0, 3.0, 8.0])
    built = oracle.build(q_kind, q), oracle.build(LowRankNormal, p)
    fields = [{name: np.float64(value) for name, value in vars(gaussian).items()} for gaussian in built]
    value, gradients = kl_and_gradient(*built)
    assert value == pytest.approx(oracle.kl(*fields), rel=1e-4)
    assert np.all(np.isfinite(ravel_pytree(gradients)[0]))
    assert cross_entropy(*built) - built[0].entropy() == pytest.approx(float(value), rel=1e-4)


def test_woodbury_and_triangular_factors_give_one_divergence():
    """The two forms, of which `low_rank` takes one by the dimension: value and every gradient."""
    q, p = (oracle.build(LowRankNormal, oracle.parameters(LowRankNormal, s)) for s in (0, 1))

    @jax.jit
    def both(q, p):
        return jax.value_and_grad(gaussian.by_woodbury, argnums=(0, 1))(q, p), jax.value_and_grad(
            gaussian.triangular, argnums=(0, 1)
        )(q, p)

    chex.assert_trees_all_close(*both(q, p), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("q_kind", "p_kind"), [(Normal, Normal), (LowRankNormal, LowRankNormal)])
def test_two_thousand_dimensions(q_kind, p_kind):
    q, p = oracle.parameters(q_kind, 4, dim=2048, rank=8), oracle.parameters(p_kind, 5, dim=2048, rank=8)
    value, gradients = kl_and_gradient(oracle.build(q_kind, q), oracle.build(p_kind, p))
    assert value == pytest.approx(diagonal_or_low_rank_kl(q, p), rel=1e-5)
    assert np.all(np.isfinite(ravel_pytree(gradients)[0]))
    same, _ = kl_and_gradient(oracle.build(q_kind, q), oracle.build(q_kind, q))
    assert 0.0 <= same < 1e-3


def diagonal_or_low_rank_kl(q, p):
    """The oracle of 2,048 dimensions by the k x k matrices of Woodbury's identity, in float64; seconds by covariances."""

    def parts(fields):
        log_std = fields.get("log_std", fields.get("log_diagonal_std"))
        factor = fields.get("factor", np.zeros((log_std.size, 0)))
        inner = np.eye(factor.shape[1]) + (factor * np.exp(-2 * log_std)[:, None]).T @ factor
        return np.exp(2 * log_std), factor, inner, 2 * log_std.sum() + np.linalg.slogdet(inner)[1]

    (q_var, q_factor, _, q_log_det), (p_var, p_factor, inner, p_log_det) = parts(q), parts(p)
    columns = np.concatenate([q_factor, (q["mean"] - p["mean"])[:, None]], axis=1)
    projected = (p_factor / p_var[:, None]).T @ columns
    square = np.sum(columns**2 / p_var[:, None]) - np.sum(projected * np.linalg.solve(inner, projected))
    scaled_factor = p_factor / p_var[:, None]
    trace = np.sum(q_var / p_var) - np.sum(q_var * np.sum(scaled_factor * np.linalg.solve(inner, scaled_factor.T).T, axis=1))
    return 0.5 * (trace + square - q_var.size + p_log_det - q_log_det)


def test_low_rank_memory_is_linear_in_the_dimension():
    q, p = (oracle.build(LowRankNormal, oracle.parameters(LowRankNormal, s, dim=512, rank=4)) for s in (0, 1))
    jaxpr = jax.make_jaxpr(jax.grad(lambda q, p: kl_divergence(q, p) + p.log_prob(q.mean) + q.entropy()))(q, p)
    largest = max(np.prod(v.aval.shape, dtype=int) for eqn in jaxpr.jaxpr.eqns for v in eqn.outvars)
    assert largest < 20 * 512


diagonal_grid = jax.jit(lambda q, p: kl_divergence(Normal(*q), Normal(*p)))
floats = st.lists(st.floats(-20.0, 20.0, width=32), min_size=3, max_size=3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(floats, floats, floats, floats)
def test_diagonal_kl_is_never_negative_and_zero_at_equality(q_mean, q_log, p_mean, p_log):
    q, p = (np.float32(q_mean), np.float32(q_log)), (np.float32(p_mean), np.float32(p_log))
    assert diagonal_grid(q, p) >= 0.0
    assert diagonal_grid(q, q) == 0.0


@pytest.mark.parametrize("kind", [MultivariateNormal, LowRankNormal])
def test_near_equality_the_other_kinds_are_not_negative_either(kind):
    """Relative perturbations from 1e-8 to 1/2; at the small end rounding is as large as the divergence."""
    rng = np.random.default_rng(0)
    q = oracle.build(kind, oracle.parameters(kind, 0))
    steps = jnp.asarray(np.logspace(-8, np.log10(0.5), 200), jnp.float32)

    def moved(leaf):
        noise = jnp.asarray(rng.uniform(-1.0, 1.0, size=(200, *leaf.shape)), jnp.float32)
        return leaf[None] * (1.0 + steps.reshape(-1, *([1] * leaf.ndim)) * noise)

    perturbed = jax.tree.map(moved, q)
    values = jax.jit(jax.vmap(lambda p: jnp.stack([kl_divergence(q, p), kl_divergence(p, q)])))(perturbed)
    assert np.all(np.asarray(values) >= 0.0)
    assert np.all(np.asarray(values[:50]) < 1e-6)
    assert np.all(np.asarray(values[-20:]) > 1e-3)


@pytest.mark.parametrize(("q_kind", "p_kind"), oracle.PAIRS[4:6] + oracle.PAIRS[6:9:2])
def test_vmap_and_jit_change_nothing(q_kind, p_kind):
    qs = [oracle.build(q_kind, oracle.parameters(q_kind, s)) for s in range(3)]
    p = oracle.build(p_kind, oracle.parameters(p_kind, 9))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *qs)
    together = jax.jit(jax.vmap(kl_divergence, in_axes=(0, None)))(stacked, p)
    np.testing.assert_allclose(together, [kl_divergence(q, p) for q in qs], rtol=1e-5)


def test_diagonal_kl_stays_apart_by_component():
    q, p = oracle.parameters(Normal, 0), oracle.parameters(Normal, 1)
    per_factor = kl_per_factor(oracle.build(Normal, q), oracle.build(Normal, p))
    alone = [oracle.kl(*({n: v[i : i + 1] for n, v in fields.items()} for fields in (q, p))) for i in range(4)]
    np.testing.assert_allclose(per_factor, alone, rtol=1e-5)


def test_pairs_without_meaning_are_refused():
    with pytest.raises(ValueError, match=r"Normal over \(3,\) and MultivariateNormal over \(2,\), wanted equal shapes"):
        kl_divergence(standard_normal(3), MultivariateNormal(mean=jnp.zeros(2), scale_tril=jnp.eye(2)))
    with pytest.raises(ValueError, match="wanted equal shapes"):
        kl_divergence(standard_normal(3), standard_normal(1))
    with pytest.raises(TypeError, match=r"MultivariateNormal.*AtSample.*log ratio at the sample"):
        kl_divergence(MultivariateNormal(mean=jnp.zeros(2), scale_tril=jnp.eye(2)), AtSample(standard_normal(2)))
