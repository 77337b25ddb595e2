"""What a group costs: rows of one's own, what is called a KL and what is not, and what an objective says of its rates."""

import jax
import jax.numpy as jnp
import optax
import pytest
import toys

from vae import rates
from vae.distributions import Normal
from vae.distributions.base import distribution
from vae.evaluation.evidence import elbo_terms
from vae.objectives import (
    KL,
    absolute,
    aggressive,
    analytic,
    analytic_with,
    elbo,
    geometric_jensen_shannon,
    importance_weighted,
    interpolating_jensen_shannon,
    is_kl,
    log_ratio,
    no_rate,
    plain,
    rate_name,
    squared,
)
from vae.testing import linear_gaussian_data
from vae.trained import Trained
from vae.training.state import initial_state
from vae.training.step import make_train_step
from vae.types import Batch

X = linear_gaussian_data(jax.random.key(0), 4)[:, :4]
BASE = toys.linear_gaussian()


@distribution
class Mine:
    """A posterior that the library has never heard of: a Normal under another name."""

    mean: jax.Array
    log_std: jax.Array

    data_space = "real"
    reparameterised = True

    def sample_and_log_prob(self, key):
        return Normal(self.mean, self.log_std).sample_and_log_prob(key)

    def sample(self, key):
        return self.sample_and_log_prob(key)[0]

    def log_prob(self, value):
        return Normal(self.mean, self.log_std).log_prob(value)


def row(q, p):
    return 0.5 * (jnp.square(q.mean) + jnp.exp(2 * q.log_std) - 1.0) - q.log_std


def with_my_posterior():
    def infer(params, state, x, context, settings):
        draw = BASE.infer(params, state, x, context, settings)

        def drawn(key, values=()):
            trace = draw(key, values)
            (z,) = trace.latents
            return trace._replace(latents=(z._replace(posterior=Mine(z.posterior.mean, z.posterior.log_std)),))

        return drawn

    return BASE._replace(infer=infer)


MODEL = with_my_posterior()
TABLE = {(Mine, Normal): row}


def metrics_of(objective, model):
    state = initial_state(model, objective, optax.sgd(0.1), jax.random.key(1))
    step = jax.jit(make_train_step(model, objective, optax.sgd(0.1)))
    return step(state, Batch(x=X, context=(), weight=jnp.ones(len(X))))[1]


@pytest.mark.slow
def test_a_row_of_ones_own_is_a_kl_like_the_librarys():
    wanted, got = metrics_of(elbo(), BASE), metrics_of(elbo(rates=analytic_with(TABLE)), MODEL)
    assert set(got) == set(wanted) >= {"kl", "elbo", "kl/0"}
    for name in wanted:
        assert jnp.allclose(got[name], wanted[name], rtol=1e-5, atol=1e-6), name
    with pytest.raises(TypeError, match=r"rates=log_ratio in an objective, or .* rates=analytic_with\(table\)"):
        metrics_of(elbo(), MODEL)


def test_rows_of_ones_own_come_first_and_the_librarys_stay():
    (z,) = BASE.infer(BASE.init(jax.random.key(0))[0], (), X[0], (), {})(jax.random.key(1)).latents
    doubled = analytic_with({(Normal, Normal): lambda q, p: 2.0 * row(q, p)})
    assert jnp.allclose(doubled(z, None), 2.0 * analytic(z, None), rtol=1e-5)
    assert jnp.allclose(analytic_with(TABLE)(z, None), analytic(z, None))


def test_equal_tables_are_one_static_argument():
    trained, calls = Trained(MODEL, *MODEL.init(jax.random.key(0))), []

    def counted(q, p):
        calls.append(1)
        return row(q, p)

    for _ in range(3):
        elbo_terms(trained, X, jax.random.key(1), rates=analytic_with({(Mine, Normal): counted}))
    assert len(calls) == 1
    assert hash(analytic_with(TABLE)) == hash(analytic_with(dict(TABLE)))


def test_only_what_declares_it_is_a_kl():
    def mine(latent, key):
        return row(latent.posterior, latent.prior).sum()

    def rewrapped(latent, key):
        return analytic(latent, key)

    for rate in (analytic, log_ratio, analytic_with({}), KL(mine), (analytic, log_ratio), [KL(mine), analytic]):
        assert is_kl(rate)
        assert rate_name(rate) == "kl" == rate_name(elbo(rate).rates)
    divergences = geometric_jensen_shannon(), interpolating_jensen_shannon()
    for rate in (mine, rewrapped, no_rate, absolute(), squared(), *divergences, [analytic, mine]):
        assert not is_kl(rate)
        assert rate_name(rate) == "rate" == rate_name(elbo(rate).rates)
    assert {"rate", "rate/0"} < set(metrics_of(elbo(mine), BASE))
    assert {"kl", "kl/0", "elbo"} < set(metrics_of(elbo(KL(mine)), BASE))


def test_an_objective_says_what_its_groups_cost():
    mine = geometric_jensen_shannon()
    assert elbo().rates is analytic is plain(lambda *arguments: None).rates
    assert elbo([analytic, mine]).rates == (analytic, mine), "hashable, since rates are static arguments"
    assert importance_weighted(2).rates is log_ratio
    assert aggressive(elbo(mine)).rates is mine
    assert rate_name(aggressive(importance_weighted(2)).rates) == "kl"
    assert isinstance(mine, rates.Rate)


def test_a_squared_rate_is_minus_a_gaussian_log_density_up_to_its_constant():
    z, scale = jnp.array([0.5, -2.0]), 1.7
    prior = Normal(jnp.zeros(2), jnp.full(2, jnp.log(scale)))
    latent = toys.latent_group(prior, prior, jax.random.key(0), z)
    constant = prior.log_prob(jnp.zeros(2))
    assert jnp.sum(squared(scale)(latent, jax.random.key(0))) == pytest.approx(float(constant - prior.log_prob(z)), rel=1e-5)
    with pytest.raises(ValueError, match=r"squared got a scale of 0\.0; wanted a positive"):
        squared(0.0)
