"""KL rows of directions against quadrature in float64, Monte Carlo, and the extremes of float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special

from vae.distributions import PowerSpherical, UniformCircle, UniformSphere, VonMises, VonMisesFisher
from vae.divergences import kl_divergence, kl_per_factor, monte_carlo_kl

kl_and_gradient = jax.jit(jax.value_and_grad(kl_divergence, argnums=(0, 1)))
EXTREMES = jnp.float32(10.0 ** np.arange(-6, 7))


def unit(seed, dim):
    vector = np.random.default_rng(seed).standard_normal(dim)
    return vector / np.linalg.norm(vector)


def von_mises_fisher(direction, concentration):
    return VonMisesFisher(direction=jnp.float32(direction), concentration=jnp.float32(concentration))


def power_spherical(direction, concentration):
    return PowerSpherical(direction=jnp.float32(direction), concentration=jnp.float32(concentration))


def von_mises(angle, concentration):
    return VonMises(angle=jnp.float32(angle), concentration=jnp.float32(concentration))


def log_ratio_constant(log_weight, dim):
    """ln E_uniform[exp(log_weight(w))] and the mean of w under that weight, by quadrature over the angle."""
    angle = np.linspace(0, np.pi, 100_001)[1:-1]
    log_uniform = (dim - 2) * np.log(np.sin(angle))
    log_tilted = log_uniform + log_weight(np.cos(angle))
    top, tilted_top = log_uniform.max(), log_tilted.max()
    uniform = integrate.trapezoid(np.exp(log_uniform - top), angle)
    tilted = np.exp(log_tilted - tilted_top)
    total = integrate.trapezoid(tilted, angle)

    def mean(function):
        return integrate.trapezoid(tilted * function(np.cos(angle)), angle) / total

    return np.log(total / uniform) + tilted_top - top, mean


def oracle_to_uniform(log_weight, dim):
    constant, mean = log_ratio_constant(log_weight, dim)
    return mean(log_weight) - constant


def oracle_von_mises_fisher(dim, mu, kappa, nu, lam):
    """E_q[kappa <mu, z> - lam <nu, z>] - L(kappa) + L(lam), all by quadrature."""
    constant, mean = log_ratio_constant(lambda w: kappa * w, dim)
    other, _ = log_ratio_constant(lambda w: lam * w, dim)
    mu, nu = mu / np.linalg.norm(mu), nu / np.linalg.norm(nu)
    return mean(lambda w: w) * (kappa - lam * mu @ nu) - constant + other


def slope(function, at):
    step = 1e-4 * at
    return (function(at + step) - function(at - step)) / (2 * step)


@pytest.mark.parametrize(("dim", "concentration"), [(6, 10.0), (50, 30.0)])
def test_to_the_uniform_sphere(dim, concentration):
    p = UniformSphere(dim=dim)
    for build, weight in ((von_mises_fisher, lambda w: w), (power_spherical, np.log1p)):

        def exact(k, weight=weight):
            return oracle_to_uniform(lambda w: k * weight(w), dim)

        value, (gradient, _) = kl_and_gradient(build(unit(0, dim), concentration), p)
        assert value == pytest.approx(exact(concentration), rel=1e-5)
        assert gradient.concentration == pytest.approx(slope(exact, concentration), rel=1e-3)
        np.testing.assert_array_equal(gradient.direction, 0.0)


@pytest.mark.parametrize(("dim", "kappa", "lam"), [(3, 5.0, 4.0), (3, 0.2, 90.0), (40, 60.0, 2.0)])
def test_von_mises_fisher_to_its_kind(dim, kappa, lam):
    """Value and gradient in all four parameters; in the directions along the sphere."""
    mu, nu = unit(1, dim), unit(2, dim)
    value, (dq, dp) = kl_and_gradient(von_mises_fisher(mu, kappa), von_mises_fisher(nu, lam))
    assert value == pytest.approx(oracle_von_mises_fisher(dim, mu, kappa, nu, lam), rel=1e-5)
    want = slope(lambda k: oracle_von_mises_fisher(dim, mu, k, nu, lam), kappa)
    assert dq.concentration == pytest.approx(want, rel=1e-3, abs=1e-4)
    want = slope(lambda k: oracle_von_mises_fisher(dim, mu, kappa, nu, k), lam)
    assert dp.concentration == pytest.approx(want, rel=1e-3, abs=1e-4)
    _, mean = log_ratio_constant(lambda w: kappa * w, dim)
    strength = lam * mean(lambda w: w)
    for got, at, other in ((dq.direction, mu, nu), (dp.direction, nu, mu)):
        along = np.asarray(got) - at * (at @ np.asarray(got))
        np.testing.assert_allclose(along, -strength * (other - at * (at @ other)), rtol=1e-3, atol=1e-4)


def test_von_mises_per_angle():
    """Both rows against quadrature of the two densities on the circle."""
    q, p = von_mises([0.3, -3.0], [2.0, 50.0]), von_mises([1.0, 3.0], [0.7, 40.0])
    x = np.linspace(-np.pi, np.pi, 20_000, endpoint=False)

    def log_density(angle, concentration):
        return concentration * (np.cos(x - angle) - 1) - np.log(2 * np.pi * special.i0e(concentration))

    def exact(log_p, i):
        log_q = log_density(float(q.angle[i]), float(q.concentration[i]))
        return np.mean(np.exp(log_q) * (log_q - log_p)) * 2 * np.pi

    rows, to_circle = jax.jit(lambda q, p: (kl_per_factor(q, p), kl_per_factor(q, UniformCircle(shape=(2,)))))(q, p)
    want = [exact(log_density(float(p.angle[i]), float(p.concentration[i])), i) for i in (0, 1)]
    np.testing.assert_allclose(rows, want, rtol=1e-5)
    np.testing.assert_allclose(to_circle, [exact(-np.log(2 * np.pi), i) for i in (0, 1)], rtol=1e-5)


PAIRS = {
    "von Mises-Fisher": (von_mises_fisher(unit(3, 8), 12.0), von_mises_fisher(unit(4, 8), 3.0)),
    "von Mises-Fisher to uniform": (von_mises_fisher(unit(3, 8), 12.0), UniformSphere(dim=8)),
    "power spherical to uniform": (power_spherical(unit(3, 8), 12.0), UniformSphere(dim=8)),
    "von Mises": (von_mises([0.0, 2.0], [1.0, 9.0]), von_mises([1.0, 2.5], [2.0, 1.0])),
    "von Mises to uniform": (von_mises([0.0, 2.0], [1.0, 9.0]), UniformCircle(shape=(2,))),
}


def test_monte_carlo_agrees():
    """100,000 draws, 4 standard errors; one compilation, in which pairs with the same q share their draws."""

    @jax.jit
    def numbers(key):
        return {name: (*monte_carlo_kl(q, p, key, 100_000), kl_divergence(q, p)) for name, (q, p) in PAIRS.items()}

    for name, (estimate, error, exact) in numbers(jax.random.key(7)).items():
        assert abs(estimate - exact) < 4 * error + 1e-6, name
        assert error < 0.05 * exact, name


@pytest.mark.parametrize("dim", [2, 2048])
def test_every_pair_of_extremes_is_finite_and_not_negative(dim):
    """Concentrations 1e-6 to 1e6 against each other, at equal, orthogonal and opposite directions."""
    first, second = (grid.ravel() for grid in jnp.meshgrid(EXTREMES, EXTREMES))
    one, other = jnp.eye(dim, dtype=jnp.float32)[:2]

    def numbers(direction, first, second):
        q = VonMisesFisher(direction=one, concentration=first)
        p = VonMisesFisher(direction=direction, concentration=second)
        return jax.value_and_grad(kl_divergence, argnums=(0, 1))(q, p)

    run = jax.jit(jax.vmap(numbers, in_axes=(None, 0, 0)))
    for direction in (one, other, -one):
        value, gradients = run(direction, first, second)
        assert np.all(value >= 0)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((value, gradients)))
        if direction is one:
            np.testing.assert_array_equal(value[np.equal(first, second)], 0.0)


def test_close_pairs_keep_their_digits():
    """KL ~ 1/2 Var(w) (difference)^2 for concentrations that differ in the fourth digit."""
    q, p = von_mises_fisher(unit(5, 5), 1000.0), von_mises_fisher(unit(5, 5), 1000.125)
    ratio = special.ive(2.5, 1000.0) / special.ive(1.5, 1000.0)
    variance = 1 - ratio**2 - 4 * ratio / 1000.0
    value, (dq, dp) = kl_and_gradient(q, p)
    assert value == pytest.approx(0.5 * variance * 0.125**2, rel=2e-3)
    assert dq.concentration == pytest.approx(-variance * 0.125, rel=2e-3)
    assert dp.concentration == pytest.approx(variance * 0.125, rel=2e-3)


def test_what_has_no_closed_form_or_no_meaning_is_refused():
    q = power_spherical(unit(0, 3), 2.0)
    with pytest.raises(TypeError, match=r"KL\(PowerSpherical \|\| PowerSpherical\).*KL\(PowerSpherical \|\| UniformSphere\)"):
        kl_divergence(q, q)
    with pytest.raises(ValueError, match="ambient dimension 3 and 4"):
        kl_divergence(q, UniformSphere(dim=4))
    with pytest.raises(ValueError, match=r"VonMises of shape \(2,\) and a UniformCircle of shape \(\)"):
        kl_divergence(von_mises([0.0, 1.0], [1.0, 1.0]), UniformCircle())


# Accelerators, as far as a machine without one can tell


def lowered(function, platform):
    """The program of values and gradients of a batch, as it is handed to the compiler of a platform that need not be here."""
    batch = jax.jit(jax.vmap(jax.value_and_grad(function)))
    return batch.trace(jnp.ones(8)).lower(lowering_platforms=(platform,)).as_text()


def on_the_host(concentration):
    shape = jax.ShapeDtypeStruct((), jnp.float32)
    return concentration * jax.pure_callback(np.sqrt, shape, jax.lax.stop_gradient(concentration), vmap_method="sequential")


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_programs_for_accelerators_never_call_the_host(platform):
    direction, uniform = jnp.eye(64)[0], UniformSphere(64)
    functions = (
        lambda c: kl_divergence(VonMisesFisher(direction, c), uniform),
        lambda c: kl_divergence(VonMisesFisher(direction, c), VonMisesFisher(direction, jnp.float32(2.0))),
        lambda c: kl_divergence(PowerSpherical(direction, c), uniform),
        lambda c: VonMisesFisher(direction, c).sample(jax.random.key(0))[0],
        lambda c: PowerSpherical(direction, c).sample(jax.random.key(0))[0],
    )
    assert not any("callback" in lowered(function, platform) for function in functions)
    with pytest.raises(ValueError, match="platform"):  # a call of this host cannot be handed to another platform's compiler
        lowered(on_the_host, platform)
