"""Uniform directions and angles against the area of the sphere and SciPy's marginals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from unchecked import unchecked

from vae.distributions import UniformCircle, UniformSphere, VonMisesFisher


@pytest.mark.parametrize("dim", [2, 2048])
def test_density_is_one_over_the_area(dim):
    p = UniformSphere(dim=dim)
    value, log_prob = jax.jit(p.sample_and_log_prob)(jax.random.key(0))
    log_area = np.log(2) + dim / 2 * np.log(np.pi) - special.gammaln(dim / 2)
    assert np.linalg.norm(value) == pytest.approx(1.0, abs=1e-6)
    assert log_prob == pytest.approx(-log_area, rel=1e-6)
    assert p.entropy() == pytest.approx(log_area, rel=1e-6)
    uniform = VonMisesFisher(direction=value, concentration=jnp.float32(0.0))
    assert uniform.log_prob(-value) == pytest.approx(float(log_prob), rel=1e-6)


@pytest.mark.parametrize("dim", [2, 7])
def test_each_coordinate_has_the_marginal(dim):
    """(1 + z_i)/2 ~ Beta((m-1)/2, (m-1)/2)."""
    p = UniformSphere(dim=dim)
    values = jax.jit(jax.vmap(p.sample))(jax.random.split(jax.random.key(1), 20_000))
    for column in np.asarray(values, np.float64).T:
        assert stats.kstest((1 + np.clip(column, -1, 1)) / 2, stats.beta((dim - 1) / 2, (dim - 1) / 2).cdf).pvalue > 1e-3
    np.testing.assert_array_equal(p.mean, np.zeros(dim))


def test_circle():
    p = UniformCircle(shape=(20_000,))
    values, log_prob = p.sample_and_log_prob(jax.random.key(0))
    assert stats.kstest(values, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3
    assert log_prob == pytest.approx(-20_000 * np.log(2 * np.pi), rel=1e-6)
    assert p.entropy() == pytest.approx(20_000 * np.log(2 * np.pi), rel=1e-6)
    assert UniformCircle().sample(jax.random.key(0)).shape == ()


def test_a_dimension_below_two_is_refused():
    with pytest.raises(ValueError, match="UniformSphere got dim 1; wanted an integer >= 2"):
        UniformSphere(dim=1)


def test_a_shape_that_is_no_tuple_is_refused():
    with unchecked(), pytest.raises(ValueError, match=r"UniformCircle got shape 3; wanted a tuple of integers"):
        UniformCircle(3)
