"""What the rates add to the loss: each term against NumPy, and the controller in a closed loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae.objectives import (
    balanced,
    capacity,
    controlled,
    elbo,
    free_bits,
    free_bits_per_dimension,
    mean_rates,
    weighted,
)
from vae.settings import Settings
from vae.testing import linear_gaussian, linear_gaussian_data
from vae.training.state import initial_state
from vae.training.step import make_train_step
from vae.types import Batch

RNG = np.random.default_rng(0)
RATES = (RNG.uniform(0, 2, size=(6, 3)), RNG.uniform(0, 0.2, size=(6, 2, 2)))
WEIGHT = np.array([1.0, 0.0, 2.0, 1.0, 0.5, 0.0])
MEANS = tuple(np.average(rate, axis=0, weights=WEIGHT) for rate in RATES)
GIVEN = tuple(jnp.asarray(mean, jnp.float32) for mean in MEANS)
TOTAL = sum(mean.sum() for mean in MEANS)


def paid(term, means=GIVEN, state=(), **settings):
    nats, state, metrics = term.apply(means, Settings(settings), state)
    return float(nats), state, metrics


def test_mean_rates_leave_padding_out():
    spoilt = tuple(
        jnp.asarray(np.where(WEIGHT.reshape((-1,) + (1,) * (r.ndim - 1)) == 0, np.nan, r), jnp.float32) for r in RATES
    )
    for got, wanted in zip(mean_rates(spoilt, jnp.asarray(WEIGHT, jnp.float32)), MEANS, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_weighted_and_capacity():
    assert paid(weighted())[0] == pytest.approx(TOTAL, rel=1e-6)
    assert paid(weighted(), beta=4.0)[0] == pytest.approx(4 * TOTAL, rel=1e-6)
    for c in (TOTAL - 0.3, TOTAL + 0.3):
        assert paid(capacity(), gamma=5.0, capacity=c)[0] == pytest.approx(5 * 0.3, rel=1e-4)
    assert paid(capacity(gamma=2.0, nats=0.0))[0] == pytest.approx(2 * TOTAL, rel=1e-5)


def test_balancing_charges_a_group_by_what_it_carries_until_beta_is_one():
    """Against NumPy; the loss is the plain one from beta 1 on, and no gradient passes through the weights."""
    rates, sizes = np.array([mean.sum() for mean in MEANS]), np.array([3.0, 4.0])
    carried = (rates + 0.01) / sizes
    weights = carried / carried.mean()
    term = balanced(tuple(sizes))
    assert paid(term, beta=0.3)[0] == pytest.approx(0.3 * np.sum(weights * rates), rel=1e-5)
    for beta in (1.0, 2.0):
        assert paid(term, beta=beta)[0] == pytest.approx(beta * TOTAL, rel=1e-6)
    assert paid(term)[0] == pytest.approx(TOTAL, rel=1e-6)
    gradients = jax.grad(lambda means: term.apply(means, Settings({"beta": 0.3}), ())[0])(GIVEN)
    for gradient, weight in zip(gradients, weights, strict=True):
        np.testing.assert_allclose(gradient, 0.3 * weight, rtol=1e-5)
    assert paid(balanced(), means=(), beta=0.5)[0] == 0.0
    with pytest.raises(ValueError, match="got 2 sizes for a model with 1 latent groups"):
        term.apply(GIVEN[:1], Settings(), ())
    with pytest.raises(ValueError, match=r"sizes \(1.0, 0.0\) and least = 0.01; wanted > 0"):
        balanced((1.0, 0.0))


def test_free_bits_are_taken_of_the_batch_mean():
    """The maximum of the mean, not the mean of maxima, which is larger here."""
    nats = MEANS[0].sum() - 0.05
    per_group = sum(max(nats, mean.sum()) for mean in MEANS)
    assert paid(free_bits(nats))[0] == pytest.approx(per_group, rel=1e-6)
    assert paid(free_bits(7.0), free_nats=nats, beta=2.0)[0] == pytest.approx(2 * per_group, rel=1e-6)
    per_example = sum(np.average(np.maximum(nats, r.reshape(6, -1).sum(1)), weights=WEIGHT) for r in RATES)
    assert per_example > per_group + 0.01
    per_dimension = sum(max(0.3, d) for mean in MEANS for d in mean.reshape(-1))
    assert paid(free_bits_per_dimension(0.3))[0] == pytest.approx(per_dimension, rel=1e-6)
    gradient = jax.grad(lambda means: free_bits(nats).apply(means, Settings(), ())[0])(GIVEN)
    assert [float(g.max()) for g in gradient] == [1.0, 0.0], "a group under its free bits feels nothing"


def test_bad_charges_are_refused():
    with pytest.raises(TypeError, match="use free_bits, which is per group"):
        paid(free_bits_per_dimension(0.1), (jnp.zeros(()),))
    with pytest.raises(ValueError, match="free bits got -1"):
        free_bits(-1.0)
    with pytest.raises(ValueError, match=r"range \[2.0, 1.0\]"):
        controlled(5.0, smallest=2.0, largest=1.0)


def test_controller_against_its_recursion():
    """Shao et al., algorithm 1, in NumPy; the integral stands still at the end that the error pushes against."""
    term, integral = controlled(2.0, proportional=0.05, integral=0.02, smallest=0.1, largest=0.6), 0.0
    state = term.start
    for rate in (5.0, 4.0, 20.0, 30.0, 30.0, 1.0, 0.5, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0):
        error = 2.0 - rate
        response, summed = 0.05 / (1 + np.exp(error)) + 0.1, integral - 0.02 * error
        outside = (response + summed > 0.6 and error < 0) or (response + summed < 0.1 and error > 0)
        integral = integral if outside else summed
        beta = np.clip(response + integral, 0.1, 0.6)
        nats, state, metrics = paid(term, (jnp.array([rate]),), state)
        assert metrics["controlled_beta"] == pytest.approx(beta, abs=1e-6)
        assert nats == pytest.approx(beta * rate, abs=1e-5)


@pytest.mark.slow
def test_controller_brings_the_rate_of_a_model_to_its_target():
    """From 1.7 nats at the exact posterior to the 0.8 that were asked for, through the train step."""
    model, optimiser = linear_gaussian(), optax.adam(0.01)
    objective = elbo(rate_term=controlled(99.0, integral=0.02, largest=20.0), monitors=())
    x = linear_gaussian_data(jax.random.key(0), 64)
    state = initial_state(model, objective, optimiser, jax.random.key(1), {"target_rate": 0.8})
    step = make_train_step(model, objective, optimiser)
    batch = Batch(x=x, context=(), weight=jnp.ones(len(x)))
    _, metrics = jax.jit(lambda s: jax.lax.scan(lambda s, _: step(s, batch), s, length=2000))(state)
    assert metrics["kl"][0] > 1.5
    assert np.mean(metrics["kl"][-200:]) == pytest.approx(0.8, abs=0.02)
