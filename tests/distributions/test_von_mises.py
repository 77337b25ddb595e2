"""von Mises angles against SciPy: density, entropy, distribution function, and the derivative of the quantiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from unchecked import unchecked

from vae.distributions import VonMises

ANGLES = np.array([0.0, 1.0, -3.0, 3.14])
CONCENTRATIONS = np.array([1e-6, 0.5, 8.0, 1e4])


def family(angles=ANGLES, concentrations=CONCENTRATIONS):
    return VonMises(angle=jnp.float32(angles), concentration=jnp.float32(concentrations))


@pytest.fixture(scope="module")
def draws():
    """100,000 draws of four angles with their log density."""
    return jax.jit(jax.vmap(family().sample_and_log_prob))(jax.random.split(jax.random.key(0), 100_000))


def test_density_and_entropy_are_scipys():
    x = np.array([0.3, -2.0, 9.0, 3.15])
    log_prob, entropy = jax.jit(lambda q, x: (q.log_prob(x), q.entropy()))(family(), jnp.float32(x))
    assert log_prob == pytest.approx(np.sum(stats.vonmises(kappa=CONCENTRATIONS, loc=ANGLES).logpdf(x)), rel=1e-5)
    assert entropy == pytest.approx(np.sum([stats.vonmises(kappa=k).entropy() for k in CONCENTRATIONS]), rel=1e-5)


def test_density_integrates_to_one():
    x = np.linspace(-np.pi, np.pi, 2000, endpoint=False)
    density = np.exp(jax.jit(jax.vmap(family(0.7, 30.0).log_prob))(jnp.float32(x)))
    assert np.mean(density) * 2 * np.pi == pytest.approx(1.0, rel=1e-5)


def test_draws_are_scipys_distribution(draws):
    values, log_prob = draws
    assert np.max(np.abs(values)) <= np.float32(np.pi) * (1 + 1e-6)
    for i, (angle, concentration) in enumerate(zip(ANGLES, CONCENTRATIONS, strict=True)):
        centred = np.asarray(values[:, i], np.float64) - angle
        centred -= 2 * np.pi * np.round(centred / (2 * np.pi))
        assert stats.kstest(centred, stats.vonmises(kappa=concentration).cdf).pvalue > 1e-3
        correlation = np.corrcoef(np.cos(centred), np.cos(np.asarray(values[:, (i + 1) % 4]) - ANGLES[(i + 1) % 4]))[0, 1]
        assert abs(correlation) < 0.02
    exact = np.sum(stats.vonmises(kappa=CONCENTRATIONS, loc=ANGLES).logpdf(values[:200]), axis=1)
    np.testing.assert_allclose(log_prob[:200], exact, atol=5e-2)  # the angle 3.14 is rounded to 2e-7, half of a part in 1e4
    np.testing.assert_allclose(np.mean(log_prob), -family().entropy(), atol=4 * np.std(log_prob) / np.sqrt(len(log_prob)))


@pytest.fixture(scope="module")
def slopes():
    """(angle, concentration) -> 50,000 draws and their derivatives in the two."""

    def draw(angle, concentration, key):
        return VonMises(angle=angle, concentration=concentration).sample(key)

    program = jax.jit(jax.vmap(jax.value_and_grad(draw, argnums=(0, 1)), in_axes=(None, None, 0)))
    keys = jax.random.split(jax.random.key(2), 50_000)
    return lambda angle, concentration: program(jnp.float32(angle), jnp.float32(concentration), keys)


def test_pathwise_derivative_is_that_of_the_quantile(slopes):
    """dx/dkappa against float64 differences of SciPy's quantile at the level of the draw x; dx/dangle = 1."""
    for concentration in (0.5, 6.0, 30.0):  # from 50 on SciPy's is a normal approximation
        values, (d_angle, d_concentration) = slopes(0.0, concentration)
        np.testing.assert_array_equal(d_angle, 1.0)
        level, step = stats.vonmises(kappa=concentration).cdf(np.float64(values[:40])), 1e-3 * concentration
        above, below = (stats.vonmises(kappa=concentration + sign * step).ppf(level) for sign in (1, -1))
        np.testing.assert_allclose(d_concentration[:40], (above - below) / (2 * step), rtol=2e-3, atol=1e-6)


def test_gradient_of_an_expectation(slopes):
    """E[cos x] = A(kappa) cos(angle): the derivatives are A' cos(angle) and -A sin(angle)."""
    angle, concentration = 0.8, 1.5
    a = special.ive(1, concentration) / special.ive(0, concentration)
    exact = (-a * np.sin(angle), (1 - a**2 - a / concentration) * np.cos(angle))
    values, derivatives = slopes(angle, concentration)
    for derivative, want in zip(derivatives, exact, strict=True):
        gradient = -np.sin(np.asarray(values, float)) * np.asarray(derivative, float)
        assert abs(gradient.mean() - want) < 4 * gradient.std() / np.sqrt(gradient.size)


def test_any_shape():
    """Angles in any arrangement are the same angles; a draw has their shape."""
    together, apart = family(ANGLES.reshape(2, 2), CONCENTRATIONS.reshape(2, 2)), family()
    x = jnp.array([0.3, -2.0, 1.0, 3.0])
    assert jax.jit(together.log_prob)(x.reshape(2, 2)) == pytest.approx(float(jax.jit(apart.log_prob)(x)), rel=1e-5)
    value, log_prob = jax.eval_shape(together.sample_and_log_prob, jax.random.key(0))
    assert (value.shape, log_prob.shape) == ((2, 2), ())


def test_bad_parameters_are_refused_in_one_sentence():
    with unchecked(), pytest.raises(ValueError, match=r"VonMises got angle \(2,\), concentration \(3,\)"):
        VonMises(angle=jnp.zeros(2), concentration=jnp.ones(3))
    with pytest.raises(ValueError, match="VonMises got a concentration of"):
        VonMises(angle=jnp.zeros(2), concentration=jnp.float32([1.0, -1.0]))
