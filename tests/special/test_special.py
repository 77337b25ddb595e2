"""The special functions against 50-digit mpmath, in float32, over the dimensions and concentrations that the library claims."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from vae import special
from vae.special.gamma import stirling_error, stirling_error_slope

DIMS = (2, 3, 10, 20, 64, 2048)
CONCENTRATIONS = jnp.float32(10.0 ** np.arange(-4, 5.5, 0.5))
EXTREMES = jnp.float32([0.0, 1e-6, 1e-5, 1e6])


@pytest.fixture(autouse=True, scope="module")
def _fifty_digits():
    with mpmath.workdps(50):
        yield


def exact_log_hypergeometric(dim, concentration):
    """ln 0F1(; m/2; kappa^2/4) and its derivative A, from Bessel functions."""
    order = mpmath.mpf(dim) / 2 - 1
    bessel, next_bessel = mpmath.besseli(order, concentration), mpmath.besseli(order + 1, concentration)
    value = mpmath.log(bessel) + mpmath.loggamma(order + 1) - order * mpmath.log(concentration / 2)
    return value, next_bessel / bessel


def exact_von_mises_fisher(dim, concentration):
    """A, 1 - A, Var(w), K and dK/dkappa."""
    value, length = exact_log_hypergeometric(dim, concentration)
    variance = 1 - length**2 - (dim - 1) * length / concentration
    return length, 1 - length, variance, concentration * length - value, concentration * variance


def exact_power_spherical(dim, concentration):
    """K, dK/dkappa and P."""
    b, k = mpmath.mpf(dim - 1) / 2, concentration
    constant = mpmath.loggamma(b + k) - mpmath.loggamma(b) - mpmath.loggamma(2 * b + k) + mpmath.loggamma(2 * b)
    mean_log = mpmath.digamma(2 * b + k) - mpmath.digamma(b + k)
    slope = k * (mpmath.psi(1, b + k) - mpmath.psi(1, 2 * b + k))
    return -k * mean_log - constant, slope, mean_log


def table(exact, dim, concentrations=CONCENTRATIONS):
    return np.array([[float(x) for x in exact(dim, mpmath.mpf(float(k)))] for k in concentrations]).T


def values_and_slopes(functions, dim, concentrations):
    """Each function and its derivative at every concentration, from one compilation."""

    @jax.jit
    @jax.vmap
    def program(concentration):
        return [jax.value_and_grad(lambda at, function=function: function(dim, at))(concentration) for function in functions]

    return program(concentrations)


@pytest.mark.slow_but("2", "64")
@pytest.mark.parametrize("dim", DIMS)
def test_von_mises_fisher_family(dim):
    length, shortfall, variance, information, slope = table(exact_von_mises_fisher, dim)
    functions = special.von_mises_fisher_information, special.mean_resultant_length, special.mean_resultant_shortfall
    got = values_and_slopes(functions, dim, CONCENTRATIONS)
    (got_information, got_slope), (got_length, got_variance), (got_shortfall, fall) = got
    np.testing.assert_allclose(got_information, information, rtol=4e-6)
    np.testing.assert_allclose(got_slope, slope, rtol=1e-5)
    np.testing.assert_allclose(got_length, length, rtol=1e-6)
    np.testing.assert_allclose(got_variance, variance, rtol=1e-5)
    np.testing.assert_allclose(got_shortfall, shortfall, rtol=2e-6)
    np.testing.assert_allclose(fall, -variance, rtol=1e-5)


def test_published_informations():
    cases = [(3, 5.0, 1.3030845139), (10, 1e-3, 4.99999994e-8), (200, 1.0, 0.0024999072), (1000, 1000.0, 240.6798903850)]
    got = jax.jit(lambda ks: [special.von_mises_fisher_information(dim, k) for (dim, *_), k in zip(cases, ks)])(
        [jnp.float32(concentration) for _, concentration, _ in cases]
    )
    np.testing.assert_allclose(got, [value for *_, value in cases], rtol=2e-6)


@pytest.mark.slow_but("2", "64")
@pytest.mark.parametrize("dim", DIMS)
def test_power_spherical_family(dim):
    information, slope, mean_log = table(exact_power_spherical, dim)
    functions = special.power_spherical_information, special.power_spherical_mean_log
    (got_information, got_slope), (got_mean_log, _) = values_and_slopes(functions, dim, CONCENTRATIONS)
    np.testing.assert_allclose(got_information, information, rtol=5e-6)
    np.testing.assert_allclose(got_slope, slope, rtol=1e-5)
    np.testing.assert_allclose(got_mean_log, mean_log, rtol=1e-6)


def test_published_power_spherical_information():
    assert special.power_spherical_information(6, jnp.asarray(10.0)) == pytest.approx(1.6719926071, rel=1e-6)


@pytest.mark.parametrize("function", [special.von_mises_fisher_information, special.power_spherical_information])
@pytest.mark.parametrize("dim", [2, 2048])
def test_information_at_the_extremes(function, dim):
    exact = exact_von_mises_fisher if function is special.von_mises_fisher_information else exact_power_spherical
    ((value, slope),) = values_and_slopes([function], dim, EXTREMES)
    columns = table(exact, dim, EXTREMES[1:])
    want_value, want_slope = columns[[3, 4] if len(columns) == 5 else [0, 1]]
    np.testing.assert_allclose(value, [0.0, *want_value], rtol=1e-5)
    np.testing.assert_allclose(slope, [0.0, *want_slope], rtol=2e-5)


@pytest.mark.slow_but("2")
@pytest.mark.parametrize("dim", [2, 10, 2048])
def test_bregman_divergence_and_its_gradient(dim):
    """All pairs of a grid, pairs at the factor 4 where the method changes, and pairs that differ in the fourth digit."""
    coarse = np.asarray(CONCENTRATIONS)[::2]
    first, second = (g.ravel() for g in np.meshgrid(coarse, coarse))
    first = np.concatenate([first, coarse, coarse, coarse])
    second = np.concatenate([second, np.float32(3.999) * coarse, np.float32(4.001) * coarse, np.float32(1.0003) * coarse])
    exact = {float(k): exact_log_hypergeometric(dim, mpmath.mpf(float(k))) for k in {*first.tolist(), *second.tolist()}}

    def expected(a, b):
        (value_a, length_a), (value_b, length_b) = exact[a], exact[b]
        gap = mpmath.mpf(b) - mpmath.mpf(a)
        variance = 1 - length_a**2 - (dim - 1) * length_a / mpmath.mpf(a)
        return [float(x) for x in (value_b - value_a - gap * length_a, -gap * variance, length_b - length_a)]

    value, d_first, d_second = np.array([expected(a, b) for a, b in zip(first.tolist(), second.tolist(), strict=True)]).T
    function = jax.jit(jax.vmap(jax.value_and_grad(lambda a, b: special.von_mises_fisher_bregman(dim, a, b), argnums=(0, 1))))
    got, (got_first, got_second) = function(first, second)
    np.testing.assert_allclose(got, value, rtol=1e-5)
    np.testing.assert_allclose(got_first, d_first, rtol=2e-5)
    np.testing.assert_allclose(got_second, d_second, rtol=2e-5)


def test_bregman_divergence_from_and_to_the_uniform_distribution():
    zero, some = jnp.float32(0.0), jnp.float32(7.0)
    assert special.von_mises_fisher_bregman(5, zero, zero) == 0.0
    assert special.von_mises_fisher_bregman(5, some, zero) == pytest.approx(
        float(special.von_mises_fisher_information(5, some)), rel=1e-6
    )
    exact, _ = exact_log_hypergeometric(5, mpmath.mpf(7))
    assert special.von_mises_fisher_bregman(5, zero, some) == pytest.approx(float(exact), rel=1e-6)


def test_second_derivative_of_the_information():
    """Var + kappa dVar/dkappa, by differentiating the recurrence, against mpmath's numerical derivative."""
    second = jax.jit(jax.grad(jax.grad(lambda k: special.von_mises_fisher_information(7, k))))
    for concentration in (0.01, 3.0, 100.0):
        exact = mpmath.diff(lambda k: exact_von_mises_fisher(7, k)[4], mpmath.mpf(concentration))
        assert second(jnp.float32(concentration)) == pytest.approx(float(exact), rel=1e-3)


@pytest.mark.parametrize("dim", [3, 64])
def test_float64_has_the_accuracy_that_is_promised(dim):
    """In a program of its own type: 4e-12 of von Mises-Fisher, 2e-14 of power spherical, 2e-6 of Stirling's remainder."""

    def values(k):
        first, second = k, 1.5 * k
        return (
            special.mean_resultant_length(dim, k),
            special.resultant_variance(dim, k),
            special.von_mises_fisher_information(dim, k),
            special.von_mises_fisher_bregman(dim, first, second),
            special.power_spherical_information(dim, k),
            special.power_spherical_mean_log(dim, k),
            stirling_error(k),
            stirling_error_slope(k),
        )

    levels = np.geomspace(1e-3, 1e5, 9)
    with jax.enable_x64(True):
        got = np.stack([np.asarray(leaf) for leaf in jax.jit(values)(jnp.asarray(levels))], axis=1)
    promised = [1e-12, 1e-12, 4e-12, 4e-12, 2e-14, 2e-14, 2e-7, 2e-6]
    for level, row in zip(levels, got, strict=True):
        k = mpmath.mpf(level)
        length, _, variance, information, _ = exact_von_mises_fisher(dim, k)
        value, further = exact_log_hypergeometric(dim, k)[0], exact_log_hypergeometric(dim, k * 3 / 2)[0]
        remainder = mpmath.loggamma(k + 1) - (k * mpmath.log(k) - k + mpmath.log(2 * mpmath.pi * k) / 2)
        slope = mpmath.digamma(k) - mpmath.log(k) + 1 / (2 * k)
        power = exact_power_spherical(dim, k)
        wanted = length, variance, information, further - value - k / 2 * length, power[0], power[2], remainder, slope
        for a, b, allowed in zip(row, wanted, promised, strict=True):
            assert abs(mpmath.mpf(float(a)) / b - 1) < allowed


def test_quadrature_is_exact_for_polynomials():
    nodes, weights = special.gauss_legendre(5)
    assert np.sum(weights * nodes**9) == pytest.approx(0.1, rel=1e-14)
