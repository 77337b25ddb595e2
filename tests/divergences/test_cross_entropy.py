"""Cross-entropy minus entropy is the KL divergence, pair by pair: three formulas that share no step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import KL_PAIRS
from unchecked import unchecked

from vae.distributions import (
    Bernoulli,
    Laplace,
    Normal,
    UniformCircle,
    UniformSphere,
    VonMises,
    VonMisesFisher,
    standard_normal,
)
from vae.divergences import KL_TABLE, cross_entropy, kl_divergence
from vae.divergences.cross_entropies import CROSS_ENTROPY_TABLE

FIRST, SECOND = jnp.array([0.6, 2.0, 5.0]), jnp.array([1.5, 0.9, 4.0])
NORTH, EAST = jnp.array([0.6, 0.0, 0.8, 0.0]), jnp.array([0.0, 1.0, 0.0, 0.0])
SEVEN, TWO = jnp.array(7.0), jnp.array(2.0)


@pytest.fixture(scope="module")
def numbers():
    """Both sides of every pair, from one compilation."""

    @jax.jit
    def both(pairs):
        return {name: (cross_entropy(q, p) - q.entropy(), kl_divergence(q, p)) for name, (q, p) in pairs.items()}

    return both(KL_PAIRS)


@pytest.mark.slow
@pytest.mark.parametrize("name", KL_PAIRS)
def test_kl_is_cross_entropy_minus_entropy(name, numbers):
    difference, kl = numbers[name]
    np.testing.assert_allclose(difference, kl, rtol=1e-5, atol=3e-6)
    assert kl > 0.1, "a pair this close would let an error pass"


def test_a_pair_of_the_kl_table_without_a_row_is_entropy_plus_kl(monkeypatch):
    q, p = KL_PAIRS["Laplace-Laplace"]
    own = cross_entropy(q, p)
    assert set(CROSS_ENTROPY_TABLE) <= set(KL_TABLE)
    monkeypatch.delitem(CROSS_ENTROPY_TABLE, (Laplace, Laplace))
    assert cross_entropy(q, p) == q.entropy() + kl_divergence(q, p)
    assert cross_entropy(q, p) == pytest.approx(float(own), rel=1e-6)


def test_bernoulli_by_hand_and_at_saturated_logits():
    q, p = Bernoulli(jnp.array([0.3, -2.0, 1e4])), Bernoulli(jnp.array([1.0, 4.0, 1e4]))
    mean, other = (1 / (1 + np.exp(-np.array(logits))) for logits in ([0.3, -2.0], [1.0, 4.0]))
    expected = -np.sum(mean * np.log(other) + (1 - mean) * np.log1p(-other))
    assert cross_entropy(q, p) == pytest.approx(expected, rel=1e-5)


def test_a_row_of_ones_own_and_what_is_refused():
    q = Bernoulli(jnp.zeros(3))
    assert cross_entropy(q, standard_normal(3), {(Bernoulli, Normal): lambda q, p: jnp.ones(3)}) == 3.0
    with pytest.raises(TypeError, match=r"cross_entropy\(Bernoulli, Normal\) has no closed form"):
        cross_entropy(q, standard_normal(3))
    with unchecked(), pytest.raises(ValueError, match=r"cross_entropy got q \(3,\), p \(1,\); wanted equal shapes"):
        cross_entropy(q, Bernoulli(jnp.zeros(1)))
    with pytest.raises(ValueError, match="ambient dimension 4 and 3"):
        cross_entropy(VonMisesFisher(NORTH, TWO), UniformSphere(3))
    with pytest.raises(ValueError, match=r"VonMises of shape \(3,\) and a UniformCircle of shape \(\)"):
        cross_entropy(VonMises(FIRST, SECOND), UniformCircle())
