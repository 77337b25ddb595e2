"""Bounds on the evidence against a linear-Gaussian model, whose evidence is exact, and against plain NumPy."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy.special import logsumexp

from vae.evaluation import batches, elbo_terms, evidence, importance_sampled_evidence, pareto_k
from vae.evaluation.pareto import tail_length
from vae.objectives import analytic, log_ratio, log_weight, total_rate
from vae.settings import Settings
from vae.trained import Trained

MODEL = toys.linear_gaussian()
PARAMS, _ = MODEL.init(jax.random.key(0))
X = np.random.default_rng(1).multivariate_normal(
    np.zeros(4), toys.LOADINGS @ toys.LOADINGS.T + toys.NOISE**2 * np.eye(4), size=40
)
EXACT = toys.linear_gaussian_evidence(X)
X = jnp.asarray(X, jnp.float32)


def perturbed(params, shift=0.3):
    """A posterior that is off in mean and scale."""
    posterior = {"weights": 0.8 * params["posterior"]["weights"], "log_std": params["posterior"]["log_std"] + shift}
    return params | {"posterior": posterior}


OFF = perturbed(PARAMS)
TRAINED, PERTURBED = Trained(MODEL, PARAMS), Trained(MODEL, OFF)


def bound(samples, params=OFF, x=X, key=2, **kwargs):
    return importance_sampled_evidence(Trained(MODEL, params), x, jax.random.key(key), samples=samples, **kwargs)


def plain_log_weights(params, x, key, samples):
    """log w of every sample, with the documented keys: fold_in(fold_in(key, example), sample)."""

    def one(row, x):
        draw = MODEL.infer(params, (), x, (), Settings())
        example_key = jax.random.fold_in(key, row)
        return jax.vmap(lambda k: log_weight(draw(jax.random.fold_in(example_key, k)), x))(jnp.arange(samples))

    return np.asarray(jax.jit(jax.vmap(one))(jnp.arange(len(x)), x), np.float64)


WEIGHTS = plain_log_weights(OFF, X, jax.random.key(2), 70)
REPEATED = jnp.tile(X, (200, 1))


# Against the exact evidence


def test_elbo_of_the_exact_posterior_is_the_evidence():
    sampled = elbo_terms(TRAINED, X, jax.random.key(0), rates=log_ratio)
    np.testing.assert_allclose(sampled.log_likelihood - total_rate(sampled), EXACT, atol=2e-5)
    closed = elbo_terms(TRAINED, REPEATED, jax.random.key(0), rates=analytic)
    values = np.asarray(closed.log_likelihood - total_rate(closed), np.float64).reshape(200, -1)
    error = values.std(axis=0) / np.sqrt(200)
    assert np.all(np.abs(values.mean(axis=0) - EXACT) < 5 * error)


def test_every_weight_of_the_exact_posterior_is_the_evidence():
    found = bound(8, PARAMS)
    np.testing.assert_allclose(found.log_evidence, EXACT, atol=2e-5)
    np.testing.assert_allclose(found.effective_sample_size, 8.0, rtol=1e-4)
    assert np.all(np.asarray(found.monte_carlo_error) < 1e-3)


def test_bounds_rise_with_the_number_of_samples_towards_the_evidence():
    """ELBO <= E log 1/5 sum w <= E log 1/50 sum w <= log p(x), each gap larger than its Monte Carlo error."""
    keys = jax.random.split(jax.random.key(5), 200)

    def repeated(samples):
        values = jax.jit(jax.vmap(lambda k: importance_sampled_evidence(PERTURBED, X, k, samples=samples).log_evidence.mean()))(
            keys
        )
        return np.mean(values), np.std(values) / np.sqrt(len(keys))

    terms = elbo_terms(PERTURBED, REPEATED, jax.random.key(6))
    per_repeat = np.asarray(terms.log_likelihood - total_rate(terms), np.float64).reshape(200, -1).mean(axis=1)
    ladder = [
        (per_repeat.mean(), per_repeat.std() / np.sqrt(200)),
        repeated(5),
        repeated(50),
        (EXACT.mean(), 0.0),
    ]
    for (low, low_error), (high, high_error) in itertools.pairwise(ladder):
        assert low + 3 * np.hypot(low_error, high_error) < high


def test_one_sample_gives_the_elbo_in_expectation():
    terms = elbo_terms(PERTURBED, REPEATED, jax.random.key(6))
    found = bound(1, x=REPEATED, key=8)
    assert np.all(np.isnan(found.monte_carlo_error)), "one sample has no known error"
    assert np.all(found.effective_sample_size == 1)
    gap = np.asarray(found.log_evidence, np.float64) - np.asarray(terms.log_likelihood - total_rate(terms))
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(gap.size)


def test_monte_carlo_error_is_the_spread_over_keys():
    keys = jax.random.split(jax.random.key(7), 400)
    found = jax.jit(jax.vmap(lambda k: importance_sampled_evidence(PERTURBED, X[:6], k, samples=300)))(keys)
    spread = np.std(found.log_evidence, axis=0)
    claimed = np.sqrt(np.mean(np.square(np.asarray(found.monte_carlo_error, np.float64)), axis=0))
    np.testing.assert_allclose(claimed, spread, rtol=0.15)  # the spread itself is known to 1/sqrt(800) = 3.5 %, 4 sd


# Against NumPy on the same draws


@pytest.mark.parametrize("samples", [7, 70])
def test_the_streamed_sum_is_the_plain_one(samples):
    weights = WEIGHTS[:, :samples]
    found = bound(samples, batch_size=40)  # 25 samples in flight, so that 7 is less than a chunk and 70 is not a multiple
    np.testing.assert_allclose(found.log_evidence, logsumexp(weights, axis=1) - np.log(samples), atol=2e-5)
    normalised = np.exp(weights - logsumexp(weights, axis=1, keepdims=True))
    np.testing.assert_allclose(found.effective_sample_size, 1 / np.sum(normalised**2, axis=1), rtol=1e-4)
    plain = np.exp(weights - weights.max(axis=1, keepdims=True))
    error = plain.std(axis=1, ddof=1) / np.sqrt(samples) / plain.mean(axis=1)
    np.testing.assert_allclose(found.monte_carlo_error, error, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_the_running_sum_survives_any_scale(scale):
    """Weights that differ by hundreds of nats, in an order that raises the maximum again and again."""
    log_weights = scale * np.sort(np.random.default_rng(3).normal(size=(6, 5)).ravel()).reshape(6, 5) - 1e4
    running = evidence._Weights(largest=jnp.array(-jnp.inf), total=jnp.zeros(()), squares=jnp.zeros(()))
    for chunk in log_weights:
        running = evidence._accumulate(running, jnp.asarray(chunk, jnp.float32))
    found = evidence._summarise(running, log_weights.size)
    rounded = np.float64(np.float32(log_weights)).ravel()
    assert found.log_evidence == pytest.approx(logsumexp(rounded) - np.log(rounded.size), rel=1e-6)
    share = np.exp(rounded - logsumexp(rounded))
    assert found.effective_sample_size == pytest.approx(1 / np.sum(share**2), rel=1e-3)


def test_the_shape_of_the_tail_is_that_of_all_weights_at_once():
    found = bound(70, batch_size=40)  # chunks of 25
    expected = jax.jit(jax.vmap(pareto_k))(jnp.asarray(WEIGHTS, jnp.float32))
    np.testing.assert_allclose(found.pareto_k, expected, atol=1e-3)
    assert np.all(np.isnan(bound(7, batch_size=40).pareto_k)), "too few to tell"


# What must not show


def test_neither_the_batch_nor_the_rows_in_flight_show(monkeypatch):
    whole = bound(70, batch_size=40)
    chex.assert_trees_all_close(bound(70, batch_size=7), whole, rtol=1e-4, atol=1e-5)  # the last batch is padded
    monkeypatch.setattr(evidence, "ROWS_IN_FLIGHT", 120)
    again = importance_sampled_evidence.__wrapped__.__wrapped__  # the limit is read while tracing
    few = jax.jit(again, static_argnames=("samples", "batch_size"))
    narrow = few(PERTURBED, X, jax.random.key(2), samples=70, batch_size=40)
    chex.assert_trees_all_close(narrow, whole, rtol=1e-4, atol=1e-5)


def test_an_example_has_the_same_bound_alone_and_among_others():
    alone = bound(70, x=X[:1], batch_size=40)
    chex.assert_trees_all_close(alone, jax.tree.map(lambda v: v[:1], bound(70, batch_size=40)), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_jit_and_no_jit_agree():
    compiled = elbo_terms(PERTURBED, X[:1], jax.random.key(2))
    with jax.disable_jit():
        plain = elbo_terms(PERTURBED, X[:1], jax.random.key(2))
    chex.assert_trees_all_close(plain, compiled, rtol=1e-4, atol=1e-5)


def test_memory_holds_the_largest_weights_and_never_all_of_them():
    """All weights of 5,000 samples would be 800 kB; the tail that gives Pareto k is 3 sqrt(K) of them, in a few copies."""

    def temporary(samples):
        compiled = importance_sampled_evidence.__wrapped__.lower(PERTURBED, X, jax.random.key(0), samples=samples).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    few, many = temporary(100), temporary(5000)
    tail, weights = (4 * len(X) * numbers for numbers in (tail_length(5000), 5000))
    assert few > 0
    assert many < 1.2 * few + 5 * tail  # the running tail and a block of about that length, together and sorted
    assert many - few < weights / 4


def test_the_encoder_runs_once_per_example():
    def counted(params, state, x, context, settings):
        calls.append(x)
        return MODEL.infer(params, state, x, context, settings)

    calls = []
    model = MODEL._replace(infer=counted)
    jax.eval_shape(lambda x: importance_sampled_evidence(Trained(model, OFF), x, jax.random.key(0), samples=30), X)
    assert len(calls) == 1  # traced once, outside the scan over samples


def test_fewer_than_one_sample_is_refused():
    with pytest.raises(ValueError, match="samples is 0; wanted at least 1"):
        bound(0)


# map_examples


@pytest.mark.parametrize("batch_size", [1, 3, 10, 99])
def test_map_examples_gives_each_example_its_own_key(batch_size):
    data = {"a": jnp.arange(10.0), "b": jnp.arange(20).reshape(10, 2)}
    key = jax.random.key(3)

    def function(key, example):
        return example["a"] + jax.random.normal(key), example["b"].sum()

    noisy, summed = batches.map_examples(function, key, data, batch_size)
    noise = [jax.random.normal(jax.random.fold_in(key, i)) for i in range(10)]
    np.testing.assert_allclose(noisy, np.arange(10) + np.asarray(noise), rtol=1e-6)
    np.testing.assert_array_equal(summed, np.arange(20).reshape(10, 2).sum(axis=1))


def test_padding_examples_do_not_matter():
    """The last batch is filled up with copies of the first example; what that one is changes nothing of the others."""
    other = X.at[0].set(1e4)
    terms, changed = (elbo_terms(PERTURBED, x, jax.random.key(2), batch_size=7) for x in (X, other))
    chex.assert_trees_all_equal(*(jax.tree.map(lambda v: v[1:], t) for t in (terms, changed)))
