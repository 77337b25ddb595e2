"""check_objective passes ours and names planted mistakes."""

import jax
import jax.numpy as jnp
import pytest

from vae import networks
from vae.distributions import Normal
from vae.objectives import (
    analytic,
    batch_mean,
    combined_importance_weighted,
    core,
    doubly_reparameterised,
    elbo,
    factorising,
    importance_weighted,
    multi_sample,
    over_batch,
    partially_importance_weighted,
    plain,
    renyi,
    sticking_the_landing,
    terms_of,
    total_rate,
)
from vae.testing import check_objective, linear_gaussian, linear_gaussian_data

KEY = jax.random.key(0)


@pytest.mark.slow
def test_our_objectives_pass():
    ours = elbo(regularisers=[factorising(networks.mlp((4,), ()), 2)])
    used = check_objective(ours, KEY, weights=("beta",), skip=("bound",))
    assert {"losses", "terms", "gradient", "likelihood", "reported terms", "weights", "padding", "duplicated batch"} <= set(
        used
    )
    assert "bound" in check_objective(importance_weighted(3, doubly_reparameterised), KEY, weights=())


def written_by_hand(per_example, reduce=batch_mean):
    """A user's own objective: (terms, beta) -> numbers per example."""

    def loss(params, carried, key, batch, settings, model):
        def example(key, x, context):
            trace = model.infer(params, carried.model, x, context, settings)(key)
            return terms_of(trace, x, analytic, key), trace.statistics

        terms, statistics = over_batch(example, key, batch)
        values = reduce(per_example(terms, settings.get("beta", 1.0)), batch.weight)
        return values, (terms, {"statistics": statistics})

    return plain(loss)


def right(terms, beta):
    return -terms.log_likelihood + beta * total_rate(terms)


MISTAKES = {
    "mean over pixels": (lambda terms, beta: -terms.log_likelihood / 5 + beta * total_rate(terms), batch_mean, "likelihood"),
    "sum over the batch": (right, lambda values, weight: jnp.sum(weight * values), "likelihood"),
    "sum over the batch, divided by a constant": (
        right,
        lambda values, weight: jnp.sum(weight * values) / 6,
        "duplicated batch",
    ),
    "mean over padding": (right, lambda values, weight: jnp.mean(values), "padding"),
    "sign of the weight": (lambda terms, beta: -terms.log_likelihood - beta * total_rate(terms), batch_mean, "weights"),
    "half the rate": (lambda terms, beta: -terms.log_likelihood + 0.5 * beta * total_rate(terms), batch_mean, "bound"),
}


def test_the_same_by_hand_without_mistake_passes():
    check_objective(written_by_hand(right), KEY)


@pytest.mark.parametrize("name", MISTAKES)
def test_planted_mistakes_are_named(name):
    per_example, reduce, check = MISTAKES[name]
    with pytest.raises(AssertionError, match=f"fails the check '{check}'"):
        check_objective(written_by_hand(per_example, reduce), KEY)


@pytest.mark.parametrize(
    "bound",
    [
        lambda log_weights, settings: 2.0 * jnp.max(log_weights) - jnp.min(log_weights),
        lambda log_weights, settings: jnp.max(log_weights),
    ],
)
def test_an_estimate_that_is_no_bound_is_named(bound):
    """At the exact posterior all weights are equal, and anything of them is the evidence."""
    with pytest.raises(AssertionError, match="fails the check 'bound'"):
        check_objective(multi_sample(bound, 3), KEY, weights=())


BOUNDS = {
    "CIWAE": combined_importance_weighted(3),
    "PIWAE": partially_importance_weighted(2, 3, sticking_the_landing),
    "Renyi": renyi(3),
}


@pytest.mark.slow_but("Renyi")
@pytest.mark.parametrize("name", BOUNDS)
def test_our_bounds_are_bounds(name):
    assert check_objective(BOUNDS[name], KEY, weights=())["bound"] < 0.01


def test_padding_that_spoils_the_gradient_alone_is_named(monkeypatch):
    """The loss leaves the padded terms out, but zero times an infinite slope is NaN."""
    monkeypatch.setattr(core, "with_padding_replaced", lambda examples, weight: examples)
    with pytest.raises(AssertionError, match=r"fails the check 'padding': got nan, wanted 0.*gradient"):
        check_objective(elbo(), KEY)


def conditional():
    """The linear-Gaussian model of x minus its context's offset, which has a key beside it that nothing reads."""
    base = linear_gaussian()

    def infer(params, state, x, context, settings):
        draw = base.infer(params, state, x - context["offset"], (), settings)

        def shifted(key, values=()):
            trace = draw(key, values)
            likelihood = trace.likelihood
            return trace._replace(likelihood=Normal(likelihood.mean + context["offset"], likelihood.log_std))

        return shifted

    def prior(params, state, key, context, values=(), temperature=1.0):
        return base.prior(params, state, key, (), values, temperature)

    return base._replace(infer=infer, prior=prior)


@pytest.mark.slow
def test_a_conditional_model_is_checked_with_its_contexts():
    offset = jnp.arange(30.0).reshape(6, 5)
    x = linear_gaussian_data(KEY, 6) + offset
    context = {"offset": offset, "unread": jax.random.split(KEY, 6)}
    used = check_objective(elbo(), KEY, model=conditional(), x=x, context=context)
    assert {"padding", "duplicated batch", "likelihood"} <= set(used)
    per_example, reduce, check = MISTAKES["mean over padding"]
    with pytest.raises(AssertionError, match=f"fails the check '{check}'"):
        check_objective(written_by_hand(per_example, reduce), KEY, model=conditional(), x=x, context=context)


def test_a_model_needs_its_examples():
    with pytest.raises(ValueError, match="wanted x"):
        check_objective(elbo(), KEY, model=linear_gaussian())
