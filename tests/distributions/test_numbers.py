"""What parameters may be (Python numbers, NumPy arrays, half precision) and where a distribution may go (scan, checkpoint)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from unchecked import unchecked

from vae.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    ContinuousBernoulli,
    DiscretisedLogistic,
    Gamma,
    Kumaraswamy,
    Laplace,
    LowRankNormal,
    Normal,
    Poisson,
    StraightThroughCategorical,
    VonMises,
)
from vae.divergences import cross_entropy, kl_divergence

FAMILIES = {
    "Normal": (Normal, (1, 2)),
    "Laplace": (Laplace, (1, 2)),
    "Gamma": (Gamma, (1, 2)),
    "Beta": (Beta, (1, 2)),
    "Kumaraswamy": (Kumaraswamy, (1, 2)),
    "VonMises": (VonMises, (1, 2)),
    "Bernoulli": (Bernoulli, (2.5,)),
    "ContinuousBernoulli": (ContinuousBernoulli, (2.5,)),
    "Poisson": (Poisson, (1,)),
    "DiscretisedLogistic": (DiscretisedLogistic, (100, 1)),
}


def everything(family, parameters):
    """A density and whatever moments the family has."""
    built = family(*parameters)
    moments = [getattr(built, name) for name in ("mean", "mode", "variance") if hasattr(family, name)]
    entropy = [built.entropy()] if hasattr(family, "entropy") else []
    return [built.log_prob(jnp.array(0.5)), *moments, *entropy]


@pytest.fixture(scope="module")
def numbers():
    """`everything` from Python numbers and from arrays, of every family, from one compilation."""

    def both():
        arrays = {name: [jnp.float32(number) for number in plain] for name, (_, plain) in FAMILIES.items()}
        return {
            name: (everything(family, plain), everything(family, arrays[name])) for name, (family, plain) in FAMILIES.items()
        }

    with unchecked():
        return jax.jit(both)()


@pytest.mark.parametrize("name", FAMILIES)
def test_python_numbers_are_parameters_too(name, numbers):
    family, plain = FAMILIES[name]
    np.testing.assert_allclose(*numbers[name], rtol=1e-6)
    with unchecked():
        shape = jax.eval_shape(family(*plain).sample, jax.random.key(0))
    assert (shape.shape, shape.dtype) == ((), jnp.float32)


@pytest.mark.slow
def test_divergences_of_python_numbers_are_those_of_arrays():
    """An integer would make integers of quadrature weights."""
    pairs = [(Normal, Normal), (Laplace, Laplace), (Gamma, Gamma), (Beta, Beta), (Kumaraswamy, Beta), (VonMises, VonMises)]

    def both(convert):
        numbers = [(q(convert(1), convert(3)), p(convert(2), convert(4))) for q, p in pairs]
        return [(kl_divergence(q, p), cross_entropy(q, p)) for q, p in numbers]

    with unchecked():
        plain, arrays = jax.jit(lambda: (both(int), both(jnp.float32)))()
    np.testing.assert_allclose(plain, arrays, rtol=1e-5)


def test_numpy_parameters_in_float64_are_those_of_float32():
    logits = np.array([0.3, -1.0, 2.0])
    with unchecked():
        assert StraightThroughCategorical(logits, 0.5).mode.dtype == jnp.float32
        assert Categorical(logits).log_prob(2) == pytest.approx(float(jax.nn.log_softmax(jnp.float32(logits))[2]), rel=1e-6)


def test_a_low_rank_factorisation_takes_half_precision():
    mean, factor = jnp.zeros(2, jnp.bfloat16), jnp.ones((2, 1), jnp.bfloat16)
    gaussian = LowRankNormal(mean, factor, mean)
    assert gaussian.log_prob(mean) == pytest.approx(-np.log(2 * np.pi) - 0.5 * np.log(3.0), rel=1e-5)


def test_a_distribution_goes_through_scan_checkpoint_tree_map_and_donation():
    """Gradient descent on KL(q || p) whose carry is q itself: what is found is p."""
    p = Gamma(jnp.array([2.0, 0.5]), jnp.array([1.0, 3.0]))

    @jax.checkpoint
    def loss(q):
        return kl_divergence(q, p)

    def descend(q, _):
        slope = jax.grad(loss)(q)
        return jax.tree.map(lambda leaf, d: leaf * jnp.exp(-0.3 * leaf * d), q, slope), loss(q)

    program = jax.jit(lambda q: jax.lax.scan(descend, q, length=300), donate_argnums=0)
    q, losses = program(Gamma(jnp.array([1.0, 1.0]), jnp.array([2.0, 2.0])))
    assert isinstance(q, Gamma)
    assert losses[-1] < 1e-5 < losses[0]
    np.testing.assert_allclose(q.concentration, p.concentration, rtol=1e-2)
