"""check_objective passes ours and names planted mistakes."""

import jax
import jax.numpy as jnp
import pytest

from vae import networks
from vae.objectives import (
    analytic,
    batch_mean,
    doubly_reparameterised,
    elbo,
    factorising,
    importance_weighted,
    over_batch,
    plain,
    terms_of,
    total_rate,
)
from vae.testing import check_objective

KEY = jax.random.key(0)


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


def test_a_model_needs_its_examples():
    from vae.testing import linear_gaussian

    with pytest.raises(ValueError, match="wanted x"):
        check_objective(elbo(), KEY, model=linear_gaussian())
