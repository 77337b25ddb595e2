"""von Mises-Fisher against SciPy's density, its quantiles, and the moments whose derivatives are known exactly."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from vae.distributions import PowerSpherical, VonMisesFisher
from vae.distributions import power_spherical as power_spherical_module
from vae.distributions import von_mises_fisher as von_mises_fisher_module
from vae.distributions._angle import PROPOSALS, angle_velocity

DRAWS = 50_000


def unit(seed, dim):
    vector = np.random.default_rng(seed).standard_normal(dim)
    return jnp.asarray(vector / np.linalg.norm(vector), jnp.float32)


def family(direction, concentration):
    return VonMisesFisher(direction=direction, concentration=jnp.asarray(concentration, jnp.float32))


@functools.cache
def drawer(draws):
    return jax.jit(lambda q, key: jax.vmap(q.sample_and_log_prob)(jax.random.split(key, draws)))


def ratio(dim, concentration):
    """A by SciPy's scaled Bessel functions."""
    return special.ive(dim / 2, concentration) / special.ive(dim / 2 - 1, concentration)


@pytest.mark.parametrize(("dim", "concentration"), [(2, 0.3), (3, 5.0), (64, 100.0)])
def test_density_and_entropy_are_scipys(dim, concentration):
    q, points = family(unit(0, dim), concentration), stats.uniform_direction(dim).rvs(20, random_state=1).astype(np.float32)
    direction = np.asarray(q.direction, np.float64) / np.linalg.norm(np.asarray(q.direction, np.float64))
    oracle = stats.vonmises_fisher(direction, concentration)
    got, entropy, mean = jax.jit(lambda q, x: (jax.vmap(q.log_prob)(x), q.entropy(), q.mean))(q, jnp.asarray(points))
    points = points.astype(np.float64) / np.linalg.norm(points.astype(np.float64), axis=1, keepdims=True)
    np.testing.assert_allclose(got, oracle.logpdf(points), rtol=1e-5, atol=2e-5)
    assert entropy == pytest.approx(float(oracle.entropy()), rel=1e-5, abs=1e-5)
    np.testing.assert_allclose(mean, ratio(dim, concentration) * direction, rtol=1e-5, atol=1e-7)
    assert q.mode is q.direction


def test_density_integrates_to_one_in_three_dimensions():
    q = family(jnp.float32([0.0, 0.0, 1.0]), 4.0)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    points = np.stack([np.sqrt(1 - nodes**2), 0 * nodes, nodes], axis=1)
    density = np.exp(jax.jit(jax.vmap(q.log_prob))(jnp.asarray(points, jnp.float32)))
    assert 2 * np.pi * np.sum(weights * density) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize(("dim", "concentration"), [(3, 5.0), (64, 1e3)])  # the circle: test_von_mises.py
def test_draws_have_the_density(dim, concentration):
    """The cosine against its distribution function by quadrature, and the density that comes with a draw."""
    q = family(unit(1, dim), concentration)
    points, log_prob = drawer(DRAWS)(q, jax.random.key(dim))
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0, atol=1e-6)
    tolerance = 2e-5 * max(1.0, dim, np.sqrt(dim * concentration) / 10)
    np.testing.assert_allclose(jax.jit(jax.vmap(q.log_prob))(points[:1000]), log_prob[:1000], atol=tolerance)
    chord = np.linalg.norm(np.asarray(points, np.float64) - np.asarray(q.direction, np.float64), axis=1)
    angles = np.append(np.geomspace(1e-7, 1, 200_000)[:-1] * np.pi, np.pi - 1e-9)
    log_density = -2 * concentration * np.sin(angles / 2) ** 2 + (dim - 2) * np.log(np.sin(angles))
    cumulative = integrate.cumulative_trapezoid(np.exp(log_density - log_density.max()), angles, initial=0.0)
    half_angles = np.arcsin(np.minimum(chord / 2, 1.0))
    result = stats.kstest(2 * half_angles, lambda a: np.interp(a, angles, cumulative / cumulative[-1]))
    assert result.pvalue > 1e-3


@pytest.mark.parametrize("dim", [5])
def test_gradients_of_expectations(dim):
    """Of <c, z> and <c, z>^2, whose expectations are A <c, mu> and A/kappa |c|^2 + (1 - m A/kappa) <c, mu>^2."""
    start, concentration = np.asarray(unit(2, dim), np.float64), 2.5
    c = np.linspace(1.0, 2.0, dim)

    def exact(raw, concentration):
        direction = raw / np.linalg.norm(raw)
        a = ratio(dim, concentration)
        return np.array([a * (c @ direction), a / concentration * c @ c + (1 - dim * a / concentration) * (c @ direction) ** 2])

    step = 1e-5
    d_concentration = (exact(start, concentration + step) - exact(start, concentration - step)) / (2 * step)
    d_raw = [
        (exact(start + step * e, concentration) - exact(start - step * e, concentration)) / (2 * step) for e in np.eye(dim)
    ]

    def statistics(raw, concentration, key):
        z = VonMisesFisher(direction=raw / jnp.linalg.norm(raw), concentration=concentration).sample(key)
        first = jnp.dot(jnp.asarray(c, jnp.float32), z)
        return jnp.stack([first, first**2])

    jacobian = jax.jit(jax.vmap(jax.jacrev(statistics, argnums=(0, 1)), in_axes=(None, None, 0)))
    raw_slopes, slopes = jacobian(jnp.float32(start), jnp.float32(concentration), jax.random.split(jax.random.key(0), DRAWS))
    for got, want in ((slopes, d_concentration), (raw_slopes, np.stack(d_raw, axis=1))):
        error = np.std(got, axis=0) / np.sqrt(DRAWS)
        assert np.all(np.abs(np.mean(got, axis=0) - want) < 4 * error + 1e-6)
        assert np.all(error < 0.1 * np.abs(d_concentration).max()), "the bound must be able to fail"


def quantile_table(statistic, dim, concentration):
    angles = np.linspace(0, np.pi, 200_001)
    angles[[0, -1]] = 1e-12, np.pi - 1e-12
    log_density = concentration * statistic(angles) + (dim - 2) * np.log(np.sin(angles))
    cumulative = integrate.cumulative_trapezoid(np.exp(log_density - log_density.max()), angles, initial=0.0)
    return angles, cumulative / cumulative[-1]


@pytest.mark.parametrize(
    ("record", "statistic"),
    [
        (von_mises_fisher_module.VON_MISES_FISHER, np.cos),
        (power_spherical_module.POWER_SPHERICAL, lambda angle: 2 * np.log(np.cos(angle / 2))),
    ],
    ids=["von Mises-Fisher", "power spherical"],
)
@pytest.mark.parametrize("dim", [2, 8])
def test_velocity_is_the_derivative_of_the_quantile(record, statistic, dim):
    """d theta / d kappa at fixed quantiles against float64 differences of the quantile function."""
    levels = np.array([1e-3, 0.01, 0.1, 0.3, 0.5, 0.6865, 0.7, 0.9, 0.99, 0.999])
    velocity = jax.jit(lambda concentration, angle: angle_velocity(record, dim, concentration, angle))
    for concentration in (0.3, 4.0, 14.0, 25.0, 60.0):
        step = 1e-3 * concentration
        middle, above, below = (
            np.interp(levels, *quantile_table(statistic, dim, k)[::-1])
            for k in (concentration, concentration + step, concentration - step)
        )
        got = velocity(jnp.full(levels.shape, concentration, jnp.float32), jnp.asarray(middle, jnp.float32))
        np.testing.assert_allclose(got, (above - below) / (2 * step), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("module", [von_mises_fisher_module, power_spherical_module])
def test_running_out_of_proposals_is_negligible(module):
    """Acceptance over the symmetric beta, by quadrature: never above one, and rejected PROPOSALS times below 1e-9."""
    angle = (np.arange(20_000) + 0.5) / 20_000 * np.pi
    for dim in (2, 3, 16, 2048):
        weights = np.exp((dim - 2) * np.log(np.sin(angle)))
        for concentration in (1.0, 100.0, 1e6):
            scale = np.float64(module.proposal_scale(dim, jnp.float32(concentration)))
            part = scale * np.cos(angle / 2) ** 2 / (scale * np.cos(angle / 2) ** 2 + np.sin(angle / 2) ** 2)
            log_acceptance = module.log_acceptance(dim, jnp.float32([concentration]), jnp.float32(part - scale / (1 + scale)))
            assert np.max(log_acceptance) < 1e-3
            rejected = 1 - np.average(np.exp(np.float64(log_acceptance)), weights=weights)
            assert rejected**PROPOSALS < 1e-9


@jax.jit
def values_and_jacobians(raw):
    """2,000 draws, and their derivatives in the direction before it is normalised."""

    def draw(raw, key):
        value = family(raw / jnp.linalg.norm(raw), 20.0).sample(key)
        return value, value

    jacobians, values = jax.vmap(jax.jacrev(draw, has_aux=True), (None, 0))(raw, jax.random.split(jax.random.key(0), 2_000))
    return values, jacobians


@pytest.mark.parametrize("first", [1.0, -1.0, 1e-8, -1e-8, 0.0])
def test_directions_at_and_around_the_poles(first):
    """The mean points the right way, and the gradient in the direction is finite and that of a rotation."""
    direction = jnp.float32([first, *(np.sqrt(1 - first**2) * np.float32([0.6, 0.0, 0.8]))])
    values, jacobians = values_and_jacobians(direction)
    np.testing.assert_allclose(np.mean(values, axis=0), ratio(4, 20.0) * direction, atol=0.03)
    assert np.all(np.isfinite(jacobians))
    np.testing.assert_allclose(np.einsum("nij,ni->nj", jacobians, values), 0.0, atol=2e-5)


@pytest.mark.parametrize(("kind", "dim"), [(VonMisesFisher, 2048), (PowerSpherical, 2)])
def test_extremes_are_finite(kind, dim):
    """A draw, its density and their gradients from concentration 0 to 1e6."""
    direction = unit(4, dim)

    def numbers(concentration, key):
        z, log_prob = kind(direction=direction, concentration=concentration).sample_and_log_prob(key)
        return jnp.sum(z) + log_prob

    both = jax.jit(jax.vmap(jax.value_and_grad(numbers)))
    concentrations = jnp.float32([0.0, 1e-6, 1e-3, 1.0, 1e3, 1e6] * 200)
    for leaf in both(concentrations, jax.random.split(jax.random.key(0), concentrations.size)):
        assert np.all(np.isfinite(leaf))


@pytest.mark.parametrize("kind", [VonMisesFisher, PowerSpherical])
def test_nothing_loops_until_something_happens_and_nothing_leaves_the_device(kind):
    def loss(concentration, key):
        z, log_prob = kind(direction=unit(0, 5), concentration=concentration).sample_and_log_prob(key)
        return jnp.sum(z) + log_prob

    program = str(jax.make_jaxpr(jax.grad(loss))(jnp.float32(2.0), jax.random.key(0)))
    assert "erf_inv" in program
    assert not any(word in program for word in ("while", "cond[", "callback"))


def test_bad_parameters_are_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"direction of length 2; wanted a unit vector"):
        family(jnp.float32([2.0, 0.0]), 1.0)
    with pytest.raises(ValueError, match=r"concentration of -1\.0; wanted finite values >= 0"):
        family(jnp.float32([1.0, 0.0]), -1.0)
    with pytest.raises(ValueError, match="concentration of nan"):
        family(jnp.float32([1.0, 0.0]), np.nan)
    with pytest.raises(ValueError, match="two or more entries"):
        family(jnp.float32([1.0]), 1.0)
