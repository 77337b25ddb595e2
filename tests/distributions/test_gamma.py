"""The gamma family against SciPy in float64: densities, draws, and exact derivatives of draws and expectations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special, stats

from vae.distributions import Gamma
from vae.distributions.gamma import implicit_deviate

CONCENTRATIONS = np.geomspace(1e-3, 1e4, 8).astype(np.float32)
TINY = np.array([1e-6, 1e-4], np.float32)


def test_log_prob_moments_and_entropy_are_scipys_up_to_a_million():
    concentration = np.repeat(np.geomspace(1e-6, 1e6, 25), 3).astype(np.float32)
    rate = np.tile([0.01, 1.0, 300.0], 25).astype(np.float32)
    offset = np.tile([-1.0, 0.1, 2.0], 25)
    value = (concentration / rate * np.exp(offset / np.sqrt(concentration + 1))).astype(np.float32)
    family = Gamma(jnp.array(concentration), jnp.array(rate))
    a, b, z = (x.astype(float) for x in (concentration, rate, value))
    reference = stats.gamma(a, scale=1 / b)
    # One bit of the value moves the log density by |a - b z| bits, which no form of the density can undo.
    allowed = 2e-5 + 1e-6 * np.abs(reference.logpdf(z)) + 2e-7 * np.abs(a - b * z)
    assert np.all(np.abs(family.element_log_prob(jnp.array(value)) - reference.logpdf(z)) < allowed)
    elementwise_entropy = jax.vmap(lambda a, b: Gamma(a, b).entropy())(jnp.array(concentration), jnp.array(rate))
    # SciPy's entropy cancels at large concentrations; the Gaussian limit with its 1/(3 a) takes over there.
    entropy = np.where(a > 1e3, 0.5 * np.log(2 * np.pi * np.e * a) - np.log(b) - 1 / (3 * a), reference.entropy())
    assert_allclose(elementwise_entropy, entropy, rtol=2e-6, atol=2e-5)
    assert_allclose(family.mean, a / b, rtol=1e-6)
    assert_allclose(family.variance, a / b**2, rtol=1e-6)
    assert_allclose(family.mode, np.maximum(a - 1, 0) / b, rtol=1e-6)


def test_log_prob_at_and_beyond_the_end_of_the_support():
    family = Gamma(jnp.array([0.5, 1.0, 2.0, 2.0]), jnp.full(4, 3.0))
    assert_allclose(
        family.element_log_prob(jnp.array([0.0, 0.0, 0.0, -1.0])), [np.inf, np.log(3.0), -np.inf, -np.inf], rtol=1e-6
    )


@pytest.fixture(scope="module")
def draws():
    """20,000 draws at every concentration, with dz/da, the log density and its total derivative; (concentrations, draws)."""

    def draw(concentration, key):
        def sampled(concentration):
            return Gamma(concentration, jnp.ones_like(concentration)).sample_and_log_prob(key)

        return jax.jvp(sampled, (concentration,), (jnp.ones_like(concentration),))

    keys = jax.random.split(jax.random.key(0), 20_000)
    program = jax.vmap(jax.vmap(draw, in_axes=(None, 0)), in_axes=(0, None))
    (value, log_q), (slope, log_q_slope) = jax.jit(program)(jnp.array(np.concatenate([CONCENTRATIONS, TINY])), keys)
    return tuple(np.asarray(leaf, float) for leaf in (value, slope, log_q, log_q_slope))


def test_samples_follow_the_distribution_function(draws):
    smallest = np.finfo(np.float32).tiny
    for concentration, value in zip(CONCENTRATIONS.astype(float), draws[0]):
        kept = value[value > smallest]
        rounded_up = stats.gamma.cdf(smallest, concentration)
        assert abs(1 - kept.size / value.size - rounded_up) < 4 * np.sqrt(rounded_up * (1 - rounded_up) / value.size) + 1e-9
        uniform = (stats.gamma.cdf(kept, concentration) - rounded_up) / (1 - rounded_up)
        assert stats.kstest(uniform, "uniform").pvalue > 1e-3


def test_gradients_of_expectations_are_exact(draws):
    """d/da E z = 1, d/da E z^2 = 2 a + 1 and d/da E ln z = trigamma(a), draws that were rounded up among them."""
    for concentration, value, slope in zip(CONCENTRATIONS.astype(float), draws[0], draws[1]):
        log_slope = slope / value, special.polygamma(1, concentration)
        for estimate, exact in [(slope, 1.0), (2 * value * slope, 2 * concentration + 1), log_slope]:
            assert abs(estimate.mean() - exact) < 4 * estimate.std() / np.sqrt(estimate.size)


def test_second_derivatives_of_expectations_are_exact():
    """d^2/da^2 E ln z = polygamma(2, a), through two differentiations of the sampler."""

    def log_draw(concentration, key):
        return jnp.log(Gamma(concentration, jnp.ones(())).sample(key))

    keys = jax.random.split(jax.random.key(1), 50_000)
    program = jax.jit(jax.vmap(jax.grad(jax.grad(log_draw)), (None, 0)))
    for concentration in (1.2, 8.0):
        second = np.asarray(program(jnp.float32(concentration), keys), float)
        exact, error = special.polygamma(2, concentration), second.std() / np.sqrt(second.size)
        assert abs(second.mean() - exact) < 4 * error
        assert error < 0.01 * abs(exact)


def test_derivative_of_a_draw_is_that_of_the_quantile_function():
    """The implicit derivative, per draw: dz/da at constant P(z; a), from SciPy's inverse of P in float64."""
    a, u = (x.ravel() for x in np.meshgrid([1.0, 1.3, 2.0, 7.0, 50.0, 1e3, 1e5], [1e-3, 0.1, 0.5, 0.9, 0.999]))
    scale = a - 1 / 3
    deviate = (np.cbrt(special.gammaincinv(a, u) / scale) - 1) * 3 * np.sqrt(scale)

    def draw(concentration, deviate):
        scale = concentration - 1 / 3
        return scale * (1 + implicit_deviate(deviate, concentration) / (3 * jnp.sqrt(scale))) ** 3

    slope = jax.jit(jax.vmap(jax.grad(draw)))(jnp.array(a, jnp.float32), jnp.array(deviate, jnp.float32))
    step = 1e-5 * a
    exact = (special.gammaincinv(a + step, u) - special.gammaincinv(a - step, u)) / (2 * step)
    assert_allclose(slope, exact, rtol=3e-5)


def test_gradient_in_the_rate_is_that_of_scaling():
    def draw(rate):
        return Gamma(jnp.array(2.5), rate).sample(jax.random.key(3))

    rate = jnp.array(0.7)
    value, slope = jax.jit(jax.value_and_grad(draw))(rate)
    assert_allclose(slope, -value / rate, rtol=1e-6)


def test_gradients_of_the_own_density_are_those_of_the_entropy_where_draws_leave_float32():
    """d/db log q(z) = 1/b on every draw, and d/da E log q = -dH/da = -1 - (1 - a) trigamma(a); so of another's density."""
    numbers = jnp.array([[0.01, 1e-3], [0.02, 1.0], [0.05, 300.0]])
    other = Gamma(jnp.array(0.5), jnp.array(2.0))

    def densities(parameters, key):
        value, log_q = Gamma(*parameters).sample_and_log_prob(key)
        return jnp.stack([log_q, other.log_prob(value)])

    keys = jax.random.split(jax.random.key(5), 10_000)
    program = jax.vmap(jax.vmap(jax.jacrev(densities), in_axes=(None, 0)), in_axes=(0, None))
    slopes = np.asarray(jax.jit(program)(numbers, keys), float)
    for (a, b), slope in zip(np.asarray(numbers, float), slopes, strict=True):
        assert_allclose(slope[:, 0, 1], 1 / b, rtol=2e-5)
        means, errors = slope.mean(axis=0), slope.std(axis=0) / 100
        assert abs(means[0, 0] + 1 + (1 - a) * special.polygamma(1, a)) < 4 * errors[0, 0]
        exact = -0.5 * special.polygamma(1, a) - 2 / b, 0.5 / b + 2 * a / b**2
        assert np.all(np.abs(means[1] - exact) < 4 * errors[1] + 1e-5 * np.abs(exact))


def test_draws_densities_and_their_gradients_are_finite_down_to_tiny_concentrations(draws):
    for leaf in draws:
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize("field", ["concentration", "rate"])
def test_parameters_that_are_not_positive_are_refused(field):
    parameters = {"concentration": jnp.ones(2), "rate": jnp.ones(2), field: jnp.array([1.0, 0.0])}
    with pytest.raises(ValueError, match=rf"Gamma got a {field} of 0\.0; wanted finite values > 0"):
        Gamma(**parameters)
