"""Jensen-Shannon divergences: published values, quadrature, the ends of the skew, Monte Carlo."""

import functools

import gaussian_oracle as oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from vae.distributions import AtSample, Mixture, MultivariateNormal, Normal, standard_normal
from vae.divergences import (
    dual_geometric_jensen_shannon,
    geometric_jensen_shannon,
    interpolating_jensen_shannon,
    kl_divergence,
    monte_carlo_jensen_shannon,
    renyi_divergence,
)
from vae.divergences.jensen_shannon import interpolating_jensen_shannon_per_factor

DIVERGENCES = {
    "nielsen": geometric_jensen_shannon,
    "deasy": interpolating_jensen_shannon,
    "dual": dual_geometric_jensen_shannon,
}
WEIGHTS = {"nielsen": (lambda a: a, False), "deasy": (lambda a: 1 - a, False), "dual": (lambda a: a, True)}


def geometric(q, p, skew, name):
    """Float64, with the geometric mean formed from precisions and the KL of covariances."""
    where, backward = WEIGHTS[name]
    s = where(skew)
    q_precision, p_precision = np.linalg.inv(oracle.covariance(q)), np.linalg.inv(oracle.covariance(p))
    cov = np.linalg.inv((1 - s) * q_precision + s * p_precision)
    mean = cov @ ((1 - s) * q_precision @ q["mean"] + s * p_precision @ p["mean"])
    middle = {"mean": mean, "scale_tril": np.linalg.cholesky(cov)}
    kl = (lambda a, b: oracle.kl(b, a)) if backward else oracle.kl
    return (1 - skew) * kl(q, middle) + skew * kl(p, middle)


@pytest.mark.parametrize("full", [False, True])
def test_known_values(full):
    """N(1, 1/4) against N(0, 1) in the form of Deasy et al.; the value at 1/2 is shared by both forms."""
    q, p = Normal(mean=jnp.ones(1), log_std=jnp.log(jnp.full(1, 0.5))), standard_normal(1)
    if full:
        q, p = (MultivariateNormal(mean=d.mean, scale_tril=jnp.diag(d.std)) for d in (q, p))
    values = [interpolating_jensen_shannon(q, p, a) for a in (0.1, 0.5, 0.9)]
    np.testing.assert_allclose(values, [0.4904387918, 0.5946782243, 2.2027496596], rtol=1e-6)
    assert geometric_jensen_shannon(q, p, 0.5) == pytest.approx(0.5946782243, rel=1e-6)


@pytest.mark.parametrize("kinds", [oracle.PAIRS[0], oracle.PAIRS[4], oracle.PAIRS[6]])
def test_values_and_gradients_in_every_parameter(kinds):
    """Gradient within 1e-3 relative of float64 finite differences, absolute floor 1e-4."""
    q, p = oracle.parameters(kinds[0], 0), oracle.parameters(kinds[1], 1)

    @jax.jit
    def compiled(q, p, skew):
        return {name: jax.value_and_grad(divergence, argnums=(0, 1))(q, p, skew) for name, divergence in DIVERGENCES.items()}

    for skew in (0.0, 0.3, 1.0):
        for name, (value, gradients) in compiled(oracle.build(kinds[0], q), oracle.build(kinds[1], p), skew).items():
            assert value == pytest.approx(geometric(q, p, skew, name), rel=2e-5, abs=2e-6)
            expected = (
                oracle.central_differences(lambda moved, s=skew, n=name: geometric(moved, p, s, n), q),
                oracle.central_differences(lambda moved, s=skew, n=name: geometric(q, moved, s, n), p),
            )
            for got, want in zip(gradients, expected, strict=True):
                for field in want:
                    where = f"{name} {field} {skew}"
                    np.testing.assert_allclose(getattr(got, field), want[field], rtol=1e-3, atol=1e-4, err_msg=where)


def test_ends_of_the_skew():
    q, p = (oracle.build(Normal, oracle.parameters(Normal, s)) for s in (0, 1))
    assert interpolating_jensen_shannon(q, p, 0.0) == pytest.approx(float(kl_divergence(q, p)), rel=1e-5)
    assert interpolating_jensen_shannon(q, p, 1.0) == pytest.approx(float(kl_divergence(p, q)), rel=1e-5)
    for skew in (0.0, 1.0):
        assert geometric_jensen_shannon(q, p, skew) == pytest.approx(0.0, abs=1e-6)
        assert dual_geometric_jensen_shannon(q, p, skew) == pytest.approx(0.0, abs=1e-6)


def test_dual_is_the_bhattacharyya_integral():
    """-ln int q^(1-a) p^a on a grid, and a times the Renyi divergence of order 1 - a."""
    q, p = Normal(mean=jnp.array([0.8]), log_std=jnp.array([-0.5])), Normal(mean=jnp.array([-0.3]), log_std=jnp.array([0.4]))
    z = np.linspace(-30, 30, 200_001)
    log_q, log_p = scipy.stats.norm.logpdf(z, 0.8, np.exp(-0.5)), scipy.stats.norm.logpdf(z, -0.3, np.exp(0.4))
    for skew in (0.2, 0.5, 0.7):
        integral = np.sum(np.exp((1 - skew) * log_q + skew * log_p)) * (z[1] - z[0])
        value = dual_geometric_jensen_shannon(q, p, skew)
        assert value == pytest.approx(-np.log(integral), rel=2e-5)
        assert value == pytest.approx(skew * float(renyi_divergence(q, p, 1 - skew)), rel=2e-5)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_zero_at_equality_and_never_negative_at_extreme_scales(name):
    logs = np.float32([-30.0, -29.99, -10.0, 0.0, 10.0, 30.0])
    q_log, p_log, mean, skew = (
        a.ravel() for a in np.meshgrid(logs, logs, np.float32([0.0, 1.0]), np.float32([0.0, 0.1, 0.9, 1.0]), indexing="ij")
    )
    keep = np.abs(q_log - p_log) <= 40.0
    q_log, p_log, mean, skew = (a[keep] for a in (q_log, p_log, mean, skew))

    def value(q_mean, q_log, p_log, skew):
        return DIVERGENCES[name](Normal(q_mean, q_log), Normal(jnp.zeros(()), p_log), skew)

    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(value, argnums=(0, 1, 2))))(
        mean * np.exp(p_log), q_log, p_log, skew
    )
    values = np.asarray(values)
    assert np.all(values >= 0.0)
    assert np.all(values[(q_log == p_log) & (mean == 0)] <= 1e-6)
    assert np.all(np.isfinite(values))
    assert all(np.all(np.isfinite(g)) for g in gradients[1:])


def test_a_skew_makes_a_row_for_the_kl_table():
    q, p = (oracle.build(Normal, oracle.parameters(Normal, s)) for s in (0, 1))
    row = functools.partial(interpolating_jensen_shannon_per_factor, skew=0.3)
    assert kl_divergence(q, p, {(Normal, Normal): row}) == pytest.approx(
        float(interpolating_jensen_shannon(q, p, 0.3)), rel=1e-6
    )
    assert row(q, p).shape == (4,)


def test_monte_carlo_against_quadrature():
    q = Mixture(jnp.zeros(2), jax.vmap(Normal)(jnp.array([[-1.0], [1.5]]), jnp.array([[-0.5], [0.0]])))
    p = standard_normal(1)
    mean, error = jax.jit(lambda key: monte_carlo_jensen_shannon(q, p, key, 100_000))(jax.random.key(0))
    z = np.linspace(-20, 20, 100_001)
    q_density = 0.5 * (scipy.stats.norm.pdf(z, -1.0, np.exp(-0.5)) + scipy.stats.norm.pdf(z, 1.5, 1.0))
    p_density = scipy.stats.norm.pdf(z)
    middle = 0.5 * (q_density + p_density)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.nan_to_num(q_density * np.log(q_density / middle) + p_density * np.log(p_density / middle))
    exact = 0.5 * np.sum(terms) * (z[1] - z[0])
    assert abs(mean - exact) < 4 * error
    assert error < 0.02 * exact


def test_monte_carlo_at_equality_and_far_apart():
    p, far = standard_normal(3), Normal(mean=jnp.full(3, 1e3), log_std=jnp.zeros(3))
    same, error = monte_carlo_jensen_shannon(p, AtSample(p), jax.random.key(0), 100)
    np.testing.assert_allclose([same, error], 0.0, atol=1e-6)
    apart, _ = monte_carlo_jensen_shannon(p, far, jax.random.key(0), 100)
    assert apart == pytest.approx(np.log(2.0), rel=1e-6)


def test_refusals():
    with pytest.raises(ValueError, match=r"skew of 1\.5, wanted one in \[0, 1\]"):
        geometric_jensen_shannon(standard_normal(2), standard_normal(2), 1.5)
    with pytest.raises(TypeError, match="got AtSample and Normal, wanted two of"):
        dual_geometric_jensen_shannon(AtSample(standard_normal(2)), standard_normal(2), 0.5)
