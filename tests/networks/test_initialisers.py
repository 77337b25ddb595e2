import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae.networks import bernoulli_output_bias, gain, glorot_normal, glorot_uniform, kaiming_normal, kaiming_uniform

KEY = jax.random.key(1)
DENSE, FILTERS = (300, 500), (3, 3, 40, 70)
FANS = {DENSE: (300, 500), FILTERS: (9 * 40, 9 * 70)}


def kaiming(fan):
    return math.sqrt(2 / fan)


def cases():
    for shape, (fan_in, fan_out) in FANS.items():
        average = math.sqrt(2 / (fan_in + fan_out))
        yield kaiming_normal(), shape, "normal", kaiming(fan_in)
        yield kaiming_normal(fan="fan_out"), shape, "normal", kaiming(fan_out)
        yield kaiming_uniform(slope=0.2), shape, "uniform", math.sqrt(2 / 1.04 / fan_in)
        yield kaiming_uniform(fan="fan_out"), shape, "uniform", kaiming(fan_out)
        yield glorot_normal(), shape, "normal", average
        yield glorot_uniform(scale=2.0), shape, "uniform", 2 * average


@pytest.mark.parametrize(("init", "shape", "family", "std"), list(cases()))
def test_distribution_of_the_weights(init, shape, family, std):
    """A Kolmogorov-Smirnov test against the whole distribution, and the bound of the uniform one."""
    weights = np.asarray(init(KEY, shape, jnp.float32)).reshape(-1).astype(float)
    bound = math.sqrt(3) * std
    expected = stats.norm(0, std) if family == "normal" else stats.uniform(-bound, 2 * bound)
    assert stats.kstest(weights, expected.cdf).pvalue > 1e-4
    tolerance = 4 * math.sqrt(0.5 if family == "normal" else 0.2) / math.sqrt(weights.size)
    assert abs(weights.std() / std - 1) < tolerance
    if family == "uniform":
        assert np.abs(weights).max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize(("filters", "expected"), [(64, 0.059), (128, 0.042), (256, 0.029), (512, 0.021)])
def test_published_scales_of_3x3_filters(filters, expected):
    weights = np.asarray(kaiming_normal()(KEY, (3, 3, filters, 64), jnp.float32))
    assert abs(weights.std() - expected) < 0.0005 + 4 * expected / math.sqrt(2 * weights.size)


def test_gain_of_known_slopes():
    assert gain() == pytest.approx(math.sqrt(2))
    assert gain(1.0) == pytest.approx(1.0)
    assert gain(math.sqrt(5)) == pytest.approx(1 / math.sqrt(3))


def test_default_of_the_torch_linear_layer():
    """a = sqrt(5) gives the bound 1 / sqrt(fan_in)."""
    weights = np.asarray(kaiming_uniform(slope=math.sqrt(5))(KEY, DENSE, jnp.float32))
    assert np.abs(weights).max() == pytest.approx(1 / math.sqrt(300), rel=1e-3)


def test_bias_of_the_mean_image_gives_the_mean_image():
    mean = np.array([[0.0, 0.25], [0.5, 1.0]])
    bias = np.asarray(bernoulli_output_bias(mean, clip=0.01))
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), np.clip(mean, 0.01, 0.99), rtol=1e-5)
    assert np.isfinite(np.asarray(bernoulli_output_bias(mean))).all()


def test_bias_refuses_what_is_no_mean_pixel():
    with pytest.raises(ValueError, match=r"outside \[0, 1\]: divide stored pixels by 255"):
        bernoulli_output_bias(np.array([0.0, 33.0]))
    with pytest.raises(ValueError, match=r"clip=0\.7"):
        bernoulli_output_bias(np.array([0.5]), clip=0.7)
