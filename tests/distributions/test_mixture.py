"""Mixtures over any family, and the VampPrior."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from vae.distributions import Bernoulli, Distribution, Mixture, MultivariateNormal, Normal, vamp_prior
from vae.divergences import kl_divergence

LOGITS = np.array([0.3, -1.0, 0.5])
MEANS = np.array([[-2.0, 0.0], [1.0, 1.5], [3.0, -1.0]])
LOG_STDS = np.array([[-0.5, 0.0], [0.2, -1.0], [0.0, 0.3]])
WEIGHTS = np.exp(LOGITS) / np.exp(LOGITS).sum()


def build(logits=LOGITS, means=MEANS, log_stds=LOG_STDS):
    logits, means, log_stds = (jnp.asarray(a, jnp.float32) for a in (logits, means, log_stds))
    return Mixture(logits=logits, components=jax.vmap(Normal)(means, log_stds))


scored_with_gradient = jax.jit(jax.value_and_grad(lambda m, value: m.log_prob(value)))
scored = jax.jit(jax.vmap(lambda m, value: m.log_prob(value), in_axes=(None, 0)))


def oracle_log_prob(value, logits=LOGITS, means=MEANS, log_stds=LOG_STDS):
    weights = np.exp(logits) / np.exp(logits).sum()
    densities = np.prod(scipy.stats.norm.pdf(np.asarray(value), means, np.exp(log_stds)), axis=1)
    return np.log(weights @ densities)


def test_density_is_the_weighted_sum_and_integrates_to_one():
    axis = np.linspace(-9.0, 10.0, 300)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
    log_probs = np.asarray(scored(build(), grid), np.float64)
    np.testing.assert_allclose(log_probs[::1777], [oracle_log_prob(v) for v in grid[::1777]], rtol=1e-4)
    assert np.exp(log_probs).sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1.0, abs=1e-3)
    assert isinstance(build(), Distribution)
    assert build().data_space == "real"


def test_sampler_and_moments_agree():
    mixture = build()
    values, log_probs = jax.jit(jax.vmap(mixture.sample_and_log_prob))(jax.random.split(jax.random.key(0), 20_000))
    values = np.asarray(values, np.float64)
    np.testing.assert_allclose(mixture.weights, WEIGHTS, rtol=1e-5)
    mean = WEIGHTS @ MEANS
    np.testing.assert_allclose(mixture.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(mixture.variance, WEIGHTS @ (np.exp(2 * LOG_STDS) + (MEANS - mean) ** 2), rtol=1e-5)
    assert np.all(np.abs(values.mean(0) - mean) < 4 * values.std(0) / np.sqrt(20_000))
    for i in range(2):

        def cdf(z, i=i):
            return sum(w * scipy.stats.norm.cdf(z, m, s) for w, m, s in zip(WEIGHTS, MEANS[:, i], np.exp(LOG_STDS[:, i])))

        assert scipy.stats.kstest(values[:, i], cdf).pvalue > 1e-3
    np.testing.assert_allclose(log_probs, scored(mixture, jnp.asarray(values, jnp.float32)), atol=1e-4)


def test_learned_parameters_receive_the_right_gradient():
    """Relative 1e-3 with an absolute floor of 1e-4, against float64 finite differences."""
    value = np.array([0.4, 0.2])
    got = scored_with_gradient(build(), jnp.asarray(value, jnp.float32))[1]
    fields = [LOGITS, MEANS, LOG_STDS]
    for position, gradient in enumerate((got.logits, got.components.mean, got.components.log_std)):
        numeric = np.zeros_like(fields[position])
        for index in np.ndindex(numeric.shape):
            moved = [[f.copy() for f in fields] for _ in range(2)]
            moved[0][position][index] += 1e-5
            moved[1][position][index] -= 1e-5
            numeric[index] = (oracle_log_prob(value, *moved[0]) - oracle_log_prob(value, *moved[1])) / 2e-5
        np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-4)


def test_far_away_and_switched_off_components_stay_finite():
    mixture = build(logits=np.array([0.0, -np.inf, 0.0]))
    value, gradient = scored_with_gradient(mixture, jnp.array([1e6, -1e6]))
    assert np.isfinite(value)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


def test_any_family_will_do():
    bernoulli = Mixture(jnp.zeros(2), jax.vmap(Bernoulli)(jnp.array([[2.0, -1.0, 0.0], [-3.0, 0.5, 1.0]])))
    outcomes = jnp.array([[a, b, c] for a in (0.0, 1.0) for b in (0.0, 1.0) for c in (0.0, 1.0)])
    assert np.exp(scored(bernoulli, outcomes)).sum() == pytest.approx(1.0, rel=1e-5)
    assert bernoulli.data_space == "binary"
    factors = jnp.stack([jnp.eye(2), jnp.array([[0.5, 0.0], [0.4, 2.0]])])
    full = Mixture(jnp.array([0.0, 1.0]), jax.vmap(MultivariateNormal)(jnp.asarray(MEANS[:2], jnp.float32), factors))
    weights = np.array([1.0, np.e]) / (1.0 + np.e)
    densities = [scipy.stats.multivariate_normal(m, f @ f.T).pdf([0.5, 0.5]) for m, f in zip(MEANS, np.float64(factors))]
    assert full.log_prob(jnp.array([0.5, 0.5])) == pytest.approx(np.log(weights @ densities), rel=1e-5)
    assert full.sample(jax.random.key(0)).shape == (2,)


def test_vamp_prior_averages_the_posteriors_of_its_pseudo_inputs():
    weight = jnp.array([[0.5, -0.2], [0.1, 0.9], [0.3, 0.3]])
    pseudo_inputs = jnp.array([[1.0, 0.0, 2.0], [0.0, -1.0, 0.5]])

    def encode(x):
        return Normal(mean=x @ weight, log_std=-jnp.abs(x[:2]))

    value = jnp.array([0.3, 0.4])
    alone = [float(encode(u).log_prob(value)) for u in pseudo_inputs]
    assert vamp_prior(encode, pseudo_inputs).log_prob(value) == pytest.approx(np.log(np.mean(np.exp(alone))), rel=1e-5)
    weighted = vamp_prior(encode, pseudo_inputs, logits=jnp.array([0.0, jnp.log(3.0)])).log_prob(value)
    assert weighted == pytest.approx(np.log(np.exp(alone) @ [0.25, 0.75]), rel=1e-5)


def test_vamp_prior_encodes_once_under_a_vmap_over_examples():
    """No operation of the encoder (its tanh) carries the batch of 32 examples."""
    pseudo_inputs = jnp.ones((5, 3))

    def encode(x):
        return Normal(mean=jnp.tanh(x), log_std=jnp.zeros(3))

    def rate(z):
        return vamp_prior(encode, pseudo_inputs).log_prob(z)

    jaxpr = jax.make_jaxpr(jax.vmap(rate))(jnp.zeros((32, 3)))
    shapes = [v.aval.shape for eqn in jaxpr.jaxpr.eqns if eqn.primitive.name == "tanh" for v in eqn.outvars]
    assert shapes == [(5, 3)]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"logits \(2,\) and components with leaves \[\(3, 2\), \(3, 2\)\], wanted \(K,\)"):
        build(logits=np.zeros(2))
    with pytest.raises(TypeError, match=r"KL\(Mixture \|\| Mixture\) has no closed form here.*monte_carlo_kl"):
        kl_divergence(build(), build())


def test_a_mixture_is_a_pytree():
    mixture = build()
    chex.assert_trees_all_close(jax.jit(lambda m: m.log_prob(jnp.zeros(2)))(mixture), mixture.log_prob(jnp.zeros(2)), rtol=1e-6)
