"""Power spherical against SciPy's beta distribution, which (1 + <direction, z>)/2 follows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from vae.distributions import PowerSpherical

DRAWS = 50_000
CASES = [(2, 0.5), (64, 1e6)]


def family(dim, concentration):
    direction = np.random.default_rng(dim).standard_normal(dim)
    direction = jnp.asarray(direction / np.linalg.norm(direction), jnp.float32)
    return PowerSpherical(direction=direction, concentration=jnp.asarray(concentration, jnp.float32))


def beta(dim, concentration):
    """Of (1 - <direction, z>)/2."""
    return stats.beta((dim - 1) / 2, (dim - 1) / 2 + concentration)


def exact_log_density(dim, concentration, cosine):
    b = (dim - 1) / 2
    a = b + concentration
    constant = (a + b) * np.log(2) + b * np.log(np.pi) + special.gammaln(a) - special.gammaln(a + b)
    return concentration * np.log1p(cosine) - constant


@pytest.mark.parametrize(("dim", "concentration"), CASES)
def test_density_draws_and_moments(dim, concentration):
    q = family(dim, concentration)
    points, log_prob = jax.jit(jax.vmap(q.sample_and_log_prob))(jax.random.split(jax.random.key(1), DRAWS))
    direction = np.asarray(q.direction, np.float64)
    part = np.sum((np.asarray(points, np.float64) - direction) ** 2, axis=1) / 4
    assert stats.kstest(part, beta(dim, concentration).cdf).pvalue > 1e-3
    tolerance = 2e-5 * max(1.0, dim, np.sqrt(dim * concentration) / 10)
    np.testing.assert_allclose(
        log_prob[:1000], exact_log_density(dim, concentration, 1 - 2 * part[:1000]), rtol=3e-5, atol=tolerance
    )
    np.testing.assert_allclose(jax.jit(jax.vmap(q.log_prob))(points[:1000]), log_prob[:1000], atol=tolerance)
    error = np.std(points, axis=0) / np.sqrt(DRAWS)
    assert np.all(np.abs(np.mean(points, axis=0) - q.mean) < 5 * error + 1e-6)
    assert q.mode is q.direction


@pytest.mark.parametrize(("dim", "concentration"), CASES)
def test_entropy_is_minus_the_expected_log_density(dim, concentration):
    """E[ln(1 + w)] by SciPy's digamma."""
    b = (dim - 1) / 2
    expected = np.log(2) + special.digamma(b + concentration) - special.digamma(2 * b + concentration)
    exact = -exact_log_density(dim, concentration, np.expm1(expected))
    assert jax.jit(family(dim, concentration).entropy)() == pytest.approx(exact, rel=1e-5, abs=1e-5)


def test_density_integrates_to_one_in_three_dimensions():
    q = PowerSpherical(direction=jnp.float32([1.0, 0.0, 0.0]), concentration=jnp.float32(3.3))
    nodes, weights = np.polynomial.legendre.leggauss(60)
    points = np.stack([nodes, np.sqrt(1 - nodes**2), 0 * nodes], axis=1)
    density = np.exp(jax.jit(jax.vmap(q.log_prob))(jnp.asarray(points, jnp.float32)))
    assert 2 * np.pi * np.sum(weights * density) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("dim", [4])
def test_gradient_of_an_expectation(dim):
    """E[<c, z>] = kappa / (kappa + m - 1) <c, mu>: both gradients."""
    q, c = family(dim, 1.7), np.linspace(1.0, 2.0, dim)
    raw, concentration = np.asarray(q.direction, np.float64), 1.7
    exact_slope = (dim - 1) / (concentration + dim - 1) ** 2 * (c @ raw)
    tangent = c - raw * (c @ raw)
    exact_tangent = concentration / (concentration + dim - 1) * tangent

    def statistic(raw, concentration, key):
        z = PowerSpherical(direction=raw / jnp.linalg.norm(raw), concentration=concentration).sample(key)
        return jnp.dot(jnp.asarray(c, jnp.float32), z)

    gradient = jax.jit(jax.vmap(jax.grad(statistic, argnums=(0, 1)), in_axes=(None, None, 0)))
    raw_slopes, slopes = gradient(q.direction, q.concentration, jax.random.split(jax.random.key(0), DRAWS))
    for got, want in ((slopes, exact_slope), (raw_slopes, exact_tangent)):
        error = np.std(got, axis=0) / np.sqrt(DRAWS)
        assert np.all(np.abs(np.mean(got, axis=0) - want) < 4 * error + 1e-6)


def test_the_antipode_is_finite_and_uniform_at_zero_concentration():
    direction = jnp.float32([1.0, 0.0])

    @jax.jit
    def at_antipode(concentration):
        return jax.value_and_grad(PowerSpherical(direction=direction, concentration=concentration).log_prob)(-direction)

    assert at_antipode(jnp.float32(0.0))[0] == pytest.approx(-np.log(2 * np.pi), rel=1e-6)
    value, slope = at_antipode(jnp.float32(5.0))
    assert -400 < value < -300
    assert np.all(np.isfinite(slope))


def test_bad_parameters_are_refused_in_one_sentence():
    with pytest.raises(ValueError, match="PowerSpherical got a direction of length 0; wanted a unit vector"):
        PowerSpherical(direction=jnp.zeros(3), concentration=jnp.float32(1.0))
    with pytest.raises(ValueError, match=r"PowerSpherical got a concentration of -2\.0"):
        PowerSpherical(direction=jnp.float32([0.0, 1.0]), concentration=jnp.float32(-2.0))
