"""Examples of weight zero: whatever they hold, a padded batch has the loss and the gradient of the batch without them."""

import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from vae import discrepancies, networks
from vae.data.feeds import feed, prepared
from vae.objectives import (
    absolute,
    adversarial,
    aggressive,
    capacity,
    combined_importance_weighted,
    controlled,
    core,
    doubly_reparameterised,
    elbo,
    extra_rate,
    factorising,
    free_bits,
    free_bits_per_dimension,
    geometric_jensen_shannon,
    importance_weighted,
    interpolating_jensen_shannon,
    log_ratio,
    maximum_mean_discrepancy,
    moment_matching,
    multi_sample,
    multiply_importance_weighted,
    no_rate,
    over_batch,
    partially_importance_weighted,
    perceptual,
    renyi,
    score_function,
    sticking_the_landing,
    total_correlation,
)
from vae.settings import Settings
from vae.training.state import initial_state
from vae.training.step import gradients_by_player, make_train_step
from vae.types import Batch, Carried

VALID, PADDED, KEY = 4, 6, jax.random.key(3)
X = jnp.asarray(np.random.default_rng(0).normal(size=(VALID, 4)), jnp.float32)
KERNEL = discrepancies.gaussian_kernel(1.0)
DISCRIMINATOR = networks.mlp((3,), ())
REGULARISERS = [
    maximum_mean_discrepancy(KERNEL),
    maximum_mean_discrepancy(KERNEL, discrepancies.mmd_biased, name="biased"),
    total_correlation(20),
    total_correlation(20, discrepancies.minibatch_weights, name="minibatch"),
    *moment_matching(),
    *(r._replace(name=f"{r.name} II") for r in moment_matching(discrepancies.covariance_of_aggregate)),
    perceptual(jnp.square),
    extra_rate(absolute(), 0.1, "l1"),
    extra_rate(geometric_jensen_shannon(), 0.1, "geometric"),
    extra_rate(interpolating_jensen_shannon(), 0.1, "interpolating"),
]
OBJECTIVES = {
    "ELBO": elbo(),
    "log ratio": elbo(log_ratio),
    "no rate": elbo(no_rate),
    "capacity": elbo(rate_term=capacity()),
    "free bits": elbo(rate_term=free_bits(0.5)),
    "free bits per dimension": elbo(rate_term=free_bits_per_dimension(0.5)),
    "controlled": elbo(rate_term=controlled(1.0)),
    "regularisers": elbo(regularisers=REGULARISERS),
    "players": elbo(regularisers=[factorising(DISCRIMINATOR, 2), adversarial(DISCRIMINATOR, 2)]),
    "IWAE": importance_weighted(3),
    "IWAE, score": importance_weighted(3, score_function),
    "IWAE, landing": importance_weighted(3, sticking_the_landing),
    "MIWAE, doubly": multiply_importance_weighted(2, 3, doubly_reparameterised),
    "PIWAE": partially_importance_weighted(2, 3),
    "CIWAE": combined_importance_weighted(3),
    "Renyi": renyi(3),
    "worst sample": multi_sample(lambda log_weights, settings: jnp.min(log_weights), 3),
    "aggressive": aggressive(elbo()),
}


def losses_and_gradients(objective):
    model = toys.linear_gaussian()
    params, model_state = model.init(KEY)
    own, state = objective.init(KEY)
    params = params | ({"objective": own} if jax.tree.leaves(own) else {})

    @jax.jit
    def found(x, weight):
        def losses(params):
            settings = Settings(training=True)
            return objective.loss(params, Carried(model_state, state), KEY, Batch(x, (), weight), settings, model)

        gradients, values, (_, aux) = gradients_by_player(losses, params)
        return values, gradients, aux["metrics"]

    return found


@pytest.mark.slow_but("IWAE, score", "players")
@pytest.mark.parametrize("name", OBJECTIVES)
def test_padding_shows_in_no_number(name):
    """Neither in loss, gradient nor metric: NaN, infinity and a finite number whose square is none, in every objective."""
    found = losses_and_gradients(OBJECTIVES[name])
    wanted = found(X, jnp.ones(VALID))
    weight = jnp.ones(PADDED).at[VALID:].set(0.0)
    for filling in (jnp.nan, -jnp.inf, 1e30):
        got = found(jnp.concatenate([X, jnp.full((PADDED - VALID, 4), filling)]), weight)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6, err_msg=f"{name}, {filling}")


def test_every_leaf_is_replaced_by_the_first_example_of_positive_weight():
    """Integers, keys, contexts and observed values too; groups that are not observed stay None."""
    rows = jnp.arange(4)
    batch = Batch(
        x={"pixels": jnp.outer(rows, jnp.ones(3)).at[0].set(jnp.nan), "count": rows},
        context=(jax.random.split(KEY, 4), rows[:, None] > 1),
        weight=jnp.array([0.0, 0.5, 2.0, 0.0]),
        values=(None, rows + 10),
    )

    def example(key, x, context, values):
        assert values[0] is None
        return x, jax.random.key_data(context[0]), context[1], values[1]

    x, keys, flag, value = over_batch(example, KEY, batch)
    np.testing.assert_array_equal(x["pixels"], jnp.outer(jnp.array([1.0, 1.0, 2.0, 1.0]), jnp.ones(3)))
    assert x["count"].tolist() == [1, 1, 2, 1]
    assert value.tolist() == [11, 11, 12, 11]
    assert flag[:, 0].tolist() == [False, False, True, False]
    np.testing.assert_array_equal(keys, jax.random.key_data(batch.context[0])[jnp.array([1, 1, 2, 1])])


def test_the_training_step_pays_nothing_for_it(monkeypatch):
    """With a feed's weights, constant ones, the optimised program has the operations of one without the replacement."""
    model, objective, optimiser = toys.linear_gaussian(), elbo(), optax.adam(1e-3)
    given = feed(np.asarray(X))

    def operations(computed):
        step = make_train_step(model, objective, optimiser)

        def one(state, stored):
            batch = prepared(given, KEY, stored)
            return step(state, batch._replace(weight=stored[:, 0]) if computed else batch)

        state = initial_state(model, objective, optimiser, KEY)
        text = jax.jit(one).lower(state, given.arrays).compile().as_text()
        return Counter(re.findall(r" = (\w+\[[\d,]*\])\S* ([\w-]+)\(", text))

    constant, computed = operations(False), operations(True)
    monkeypatch.setattr(core, "with_padding_replaced", lambda examples, weight: examples)
    assert constant == operations(False)
    assert computed != operations(True), "weights that are computed do cost a selection, so the right thing is compared"
