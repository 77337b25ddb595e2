import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from unchecked import unchecked

from vae.data.pixels import binary, dynamic_binarisation, stored, unit_interval

KEY = jax.random.key(3)
DRAWS = 40_000
VALUES = jnp.arange(256, dtype=jnp.uint8)


@pytest.fixture(scope="module")
def one_draw():
    """Every value, 40,000 times, in one call: (draws, value)."""
    return np.asarray(jax.jit(dynamic_binarisation)(KEY, jnp.tile(VALUES, (DRAWS, 1))))


def test_probability_of_every_pixel_value(one_draw):
    p = VALUES.astype(float) * 257 / 65536
    standard_error = np.sqrt(p * (1 - p) / DRAWS)
    # 255 is off once in 65,536 draws: there a Poisson bound stands for the Gaussian one.
    np.testing.assert_array_less(np.abs(one_draw.mean(0) - p)[1:255], 4 * standard_error[1:255])
    assert np.abs(p - VALUES / 255).max() < 2**-16 + 1e-12
    assert stats.binom.sf((one_draw[:, 255] == 0).sum() - 1, DRAWS, 2**-16) > 1e-4


def test_black_is_never_on_and_only_zeros_and_ones_appear(one_draw):
    assert one_draw[:, 0].sum() == 0
    assert one_draw.dtype == np.float32
    assert set(np.unique(one_draw)) == {0.0, 1.0}


def test_the_two_halves_of_a_word_are_independent():
    """Neighbours 2 i and 2 i + 1 share a word; their joint outcomes must be those of independent draws."""
    on = np.asarray(dynamic_binarisation(KEY, jnp.full((100_000, 2), 128, jnp.uint8))).astype(int)
    joint = np.bincount(on[:, 0] * 2 + on[:, 1], minlength=4).reshape(2, 2)
    assert stats.chi2_contingency(joint, correction=False).pvalue > 1e-4
    across = np.bincount(on[:-1, 1] * 2 + on[1:, 0], minlength=4).reshape(2, 2)
    assert stats.chi2_contingency(across, correction=False).pvalue > 1e-4


@pytest.mark.parametrize("shape", [(1,), (3, 5, 7), (2, 28, 28, 1), ()])
def test_any_shape_and_odd_sizes(shape):
    pixels = jnp.full(shape, 255, jnp.uint8)
    on = dynamic_binarisation(KEY, pixels)
    assert on.shape == shape
    assert np.mean(on) > 0.9


def random_words(jaxpr):
    """How many random words a jaxpr draws, whatever they become."""
    drawn = [e.outvars[0].aval.size for e in jaxpr.eqns if e.primitive.name == "random_bits"]
    inner = [random_words(p.jaxpr) for e in jaxpr.eqns for p in e.params.values() if hasattr(p, "jaxpr")]
    return sum(drawn) + sum(inner)


@pytest.mark.parametrize("size", [784, 785, 1])
def test_one_word_serves_two_pixels(size):
    jaxpr = jax.make_jaxpr(dynamic_binarisation)(KEY, jnp.zeros(size, jnp.uint8))
    assert random_words(jaxpr.jaxpr) == (size + 1) // 2


def test_draws_follow_the_key():
    gray = jnp.full((64, 64), 100, jnp.uint8)
    draw = jax.jit(dynamic_binarisation)
    first, again, other = draw(KEY, gray), draw(KEY, gray), draw(jax.random.key(4), gray)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, dynamic_binarisation(KEY, gray))
    assert np.mean(np.asarray(first) == np.asarray(other)) < 0.6


def test_unit_interval_is_pixel_over_255():
    value = np.asarray(unit_interval(KEY, VALUES))
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, VALUES / 255, rtol=1e-6)
    assert value[0] == 0
    assert value[255] == 1


@pytest.mark.parametrize("largest", [1, 255])
def test_binary_reads_both_ways_of_storing(largest):
    value = np.asarray(binary(KEY, jnp.array([0, largest, 0, largest], jnp.uint8)))
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, [0, 1, 0, 1])


def test_stored_is_unchanged():
    value = jax.jit(stored)(KEY, VALUES)
    assert value.dtype == jnp.uint8
    np.testing.assert_array_equal(value, VALUES)


@pytest.mark.parametrize("function", [dynamic_binarisation, unit_interval, binary])
def test_refuses_pixels_that_are_not_uint8(function):
    with unchecked(), pytest.raises(TypeError, match="got pixels of float32, wanted the stored uint8"):
        function(KEY, jnp.zeros(3))
