"""The oracles catch what they are for: every planted mistake by the name of its check; and the library's own families pass."""

import jax
import jax.numpy as jnp
import pytest

from vae import distributions as d
from vae.distributions import distribution
from vae.testing import check_distribution, check_kl

KEY = jax.random.key(0)
HALF_LOG_TWO_PI = 0.9189385332046727


@distribution
class Gaussian:
    """A family of a user, right in every respect; the mistakes below replace one member each."""

    location: jax.Array
    log_std: jax.Array

    data_space = "real"
    reparameterised = True

    @property
    def mean(self):
        return self.location

    @property
    def mode(self):
        return self.location

    @property
    def variance(self):
        return jnp.exp(2 * self.log_std)

    def sample(self, key):
        return self.location + jnp.exp(self.log_std) * jax.random.normal(key, self.location.shape)

    def sample_and_log_prob(self, key):
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value):
        standardised = (value - self.location) * jnp.exp(-self.log_std)
        return -jnp.sum(0.5 * standardised**2 + self.log_std + HALF_LOG_TWO_PI)

    def entropy(self):
        return jnp.sum(self.log_std + HALF_LOG_TWO_PI + 0.5)


def planted(**members):
    """Gaussian with members replaced, registered as a family of its own."""
    return distribution(type("Planted", (Gaussian,), members))


def without_normaliser(self, value):
    return Gaussian.log_prob(self, value) + HALF_LOG_TWO_PI


def scale_squared(self, value):
    return Gaussian(self.location, 2 * self.log_std).log_prob(value)


def mean_reduced(self, value):
    return Gaussian.log_prob(self, value) / value.size


def wide_sampler(self, key):
    return Gaussian(self.location, self.log_std + 0.1).sample(key)


def cut_gradient(self, key):
    return jax.lax.stop_gradient(Gaussian.sample(self, key))


def half_cut_gradient(self, key):
    return Gaussian(self.location, jax.lax.stop_gradient(self.log_std)).sample(key)


def other_log_q(self, key):
    value, log_q = Gaussian.sample_and_log_prob(self, key)
    return value, log_q + jnp.sum(self.log_std)


def not_a_number(self, value):
    return Gaussian.log_prob(self, value) + 0 * jnp.sqrt(jnp.sum(jnp.maximum(value, 1.0) - 1.0))


def other_when_plain(self, key):
    return Gaussian.sample(self, key) + (0.0 if isinstance(key, jax.core.Tracer) else 1.0)


@jax.custom_batching.custom_vmap
def batched_wrongly(value):
    return value


@batched_wrongly.def_vmap
def _batched_wrongly(axis_size, in_batched, value):
    return value + 1.0, True


def batched_sampler(self, key):
    value, log_q = Gaussian.sample_and_log_prob(self, key)
    shifted = batched_wrongly(value)
    return shifted, log_q + self.log_prob(shifted) - self.log_prob(value)


ONE, THREE = jnp.array(0.5), jnp.array([0.5, -1.0, 2.0])
MISTAKES = {
    "normaliser": ("normalisation", ONE, {"log_prob": without_normaliser}),
    "scale squared in the density": ("sampler", ONE, {"log_prob": scale_squared}),
    "scale squared in three dimensions": ("score", THREE, {"log_prob": scale_squared}),
    "sampler too wide": ("sampler", ONE, {"sample": wide_sampler}),
    "sampler too wide in three dimensions": ("score", THREE, {"sample": wide_sampler}),
    "density averaged over components": ("density ratio", THREE, {"log_prob": mean_reduced}),
    "mean": ("mean", ONE, {"mean": property(lambda self: 1.1 * self.location)}),
    "variance": ("variance", ONE, {"variance": property(lambda self: jnp.exp(self.log_std))}),
    "mode": ("mode", ONE, {"mode": property(lambda self: self.location + 1.0)}),
    "entropy": ("entropy", ONE, {"entropy": lambda self: jnp.sum(self.log_std) + HALF_LOG_TWO_PI}),
    "gradient cut": ("pathwise gradient", ONE, {"sample": cut_gradient}),
    "gradient cut in the scale": ("pathwise gradient", ONE, {"sample": half_cut_gradient}),
    "log q of another draw": ("own density", ONE, {"sample_and_log_prob": other_log_q}),
    "another answer under jit": ("jit", ONE, {"sample": other_when_plain}),
    "gradient that is not a number": ("finite", ONE, {"log_prob": not_a_number}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_caught_by_name(mistake):
    check, location, members = MISTAKES[mistake]
    family = planted(**members)(location, jnp.full_like(location, -0.4))
    with pytest.raises(AssertionError, match=f"^Planted fails the check '{check}': .*(got|not finite).*wanted"):
        check_distribution(family, KEY)


def test_a_wrong_batching_rule_is_caught():
    """The mean of the batch is off too; with the statistical checks skipped, the comparison with a single call remains."""
    family = planted(sample_and_log_prob=batched_sampler)(ONE, jnp.array(-0.4))
    others = ["normalisation", "sampler", "score", "density ratio", "mean", "variance", "mode", "entropy", "pathwise gradient"]
    with pytest.raises(AssertionError, match=r"^Planted fails the check 'vmap'"):
        check_distribution(family, KEY, skip=others)


def test_a_right_family_passes_and_every_check_is_reported():
    extremes = [Gaussian(ONE, jnp.array(log_std)) for log_std in (-30.0, 30.0)]
    used = check_distribution(Gaussian(ONE, jnp.array(-0.4)), KEY, extremes=extremes)
    assert set(used) == {
        *("finite", "own density", "normalisation", "sampler", "score", "density ratio", "mean", "variance", "mode"),
        *("entropy", "pathwise gradient", "jit", "vmap", "extremes"),
    }
    assert all(0 <= share <= 1 for share in used.values())


def test_extremes_that_overflow_are_caught():
    with pytest.raises(AssertionError, match="'extremes': value is not finite"):
        check_distribution(Gaussian(ONE, ONE), KEY, extremes=[Gaussian(ONE, jnp.array(90.0))])


def test_a_check_can_be_skipped():
    broken = planted(mean=property(lambda self: 1.1 * self.location))(ONE, ONE)
    assert "mean" not in check_distribution(broken, KEY, skip=["mean"])


def test_a_constant_in_the_density_needs_a_reference_in_many_dimensions():
    """No identity of the score sees a constant factor; importance sampling from a family that covers the support does."""
    reference = Gaussian(jnp.zeros(3), jnp.zeros(3) + 0.5)
    family = planted(log_prob=without_normaliser, entropy=None)(0.3 * THREE, jnp.full(3, -0.4))
    with pytest.raises(AssertionError, match="'normalisation'"):
        check_distribution(family, KEY, reference=reference)
    assert "normalisation" in check_distribution(Gaussian(0.3 * THREE, jnp.full(3, -0.4)), KEY, reference=reference)


def kl(q, p):
    ratio = q.log_std - p.log_std
    return 0.5 * (jnp.expm1(2 * ratio) - 2 * ratio + jnp.square((q.location - p.location) / jnp.exp(p.log_std)))


def negative_close_to_equality(q, p):
    close = jnp.abs(q.location - p.location) < 0.05
    return jnp.where(close & (q.location != p.location), -1e-4, kl(q, p))


KL_MISTAKES = {
    "without its 1/2": ("Monte Carlo", lambda q, p: 2 * kl(q, p)),
    "arguments exchanged": ("Monte Carlo", lambda q, p: kl(p, q)),
    "not summed": ("scalar", lambda q, p: kl(q, p)[None]),
    "gradient cut": ("gradient", lambda q, p: kl(jax.lax.stop_gradient(q), p)),
    "gradient that is not a number": ("finite gradient", lambda q, p: kl(q, p) + jnp.sqrt(jnp.maximum(q.location, 9.0) - 9.0)),
    "not zero at equality": ("zero at equality", lambda q, p: kl(q, p) + 1e-4),
    "negative close to equality": ("not negative", negative_close_to_equality),
}


@pytest.mark.parametrize("mistake", KL_MISTAKES)
def test_a_planted_mistake_in_a_divergence_is_caught_by_name(mistake, monkeypatch):
    check, row = KL_MISTAKES[mistake]
    if check == "scalar":
        monkeypatch.setattr("vae.testing.divergence.kl_divergence", lambda q, p, table: row(q, p))
    q, p = Gaussian(ONE, jnp.array(-0.4)), Gaussian(jnp.array(-0.5), jnp.array(0.2))
    with pytest.raises(AssertionError, match=rf"^KL\(Gaussian \|\| Gaussian\) fails the check '{check}': got .*, wanted"):
        check_kl(q, p, KEY, table={(Gaussian, Gaussian): row})


def test_a_right_divergence_passes_with_a_table_of_its_own():
    q, p = Gaussian(ONE, jnp.array(-0.4)), Gaussian(jnp.array(-0.5), jnp.array(0.2))
    used = check_kl(q, p, KEY, table={(Gaussian, Gaussian): kl}, extremes=[(q, Gaussian(ONE, jnp.array(20.0)))])
    assert {"Monte Carlo", "not negative", "zero at equality", "finite gradient", "gradient", "jit", "vmap", "extremes"} <= set(
        used
    )
    with pytest.raises(AssertionError, match="'extremes': got inf nats"):
        check_kl(q, p, KEY, table={(Gaussian, Gaussian): kl}, extremes=[(q, Gaussian(ONE, jnp.array(-80.0)))])


PAIR = jnp.array([0.3, -1.0])
NORTH = jnp.array([0.6, 0.0, 0.8])
ON_THE_SPHERE = {"fields": ["concentration"], "reference": d.UniformSphere(3)}  # a direction may not be moved off the sphere
LIBRARY = {  # one of each kind; those that take long to compile have their own oracles in tests/distributions
    "Normal": (lambda: d.Normal(PAIR, 0.5 * PAIR), {"reference": d.Normal(jnp.zeros(2), jnp.ones(2))}),
    "Laplace": (lambda: d.Laplace(PAIR[0], PAIR[1]), {}),
    "MultivariateNormal": (lambda: d.MultivariateNormal(PAIR, jnp.array([[1.0, 0.0], [0.5, 0.7]])), {}),
    "LowRankNormal": (lambda: d.LowRankNormal(PAIR, jnp.array([[0.5], [1.0]]), 0.5 * PAIR), {}),
    "Bernoulli": (lambda: d.Bernoulli(PAIR), {"support": jnp.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])}),
    "Categorical": (lambda: d.Categorical(jnp.array([0.1, 1.0, -0.5])), {}),
    "RelaxedBernoulli": (lambda: d.RelaxedBernoulli(PAIR[0], jnp.array(0.7)), {}),
    "RelaxedCategorical": (lambda: d.RelaxedCategorical(jnp.array([0.1, 1.0, -0.5]), jnp.array(0.7)), {}),
    "SpikeAndSlab": (lambda: d.SpikeAndSlab(PAIR[0], d.Normal(PAIR[0], PAIR[1])), {}),
    "VonMisesFisher": (lambda: d.VonMisesFisher(NORTH, jnp.array(3.0)), ON_THE_SPHERE),
}


@pytest.mark.slow_but("Normal", "Categorical", "SpikeAndSlab")
@pytest.mark.parametrize("family", LIBRARY)
def test_the_families_of_the_library_pass(family):
    build, options = LIBRARY[family]
    used = check_distribution(build(), KEY, **options)
    assert {"score", "density ratio"} <= set(used)
