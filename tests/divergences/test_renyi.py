"""Renyi divergences of Gaussians against quadrature and float64 formulas, near alpha = 1 and where they are infinite."""

import gaussian_oracle as oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from vae.distributions import Bernoulli, LowRankNormal, MultivariateNormal, Normal, standard_normal
from vae.divergences import kl_divergence, renyi_divergence
from vae.divergences.renyi import renyi_per_factor

ORDERS = [0.05, 0.3, 0.5, 0.9, 0.999, 0.99999, 1.0, 1.00001, 1.001, 1.1]
over_orders = jax.jit(jax.vmap(jax.value_and_grad(renyi_divergence, argnums=2), in_axes=(None, None, 0)))


def renyi(q, p, alpha):
    """Float64, from covariances; the limit alpha = 1 is the KL divergence."""
    if alpha == 1.0:
        return oracle.kl(q, p)
    q_cov, p_cov = oracle.covariance(q), oracle.covariance(p)
    mixed, difference = alpha * p_cov + (1 - alpha) * q_cov, q["mean"] - p["mean"]
    log_dets = np.linalg.slogdet(mixed)[1] - (1 - alpha) * np.linalg.slogdet(q_cov)[1] - alpha * np.linalg.slogdet(p_cov)[1]
    return 0.5 * alpha * difference @ np.linalg.solve(mixed, difference) - 0.5 * log_dets / (alpha - 1)


@pytest.mark.parametrize(("q_std", "p_std"), [(0.5, 1.5), (1.2, 1.0)])
def test_against_quadrature_in_one_dimension(q_std, p_std):
    q = Normal(mean=jnp.array([0.7]), log_std=jnp.log(jnp.array([q_std])))
    p = Normal(mean=jnp.array([-0.4]), log_std=jnp.log(jnp.array([p_std])))
    for alpha in (0.3, 0.5, 0.9, 1.5, 2.0):
        integral, _ = scipy.integrate.quad(
            lambda z, a=alpha: np.exp(
                a * scipy.stats.norm.logpdf(z, 0.7, q_std) + (1 - a) * scipy.stats.norm.logpdf(z, -0.4, p_std)
            ),
            -40.0,
            40.0,
            points=(-0.4, 0.7),
        )
        assert renyi_divergence(q, p, alpha) == pytest.approx(np.log(integral) / (alpha - 1), rel=2e-5)


@pytest.mark.parametrize(("q_kind", "p_kind"), [oracle.PAIRS[0], oracle.PAIRS[1], oracle.PAIRS[4], oracle.PAIRS[8]])
def test_values_and_slopes_over_orders_through_the_limit(q_kind, p_kind):
    q, p = oracle.parameters(q_kind, 0), oracle.parameters(p_kind, 1)
    p = {name: value + 1.0 if name.startswith("log") else value for name, value in p.items()}
    p = {name: 3.0 * value if name == "scale_tril" else value for name, value in p.items()}
    values, slopes = over_orders(oracle.build(q_kind, q), oracle.build(p_kind, p), jnp.array(ORDERS))
    expected = [renyi(q, p, alpha) if abs(alpha - 1) > 1e-3 else oracle.kl(q, p) for alpha in ORDERS]
    close = np.abs(np.array(ORDERS) - 1.0) <= 1e-3
    np.testing.assert_allclose(values[~close], np.array(expected)[~close], rtol=3e-5)
    np.testing.assert_allclose(values[close], np.array(expected)[close], rtol=3e-3)
    assert np.all(np.diff(values) >= -1e-5 * values[1:]), "it grows with the order"
    step = 1e-3
    numeric = [(renyi(q, p, a + step) - renyi(q, p, a - step)) / (2 * step) for a in (1.0 + 1e-9,)]
    np.testing.assert_allclose(slopes[close], numeric[0], rtol=1e-2)
    assert values[ORDERS.index(1.0)] == pytest.approx(
        float(kl_divergence(oracle.build(q_kind, q), oracle.build(p_kind, p))), rel=1e-5
    )


@pytest.mark.parametrize("kinds", [oracle.PAIRS[0], oracle.PAIRS[4]])
def test_gradients_in_every_parameter(kinds):
    """Within 1e-3 relative of float64 finite differences, absolute floor 1e-4, on both sides of the limit and at it."""
    q, p = oracle.parameters(kinds[0], 0), oracle.parameters(kinds[1], 1)
    gradient = jax.jit(jax.grad(renyi_divergence, argnums=(0, 1)))
    for alpha in (0.4, 1.0):
        got = gradient(oracle.build(kinds[0], q), oracle.build(kinds[1], p), jnp.array(alpha))
        want = (
            oracle.central_differences(lambda moved, a=alpha: renyi(moved, p, a), q),
            oracle.central_differences(lambda moved, a=alpha: renyi(q, moved, a), p),
        )
        for side, expected in zip(got, want, strict=True):
            for name in expected:
                np.testing.assert_allclose(getattr(side, name), expected[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_infinite_where_the_tails_of_q_are_too_heavy():
    """S = alpha p_var + (1 - alpha) q_var <= 0 from alpha = q_var / (q_var - p_var) = 4/3 on; the gradient is 0, not NaN."""
    q, p = Normal(mean=jnp.zeros(2), log_std=jnp.log(jnp.array([2.0, 0.5]))), standard_normal(2)
    full = MultivariateNormal(mean=q.mean, scale_tril=jnp.diag(q.std))
    compiled = jax.jit(jax.value_and_grad(renyi_divergence))
    for alpha, finite in ((1.3, True), (1.4, False), (5.0, False)):
        for first in (q, full):
            value, gradient = compiled(first, p, alpha)
            assert np.isfinite(value) == finite
            assert finite or value == np.inf
            assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
    np.testing.assert_array_equal(np.isinf(renyi_per_factor(q, p, 1.4)), [True, False])


def test_zero_at_equality_and_symmetric_at_one_half():
    for kind in oracle.KINDS:
        q, p = oracle.build(kind, oracle.parameters(kind, 0)), oracle.build(kind, oracle.parameters(kind, 1))
        for alpha in (0.2, 1.0, 3.0):
            assert 0.0 <= renyi_divergence(q, q, alpha) < 1e-5
        assert renyi_divergence(q, p, 0.5) == pytest.approx(float(renyi_divergence(p, q, 0.5)), rel=1e-4)


def test_diagonal_is_full_with_a_diagonal_factor_at_extreme_scales():
    q = Normal(mean=jnp.array([1e-12, 0.0]), log_std=jnp.array([-30.0, 10.0]))
    p = Normal(mean=jnp.zeros(2), log_std=jnp.array([-20.0, 30.0]))
    value, gradient = jax.value_and_grad(renyi_divergence)(q, p, 0.5)
    fields = [{"mean": np.float64(d.mean), "log_std": np.float64(d.log_std)} for d in (q, p)]
    assert value == pytest.approx(renyi(*fields, 0.5), rel=1e-5)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


def test_refusals():
    with pytest.raises(ValueError, match=r"alpha = -0\.5, wanted alpha > 0"):
        renyi_divergence(standard_normal(2), standard_normal(2), -0.5)
    with pytest.raises(TypeError, match="got Bernoulli and Normal, wanted two of Normal, MultivariateNormal and LowRankNormal"):
        renyi_divergence(Bernoulli(jnp.zeros(2)), standard_normal(2), 0.5)
    with pytest.raises(ValueError, match="wanted equal shapes"):
        renyi_divergence(standard_normal(3), LowRankNormal(jnp.zeros(2), jnp.zeros((2, 1)), jnp.zeros(2)), 0.5)
