"""What several experts say together, held against densities that are multiplied and added by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from vae import kl_divergence
from vae.distributions import Laplace, Normal, mixture_of_experts, only_expert, product_of_experts, standard_normal

MEANS, LOG_STDS = np.array([[0.5, -1.0], [2.0, 0.3], [-0.7, 0.1]]), np.array([[-0.5, 0.2], [0.3, -1.5], [0.1, 0.4]])
EXPERTS = Normal(jnp.asarray(MEANS, jnp.float32), jnp.asarray(LOG_STDS, jnp.float32))
PRIOR = Normal(jnp.array([0.2, -0.1]), jnp.array([0.4, 0.1]))
GRID = np.linspace(-14, 14, 40_001)
ALL, NONE, SOME = jnp.ones(3, bool), jnp.zeros(3, bool), jnp.array([True, False, True])


@pytest.mark.parametrize("present", [ALL, SOME])
def test_the_product_is_the_density_that_multiplication_gives(present):
    found = product_of_experts(EXPERTS, present, PRIOR)
    for i in range(2):
        log_density = norm(PRIOR.mean[i], np.exp(PRIOR.log_std[i])).logpdf(GRID)
        log_density += sum(norm(MEANS[m, i], np.exp(LOG_STDS[m, i])).logpdf(GRID) for m in range(3) if present[m])
        density = np.exp(log_density - log_density.max())
        density /= np.trapezoid(density, GRID)
        mean = np.trapezoid(density * GRID, GRID)
        assert float(found.mean[i]) == pytest.approx(mean, abs=1e-5)
        assert float(found.std[i]) == pytest.approx(np.sqrt(np.trapezoid(density * (GRID - mean) ** 2, GRID)), rel=1e-5)


def test_who_is_not_heard_changes_nothing_and_gets_no_gradient():
    other = Normal(EXPERTS.mean.at[1].set(99.0), EXPERTS.log_std.at[1].set(-9.0))
    for combine in (product_of_experts, mixture_of_experts):
        one, two = (combine(experts, SOME, PRIOR).log_prob(jnp.ones(2)) for experts in (EXPERTS, other))
        assert float(one) == pytest.approx(float(two), rel=1e-6)
        gradient = jax.grad(lambda experts, combine=combine: combine(experts, SOME, PRIOR).log_prob(jnp.ones(2)))(EXPERTS)
        assert np.all(np.isfinite(gradient.mean))
        assert not np.any(gradient.mean[1])
        assert np.all(gradient.mean[np.array([0, 2])] != 0)


@pytest.mark.parametrize("combine", [product_of_experts, mixture_of_experts])
def test_where_nobody_is_heard_the_prior_is_left(combine):
    found = combine(EXPERTS, NONE, PRIOR)
    for value in (jnp.zeros(2), jnp.array([1.0, -3.0])):
        assert float(found.log_prob(value)) == pytest.approx(float(PRIOR.log_prob(value)), rel=1e-5)
    alone = only_expert(jax.tree.map(lambda leaf: leaf[:1], EXPERTS), NONE[:1], PRIOR)
    assert float(kl_divergence(alone, PRIOR)) == 0.0


def test_the_mixture_is_the_mean_of_the_densities_that_are_heard():
    value = np.array([0.4, -0.2])
    found = mixture_of_experts(EXPERTS, SOME, PRIOR)
    each = [norm(MEANS[m], np.exp(LOG_STDS[m])).logpdf(value).sum() for m in (0, 2)]
    assert float(found.log_prob(jnp.asarray(value, jnp.float32))) == pytest.approx(logsumexp(each) - np.log(2), rel=1e-5)
    draws = np.asarray(jax.jit(jax.vmap(found.sample))(jax.random.split(jax.random.key(0), 20_000)))
    error = np.sqrt(np.asarray(found.variance) / len(draws))
    assert np.all(np.abs(draws.mean(axis=0) - MEANS[[0, 2]].mean(axis=0)) < 4.5 * error)
    np.testing.assert_allclose(found.mean, MEANS[[0, 2]].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(draws.var(axis=0), found.variance, rtol=0.05)


def test_one_expert_alone_is_heard_or_the_prior():
    one = jax.tree.map(lambda leaf: leaf[:1], EXPERTS)
    np.testing.assert_array_equal(only_expert(one, ALL[:1], PRIOR).mean, EXPERTS.mean[0])
    np.testing.assert_array_equal(only_expert(one, NONE[:1], PRIOR).mean, PRIOR.mean)


def test_what_has_no_product_is_refused():
    laplace = jax.vmap(Laplace)(EXPERTS.mean, EXPERTS.log_std)
    with pytest.raises(TypeError, match="got experts Laplace and a prior Normal; wanted Normal for both"):
        product_of_experts(laplace, ALL, standard_normal(2))
    with pytest.raises(ValueError, match="only_expert got 3 experts; wanted one"):
        only_expert(EXPERTS, ALL, PRIOR)
