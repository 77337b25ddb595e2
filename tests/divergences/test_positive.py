"""KL of the Laplace, gamma, beta and Kumaraswamy families against mpmath with 50 digits, up to the extremes of float32.

Two numbers are compared relative to the value. A gradient is compared as theta dKL/dtheta, relative to the largest of its
entries: where one entry passes through zero it has no relative accuracy of its own.
"""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mpf
from numpy.testing import assert_allclose
from scipy import special
from unchecked import unchecked

from vae.distributions import Beta, Gamma, Kumaraswamy, Laplace
from vae.divergences import kl_divergence, monte_carlo_kl

mpmath.mp.dps = 50


def laplace_kl(mean_q, log_scale_q, mean_p, log_scale_p):
    d, b_q, b_p = abs(mean_q - mean_p), mpmath.exp(log_scale_q), mpmath.exp(log_scale_p)
    return log_scale_p - log_scale_q + d / b_p + b_q / b_p * mpmath.exp(-d / b_q) - 1


def laplace_gradient(mean_q, log_scale_q, mean_p, log_scale_p):
    d, b_q, b_p = mean_q - mean_p, mpmath.exp(log_scale_q), mpmath.exp(log_scale_p)
    decay = mpmath.exp(-abs(d) / b_q)
    shift = mpmath.sign(d) * (1 - decay) / b_p
    return shift, -1 + decay * (b_q + abs(d)) / b_p, -shift, 1 - (abs(d) + b_q * decay) / b_p


def gamma_kl(a, b, c, d):
    digamma_part = (a - c) * mpmath.digamma(a) - mpmath.loggamma(a) + mpmath.loggamma(c)
    return digamma_part + c * mpmath.log(b / d) + a * (d - b) / b


def gamma_gradient(a, b, c, d):
    c_slope = mpmath.digamma(c) - mpmath.digamma(a) + mpmath.log(b / d)
    return (a - c) * mpmath.polygamma(1, a) + d / b - 1, c / b - a * d / b**2, c_slope, a / b - c / d


def log_beta(a, b):
    return mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b)


def beta_kl(a, b, c, d):
    total = (c + d - a - b) * mpmath.digamma(a + b)
    return log_beta(c, d) - log_beta(a, b) + (a - c) * mpmath.digamma(a) + (b - d) * mpmath.digamma(b) + total


def beta_gradient(a, b, c, d):
    q_total = (c + d - a - b) * mpmath.polygamma(1, a + b)
    total = mpmath.digamma(a + b) - mpmath.digamma(c + d)
    q_slopes = (a - c) * mpmath.polygamma(1, a) + q_total, (b - d) * mpmath.polygamma(1, b) + q_total
    return *q_slopes, mpmath.digamma(c) - mpmath.digamma(a) + total, mpmath.digamma(d) - mpmath.digamma(b) + total


def positive_pairs(count):
    """Parameters of q and p from 1e-6 to 1e6: anywhere, within a decade, from 1e-6 to 0.1 apart, and differing in one only."""
    rng = np.random.default_rng(0)
    q = 10 ** rng.uniform(-6, 6, (count, 2))
    p = np.concatenate(
        [
            10 ** rng.uniform(-6, 6, (count // 4, 2)),
            q[count // 4 : count // 2] * 10 ** rng.uniform(-1, 1, (count // 4, 2)),
            q[count // 2 : -count // 4] * (1 + 10 ** rng.uniform(-6, -1, (count // 4, 1)) * rng.normal(size=(count // 4, 2))),
            q[-count // 4 :] * np.stack([np.ones(count // 4), 1 + 10 ** rng.uniform(-6, 0, count // 4)], axis=1),
        ]
    )
    return np.concatenate([q, np.clip(p, 1e-6, 1e6)], axis=1).astype(np.float32)


def laplace_pairs(count):
    """Log scales within 20 of zero and 40 of each other, means from 1e-6 to 1e3 scales apart."""
    rng = np.random.default_rng(0)
    log_scale = rng.uniform(-20, 20, (2, count))
    log_scale[1, : count // 2] = log_scale[0, : count // 2] + 10 ** rng.uniform(-5, 0, count // 2)
    shift = np.exp(log_scale[0]) * 10 ** rng.uniform(-6, 3, count) * rng.choice([-1, 1], count)
    return np.stack([np.zeros(count), log_scale[0], shift, log_scale[1]], axis=1).astype(np.float32)


ROWS = {
    "laplace": (Laplace, laplace_kl, laplace_gradient, laplace_pairs(200)),
    "gamma": (Gamma, gamma_kl, gamma_gradient, positive_pairs(400)),
    "beta": (Beta, beta_kl, beta_gradient, positive_pairs(400)),
}


@pytest.fixture(scope="module", params=ROWS)
def row(request):
    """The name of a row, and its values and gradients at every pair, then from every q to itself, from one compilation."""
    family, _, _, parameters = ROWS[request.param]

    def divergence(theta):
        return kl_divergence(family(theta[0], theta[1]), family(theta[2], theta[3]))

    with_itself = parameters[:, [0, 1, 0, 1]]
    both = jnp.array(np.concatenate([parameters, with_itself]))
    values, gradients = map(np.asarray, jax.jit(jax.vmap(jax.value_and_grad(divergence)))(both))
    return request.param, np.split(values, 2), np.split(gradients, 2)


def test_value_and_gradient_over_the_whole_range(row):
    name, (values, _), (gradients, _) = row
    _, exact, exact_gradient, parameters = ROWS[name]
    reference = np.array([float(exact(*map(mpf, map(float, theta)))) for theta in parameters])
    slopes = np.array([[float(g) for g in exact_gradient(*map(mpf, map(float, theta)))] for theta in parameters])
    assert np.all(values >= 0)
    assert_allclose(values, reference, rtol=1e-5)
    scales = parameters.astype(float) if name != "laplace" else np.exp(parameters[:, 1:2].astype(float)) ** [1, 0, 1, 0]
    error, largest = np.abs(gradients - slopes) * scales, np.abs(slopes * scales).max(axis=1, keepdims=True)
    assert np.all(error < 4e-6 * largest)
    if name == "gamma":  # no entry hides behind a larger one
        assert np.all(error < 1e-5 * np.abs(slopes * scales) + 1e-30)


def test_equal_distributions_have_none_and_no_gradient(row):
    _, (_, values), (_, gradients) = row
    assert_allclose(values, 0.0)
    assert_allclose(gradients, 0.0)


def test_laplace_at_the_extreme_log_scales():
    """Differences of 40 and more in the log scale, means far and equal: finite where the exact value fits float32."""
    log_scale_q, log_scale_p, shift = (
        x.ravel() for x in np.meshgrid([-30.0, -10.0, 10.0, 30.0], [-30.0, 10.0, 30.0], [0.0, 1e3])
    )

    def divergence(log_scale_q, log_scale_p, shift):
        return kl_divergence(Laplace(shift, log_scale_q), Laplace(jnp.zeros(()), log_scale_p))

    program = jax.jit(jax.vmap(jax.value_and_grad(divergence, argnums=(0, 1, 2))))
    values, gradients = program(*(jnp.array(x, jnp.float32) for x in (log_scale_q, log_scale_p, shift)))
    exact = [laplace_kl(mpf(d), mpf(q), mpf(0), mpf(p)) for q, p, d in zip(log_scale_q, log_scale_p, shift)]
    assert_allclose(values, np.array(exact, float), rtol=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def expected_log_rest(a, b):
    """E ln(1 - x) in float64: 22,000 points in ln E, E = -b ln(1 - x^a) a standard exponential, in log space throughout."""
    log_e = np.arange(-40.0, 4.0, 2e-3)
    tail = np.exp(log_e) / b[:, None]
    log_power = np.where(tail < 1, np.log(-np.expm1(-tail)), np.log1p(-np.exp(-np.maximum(tail, 1))))
    log_z = np.where(tail > 30, -tail, np.log(np.maximum(-log_power, 1e-300))) - np.log(a[:, None])
    log_rest = np.where(log_z < -30, log_z, np.log(-np.expm1(-np.exp(np.clip(log_z, -30, 300)))))
    return 2e-3 * np.sum(log_rest * np.exp(log_e - np.exp(log_e)), axis=1)


def kumaraswamy_kl(theta):
    """Elementary but for E ln(1 - x)."""
    a, b, alpha, beta = np.asarray(theta, float).T
    log_value = -(special.digamma(b + 1) + np.euler_gamma) / a
    level = np.log(a * b) + special.betaln(alpha, beta) + (a - alpha) * log_value - (b - 1) / b
    return level - (beta - 1) * expected_log_rest(a, b)


def kumaraswamy_gradient(theta):
    """theta d KL / d theta by central differences of the oracle."""
    moves = 1e-4 * np.eye(4)
    return np.stack([kumaraswamy_kl(theta * (1 + m)) - kumaraswamy_kl(theta * (1 - m)) for m in moves], axis=1) / 2e-4


@pytest.fixture(scope="module")
def kumaraswamy_row():
    def divergence(theta):
        return kl_divergence(Kumaraswamy(theta[0], theta[1]), Beta(theta[2], theta[3]))

    program = jax.jit(jax.vmap(jax.value_and_grad(divergence)))

    def row(theta):
        """One shape for every test, so that the row is compiled once."""
        padded = np.resize(theta, (500, 4)).astype(np.float32)
        return tuple(np.asarray(leaf)[: len(theta)] for leaf in program(jnp.array(padded)))

    return row


def test_kumaraswamy_to_beta_where_the_ten_term_series_is_wrong(kumaraswamy_row):
    assert_allclose(kumaraswamy_row(np.array([[1.7, 2.4, 1.5, 3.0]]))[0], 0.1591425782, rtol=1e-5)
    assert_allclose(kumaraswamy_kl([[1.7, 2.4, 1.5, 3.0]]), 0.1591425782, rtol=1e-8)


def test_kumaraswamy_to_beta_from_a_tenth_to_fifty(kumaraswamy_row):
    """1e-5 relative, with an absolute floor of 5e-7 where the two nearly agree."""
    rng = np.random.default_rng(1)
    theta = np.exp(rng.uniform(np.log(0.1), np.log(50), (120, 4)))
    theta[-20:, 2:] = theta[-20:, :2] * rng.uniform(0.8, 1.2, (20, 2))
    theta = theta.astype(np.float32)
    values, gradients = kumaraswamy_row(theta)
    assert_allclose(values, kumaraswamy_kl(theta), rtol=1e-5, atol=5e-7)
    assert_allclose(gradients * theta, kumaraswamy_gradient(theta.astype(float)), rtol=1e-4, atol=2e-5)


def test_kumaraswamy_to_beta_is_zero_where_both_are_the_same_law(kumaraswamy_row):
    same = np.array([[1.0, 0.3, 1.0, 0.3], [1.0, 50.0, 1.0, 50.0], [0.2, 1.0, 0.2, 1.0], [40.0, 1.0, 40.0, 1.0]], np.float32)
    assert_allclose(kumaraswamy_row(same)[0], 0.0, atol=1e-6)


def test_kumaraswamy_to_beta_over_the_whole_range(kumaraswamy_row):
    """From 1e-6 to 1e6: 1e-4 relative with an absolute floor of 1e-5; gradients 1e-3 of their largest entry."""
    rng = np.random.default_rng(2)
    theta = 10 ** rng.uniform(-6, 6, (150, 4))
    theta[::2, 2:] = theta[::2, :2] * 10 ** rng.uniform(-0.5, 0.5, (75, 2))
    theta = theta.astype(np.float32)
    values, gradients = kumaraswamy_row(theta)
    assert np.all(values >= 0)
    assert_allclose(values, kumaraswamy_kl(theta), rtol=1e-4, atol=1e-5)
    slopes = kumaraswamy_gradient(theta.astype(float))
    largest = np.abs(slopes).max(axis=1, keepdims=True)
    assert np.all(np.abs(gradients * theta.astype(float) - slopes) < 1e-3 * largest)


PAIRS = {
    "laplace": (Laplace(jnp.array([0.3, 1.0]), jnp.array([-0.2, 0.5])), Laplace(jnp.array([0.1, 2.0]), jnp.array([0.3, 0.1]))),
    "gamma": (Gamma(jnp.array([2.0, 0.6]), jnp.array([3.0, 0.5])), Gamma(jnp.array([0.7, 1.5]), jnp.array([2.5, 1.0]))),
    "beta": (Beta(jnp.array([2.0, 0.8]), jnp.array([3.0, 1.2])), Beta(jnp.array([0.7, 2.0]), jnp.array([2.5, 0.9]))),
    "kumaraswamy": (
        Kumaraswamy(jnp.array([1.7, 0.7]), jnp.array([2.4, 3.0])),
        Beta(jnp.array([1.5, 2.0]), jnp.array([3.0, 1.2])),
    ),
}


def test_divergence_is_that_of_the_densities():
    """Within 4 standard errors of Monte Carlo with 100,000 draws; one compilation for all pairs."""

    @jax.jit
    def numbers(pairs, key):
        return {name: (kl_divergence(q, p), *monte_carlo_kl(q, p, key, 100_000)) for name, (q, p) in pairs.items()}

    for name, (kl, estimate, error) in numbers(PAIRS, jax.random.key(0)).items():
        assert abs(kl - estimate) < 4 * error, name
        assert error < 0.02 * kl, "a standard error this large would let anything pass"


def test_events_of_different_shape_are_refused():
    q, p = Gamma(jnp.ones(3), jnp.ones(3)), Gamma(jnp.ones(2), jnp.ones(2))
    with unchecked(), pytest.raises(ValueError, match=r"KL got q \(3,\), p \(2,\)"):
        kl_divergence(q, p)
