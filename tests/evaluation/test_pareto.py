"""The Pareto shape of weights against draws with a known shape, SciPy's maximum likelihood, and loops in NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import genpareto, norm

from vae.evaluation import pareto
from vae.evaluation.report import share_unreliable

SHAPES = (-0.4, 0.0, 0.3, 0.7, 1.2)
SIZE = 400
fit = jax.jit(jax.vmap(pareto.generalised_pareto_shape))
shape_of = jax.jit(pareto.pareto_k)
LARGE = 5000


def plain_shape(exceedances):
    """Zhang & Stephens 2009, point by point in float64, with the tail's sign."""
    x = np.sort(np.asarray(exceedances, np.float64))
    n = len(x)
    m = 30 + int(np.sqrt(n))
    quartile = x[int(np.floor(n / 4 + 0.5)) - 1]
    theta = np.array([1 / x[-1] + (1 - np.sqrt(m / (j - 0.5))) / (3 * quartile) for j in range(1, m + 1)])

    def k(t):
        return np.mean([math.log1p(-t * value) for value in x])

    profile = np.array([n * (math.log(-t / k(t)) - k(t) - 1) for t in theta])
    weights = np.array([1 / np.sum(np.exp(profile - level)) for level in profile])
    return k(np.sum(weights * theta))


def plain_pareto_k(log_weights):
    """Pareto smoothed importance sampling's diagnostic: the M largest weights over the next one, shrunk to 1/2."""
    weights = np.exp(np.sort(np.asarray(log_weights, np.float64)) - np.max(log_weights))
    m = math.ceil(min(0.2 * len(weights), 3 * math.sqrt(len(weights))))
    return (m * plain_shape(weights[-m:] - weights[-m - 1]) + 10 * 0.5) / (m + 10)


@pytest.fixture(scope="module")
def draws():
    """(shape, repetition, draw) from generalised Pareto distributions with scale 2.5."""
    rng = np.random.default_rng(0)
    return np.stack([genpareto(k, scale=2.5).rvs(size=(40, SIZE), random_state=rng) for k in SHAPES])


@pytest.fixture(scope="module")
def fitted(draws):
    rows = np.sort(draws, axis=-1).reshape(-1, SIZE)
    return np.asarray(fit(jnp.asarray(rows, jnp.float32)), np.float64).reshape(len(SHAPES), -1)


def test_the_shape_of_exact_draws_is_found(fitted):
    """On average over repetitions; a single estimate has the asymptotic spread (1 + k) / sqrt(n) of maximum likelihood."""
    for shape, found in zip(SHAPES, fitted):
        spread = (1 + shape) / np.sqrt(SIZE)
        assert found.mean() == pytest.approx(shape, abs=4 * spread / np.sqrt(len(found)) + 2 / SIZE)
        assert found.std() < 1.3 * spread or shape < 0, "light tails, which worry nobody, are known less well"


def test_the_estimate_is_near_maximum_likelihood(draws, fitted):
    for i, j in ((1, 0), (2, 1), (3, 2)):
        likeliest = genpareto.fit(draws[i, j], floc=0)[0]
        assert fitted[i, j] == pytest.approx(likeliest, abs=0.02)


def test_the_estimate_is_that_of_the_loops(draws, fitted):
    for i in range(len(SHAPES)):
        assert fitted[i, 0] == pytest.approx(plain_shape(draws[i, 0]), abs=2e-4)


def test_the_scale_does_not_show(draws):
    rows = np.sort(draws[:, 0], axis=-1)
    large, small = (fit(jnp.asarray(rows * scale, jnp.float32)) for scale in (1e4, 1e-4))
    np.testing.assert_allclose(large, small, atol=1e-4)


# Importance weights


@pytest.mark.parametrize("samples", [LARGE, 300, 100])
@pytest.mark.parametrize("width", [0.6, 1.3, 2.0])
def test_pareto_k_is_that_of_the_loops(samples, width):
    """Weights of a Gaussian target under a proposal that is too narrow or wide, far from 1 and far below."""
    z = np.random.default_rng(1).normal(scale=width, size=samples)
    log_weights = norm(0.0, 1.0).logpdf(z) - norm(0.0, width).logpdf(z) - 900.0
    stored = np.asarray(log_weights, np.float32)
    assert float(shape_of(jnp.asarray(stored))) == pytest.approx(plain_pareto_k(stored), abs=5e-3)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_pareto_k_of_weights_with_a_known_tail(shape):
    weights = genpareto(shape).rvs(size=LARGE, random_state=np.random.default_rng(2))
    tail = pareto.tail_length(LARGE)
    spread = (1 + shape) / np.sqrt(tail)
    assert float(shape_of(jnp.log(jnp.asarray(weights, jnp.float32)))) == pytest.approx(shape, abs=3 * spread)


def test_a_stream_keeps_the_tail_of_the_whole():
    log_weights = np.random.default_rng(3).normal(size=700).astype(np.float32) * 3
    size = pareto.tail_length(700) + 1
    kept = jnp.full(size, -jnp.inf)
    keep = jax.jit(pareto.keep_largest)
    for chunk in np.split(log_weights, 10):
        kept = keep(kept, jnp.asarray(chunk))
    np.testing.assert_array_equal(kept, np.sort(log_weights)[::-1][:size])
    assert float(jax.jit(pareto.tail_shape)(kept)) == pytest.approx(plain_pareto_k(log_weights), abs=1e-3)


def test_the_length_of_the_tail_is_a_fifth_and_then_a_root():
    assert [pareto.tail_length(k) for k in (1, 20, 100, 225, 400, 5000)] == [1, 4, 20, 45, 60, 213]


@pytest.mark.parametrize(
    ("shapes", "share"), [([math.nan, 0.2, 0.71, 2.0], 0.5), ([0.1, 0.69], 0.0), ([math.nan, math.nan], None), (None, None)]
)
def test_the_report_says_how_many_images_are_unreliable(shapes, share):
    assert share_unreliable(shapes) == share


# Extremes


def test_one_weight_that_carries_everything_is_a_heavy_tail():
    """The others vanish in float32 beside it, a range that no sum of them could hold."""
    log_weights = jnp.concatenate([-400.0 * jnp.linspace(0.1, 1.0, LARGE - 1), jnp.array([100.0])])
    assert float(shape_of(log_weights)) > pareto.UNRELIABLE


def test_bounded_weights_have_no_tail():
    weights = np.random.default_rng(4).uniform(0.5, 1.0, size=LARGE)
    assert float(shape_of(jnp.log(jnp.asarray(weights, jnp.float32)))) < 0.0


def test_nothing_is_said_of_too_few_weights_or_equal_ones():
    assert np.isnan(pareto.pareto_k(jnp.arange(20.0)))
    assert np.isfinite(pareto.pareto_k(jnp.arange(21.0)))
    assert np.isnan(shape_of(jnp.full(LARGE, -3.0)))
