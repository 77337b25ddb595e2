"""KL rows of discrete and sparse families against 50-digit values, quadrature and Monte Carlo."""

import itertools

import chex
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, stats
from unchecked import unchecked

from vae.distributions import (
    Bernoulli,
    Categorical,
    ExpRelaxedCategorical,
    Normal,
    RelaxedCategorical,
    SpikeAndSlab,
    StraightThroughCategorical,
)
from vae.divergences import kl_divergence, kl_per_factor, monte_carlo_kl

FLOOR = 1e-30
ROUNDING = float(np.finfo(np.float32).eps) ** 2  # what is left of a KL, second order in the gap, at float32's precision


def exact_kl(q_logits, p_logits):
    """The value and both gradients of the categorical KL in 50 digits."""
    with mpmath.workdps(50):
        q_logits, p_logits = [[mpmath.mpf(float(logit)) for logit in logits] for logits in (q_logits, p_logits)]
        log_q, log_p = ([logit - mpmath.log(mpmath.fsum(map(mpmath.exp, ls))) for logit in ls] for ls in (q_logits, p_logits))
        q, p = list(map(mpmath.exp, log_q)), list(map(mpmath.exp, log_p))
        ratios = [a - b for a, b in zip(log_q, log_p)]
        kl = mpmath.fdot(q, ratios)
        d_q = [float(a * (r - kl)) for a, r in zip(q, ratios)]
        return float(kl), d_q, [float(b - a) for a, b in zip(q, p)]


@jax.jit
@jax.vmap
def bernoulli_kl(q, p):
    return jax.value_and_grad(lambda a, b: kl_divergence(Bernoulli(a), Bernoulli(b)), (0, 1))(q, p)


@jax.jit
@jax.vmap
def categorical_kl(q, p):
    return jax.value_and_grad(lambda a, b: kl_divergence(Categorical(a), Categorical(b)), (0, 1))(q, p)


def check_bernoulli(q, p, rtol, gradient_rtol, floor=FLOOR):
    q, p = np.asarray(q, np.float32), np.asarray(p, np.float32)
    kl, (d_q, d_p) = bernoulli_kl(q, p)
    references = [exact_kl((a, 0.0), (b, 0.0)) for a, b in zip(q, p)]
    assert_allclose(kl, [r[0] for r in references], rtol=rtol, atol=floor)
    assert_allclose(d_q, [r[1][0] for r in references], rtol=gradient_rtol, atol=FLOOR)
    assert_allclose(d_p, [r[2][0] for r in references], rtol=gradient_rtol, atol=FLOOR)


def test_bernoulli_at_every_pair_of_logits():
    logits = [-1e4, -200.0, -60.0, -20.0, -3.0, -0.5, 0.0, 0.01, 1.0, 8.0, 25.0, 60.0, 1e4]
    pairs = np.array(list(itertools.product(logits, logits)), np.float32)
    check_bernoulli(pairs[:, 0], pairs[:, 1], rtol=1e-5, gradient_rtol=1e-3)
    kl, gradients = bernoulli_kl(pairs[:, 0], pairs[:, 1])
    assert np.all(np.asarray(kl) >= 0)
    equal = pairs[:, 0] == pairs[:, 1]
    chex.assert_trees_all_equal((kl[equal], *(g[equal] for g in gradients)), (jnp.zeros(len(logits)),) * 3)


def test_bernoulli_keeps_its_digits_near_equality():
    q, gap = np.meshgrid([-12.0, -3.0, -0.3, 0.0, 0.2, 2.0, 12.0], [1e-5, 1e-4, -1e-3, 1e-2, -0.1, 0.5, 1.01])
    check_bernoulli(q.ravel(), (q + gap).ravel(), rtol=1e-4, gradient_rtol=1e-4, floor=ROUNDING)


def categorical_pairs():
    draw = np.random.default_rng(0)
    q = np.concatenate([scale * draw.standard_normal((6, 5)) for scale in (1.0, 10.0, 1e3, 1e4)])
    return np.clip(q, -1e4, 1e4).astype(np.float32), np.clip(draw.permutation(q), -1e4, 1e4).astype(np.float32)


def test_categorical_against_fifty_digits():
    q, p = categorical_pairs()
    kl, (d_q, d_p) = categorical_kl(q, p)
    references = [exact_kl(a, b) for a, b in zip(q, p)]
    assert_allclose(kl, [r[0] for r in references], rtol=1e-5)
    assert_allclose(d_q, [r[1] for r in references], rtol=1e-3, atol=1e-6)
    assert_allclose(d_p, [r[2] for r in references], rtol=1e-3, atol=1e-6)
    assert np.all(np.asarray(kl) >= 0)


@pytest.mark.parametrize("gap", [1e-4, 1e-2, 0.1])
def test_categorical_keeps_its_digits_near_equality(gap):
    q, _ = categorical_pairs()
    q = q[:6]
    p = (q + gap * np.random.default_rng(1).standard_normal(q.shape)).astype(np.float32)
    kl, (d_q, d_p) = categorical_kl(q, p)
    references = [exact_kl(a, b) for a, b in zip(q, p)]
    assert_allclose(kl, [r[0] for r in references], rtol=1e-3)
    assert_allclose(d_q, [r[1] for r in references], rtol=1e-3, atol=1e-3 * gap)
    assert_allclose(d_p, [r[2] for r in references], rtol=1e-3, atol=1e-3 * gap)


def test_categorical_is_zero_at_equality_and_ignores_a_common_shift():
    q, _ = categorical_pairs()
    kl, gradients = categorical_kl(q, q)
    chex.assert_trees_all_equal((kl, *gradients), (jnp.zeros(24), jnp.zeros((24, 5)), jnp.zeros((24, 5))))
    shifted, _ = categorical_kl(q[:6], q[:6] + 64.0)
    assert_allclose(shifted, 0.0, atol=1e-10)


def test_second_derivative_at_equality_is_the_fisher_information():
    logits = jnp.array([0.5, -1.0, 2.0])
    probabilities = np.asarray(jax.nn.softmax(logits))
    fisher = np.diag(probabilities) - np.outer(probabilities, probabilities)

    @jax.jit
    def second_derivatives(logits):
        in_p = jax.hessian(lambda other: kl_divergence(Categorical(logits), Categorical(other)))
        in_q = jax.hessian(lambda other: kl_divergence(Categorical(other), Categorical(logits)))
        return in_p(logits), in_q(logits)

    for second in second_derivatives(logits):
        assert_allclose(second, fisher, atol=2e-6)


def test_straight_through_has_the_kl_of_its_categorical():
    q, p = jnp.array([[0.4, -1.0, 1.5]]), jnp.array([[-0.3, 0.8, 0.1]])
    rate = kl_per_factor(StraightThroughCategorical(q, 0.5), StraightThroughCategorical(p, 1.0))
    chex.assert_trees_all_close(rate, kl_per_factor(Categorical(q), Categorical(p)))


SPIKE_Q = (0.7, 0.4, -0.5)
SPIKE_P = (-1.2, -0.2, 0.3)


def spike_and_slab(parameters):
    logit, mean, log_std = parameters
    return SpikeAndSlab(logit, Normal(mean, log_std))


def quadrature_kl(q, p):
    """KL with respect to Lebesgue measure plus a point at zero, by quadrature of the continuous part."""
    g, a = 1 / (1 + np.exp(-q[0])), 1 / (1 + np.exp(-p[0]))
    slab_q, slab_p = stats.norm(q[1], np.exp(q[2])), stats.norm(p[1], np.exp(p[2]))

    def integrand(z):
        return g * slab_q.pdf(z) * (np.log(g / a) + slab_q.logpdf(z) - slab_p.logpdf(z))

    reach = 12 * np.exp(q[2])
    continuous = integrate.quad(integrand, q[1] - reach, q[1] + reach, epsabs=1e-13, epsrel=1e-12)[0]
    return continuous + (1 - g) * np.log((1 - g) / (1 - a))


def test_spike_and_slab_and_its_gradient_by_quadrature():
    def divergence(q, p):
        return kl_divergence(spike_and_slab(q), spike_and_slab(p))

    value, gradients = jax.jit(jax.value_and_grad(divergence, (0, 1)))(jnp.array(SPIKE_Q), jnp.array(SPIKE_P))
    assert_allclose(value, quadrature_kl(SPIKE_Q, SPIKE_P), rtol=1e-6)
    step = 1e-4
    for i in range(3):
        move = step * np.eye(3)[i]
        d_q = (quadrature_kl(SPIKE_Q + move, SPIKE_P) - quadrature_kl(SPIKE_Q - move, SPIKE_P)) / (2 * step)
        d_p = (quadrature_kl(SPIKE_Q, SPIKE_P + move) - quadrature_kl(SPIKE_Q, SPIKE_P - move)) / (2 * step)
        assert_allclose([gradients[0][i], gradients[1][i]], [d_q, d_p], rtol=1e-3, atol=1e-6)


def test_a_saturated_gate_still_feels_a_large_divergence_of_the_slabs():
    """d/dl of sigmoid(l) KL is sigmoid(l) sigmoid(-l) KL, here 90 nats per unit where 1 - sigmoid(20) is 0 in float32."""
    slab_q, slab_p = Normal(jnp.array(3e5), jnp.zeros(())), Normal(jnp.zeros(()), jnp.zeros(()))

    @jax.jit
    @jax.grad
    def gradient(logit):
        return kl_divergence(SpikeAndSlab(logit, slab_q), SpikeAndSlab(jnp.array(20.0), slab_p))

    assert_allclose(gradient(jnp.array(20.0)), 4.5e10 / (2 + np.exp(20.0) + np.exp(-20.0)), rtol=1e-5)


def test_spike_and_slab_at_the_extremes():
    values = np.array(list(itertools.product([-1e4, -50.0, 0.0, 50.0, 1e4], [-3.0, 4.0], [-20.0, 0.0, 20.0])), np.float32)
    q, p = (jnp.asarray(v) for v in zip(*itertools.product(values, values)))

    @jax.jit
    @jax.vmap
    def divergence(a, b):
        return jax.value_and_grad(lambda a, b: kl_divergence(spike_and_slab(a), spike_and_slab(b)), (0, 1))(a, b)

    kl, gradients = divergence(q, p)
    chex.assert_tree_all_finite((kl, gradients))
    assert np.all(np.asarray(kl) >= 0)
    chex.assert_trees_all_equal(divergence(values, values)[0], jnp.zeros(len(values)))


@pytest.mark.parametrize(
    ("q", "p"),
    [
        (Bernoulli(jnp.array([0.5, -1.0])), Bernoulli(jnp.array([-0.2, 0.3]))),
        (Categorical(jnp.array([0.5, -1.0, 0.2])), Categorical(jnp.array([-0.2, 0.3, 1.0]))),
        (spike_and_slab(jnp.array(SPIKE_Q)), spike_and_slab(jnp.array(SPIKE_P))),
    ],
    ids=["bernoulli", "categorical", "spike and slab"],
)
def test_closed_form_is_within_four_standard_errors_of_monte_carlo(q, p):
    estimate, error = jax.jit(monte_carlo_kl, static_argnums=3)(q, p, jax.random.key(3), 100_000)
    assert abs(estimate - kl_divergence(q, p)) < 4 * error


@pytest.mark.parametrize("family", [RelaxedCategorical, ExpRelaxedCategorical])
def test_relaxed_categoricals_have_no_closed_form_but_their_limits_do(family):
    q, p = family(jnp.array([0.5, 1.0]), 0.5), family(jnp.array([0.0, 1.0]), 0.5)
    with pytest.raises(TypeError, match="monte_carlo_kl"):
        kl_divergence(q, p)
    assert kl_divergence(q.hard, p.hard) > 0


def test_refuses_shapes_that_differ():
    with unchecked(), pytest.raises(ValueError, match="wanted equal shapes"):
        kl_divergence(Bernoulli(jnp.zeros(3)), Bernoulli(jnp.zeros(1)))
