import hashlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae.data import load
from vae.data.sources import sprites

INDEX = jax.jit(jax.vmap(sprites.index_of))
RENDER = jax.jit(jax.vmap(sprites.render))
AREAS = (19.0**2, math.pi * 13.8 * 6.9, 14.8**2 * (1 + math.pi / 4))


def images(factors):
    """Rendered in batches of one size, so that one program serves all tests."""
    indices = np.asarray(INDEX(jnp.asarray(np.reshape(factors, (-1, 5)), jnp.int32)))
    padded = np.pad(indices, (0, -len(indices) % 512)).reshape(-1, 512)
    return np.concatenate([np.asarray(RENDER(block)) for block in padded])[: len(indices), ..., 0]


def drawn(count, **fixed):
    generator = np.random.Generator(np.random.Philox(3))
    columns = [np.full(count, fixed[n]) if n in fixed else generator.integers(0, s, count) for n, s in sprites.FACTORS.items()]
    return np.stack(columns, axis=-1)


def test_factors_and_indices_are_inverse_over_the_whole_set():
    indices = jnp.arange(sprites.COUNT, dtype=jnp.int32)
    factors = jax.jit(jax.vmap(sprites.factors))(indices)
    np.testing.assert_array_equal(factors, np.stack(np.unravel_index(np.arange(737_280), (3, 6, 40, 32, 32)), axis=-1))
    np.testing.assert_array_equal(INDEX(factors), indices)


@pytest.mark.parametrize("shape", range(3))
def test_the_area_is_the_analytic_one(shape):
    for scale in range(6):
        counts = (images(drawn(512, shape=shape, scale=scale)) == 255).sum(axis=(1, 2))
        area = AREAS[shape] * ((5 + scale) / 10) ** 2
        assert abs(counts.mean() - area) < 5 * counts.std() / math.sqrt(512) + 1e-3 * area


@pytest.mark.parametrize("shape", range(3))
def test_the_centroid_is_where_the_position_says(shape):
    factors = drawn(512, shape=shape)
    on = images(factors) == 255
    centres = np.arange(64) + 0.5
    expected = 15 + 34 * factors[:, 3:] / 31
    across = (on.sum(axis=1) * centres).sum(axis=1) / on.sum(axis=(1, 2))
    down = (on.sum(axis=2) * centres).sum(axis=1) / on.sum(axis=(1, 2))
    error = np.stack([across, down], axis=-1) - expected
    assert np.abs(error).max() < 0.5  # a row of pixels more or less on one side
    np.testing.assert_array_less(np.abs(error.mean(axis=0)), 5 * error.std(axis=0) / math.sqrt(512))


def test_no_shape_touches_the_frame():
    corners = [(s, 5, o, x, y) for s in range(3) for o in range(40) for x in (0, 31) for y in (0, 31)]
    drawn_images = images(corners)
    assert drawn_images[:, [0, -1], :].max() == 0
    assert drawn_images[:, :, [0, -1]].max() == 0


def test_a_right_angle_turns_the_image_exactly_and_anticlockwise():
    factors = drawn(512)
    turned = factors.copy()
    turned[:, 2] = (factors[:, 2] + 10) % 40
    turned[:, 3], turned[:, 4] = factors[:, 4], 31 - factors[:, 3]
    np.testing.assert_array_equal(np.rot90(images(factors), axes=(1, 2)), images(turned))


@pytest.mark.parametrize(("shape", "period"), [(0, 10), (1, 20), (2, 40)])
def test_each_shape_has_its_symmetry_and_no_more(shape, period):
    turns = images([(shape, 5, o, 9, 20) for o in range(40)])
    np.testing.assert_array_equal(np.roll(turns, period, axis=0), turns)
    different = [np.any(turns[0] != turns[o]) for o in range(1, period)]
    assert all(different)


def test_the_heart_stands_on_its_tip():
    rows = np.flatnonzero(images([(2, 5, 0, 16, 16)])[0].any(axis=1))
    widths = (images([(2, 5, 0, 16, 16)])[0] == 255).sum(axis=1)[rows]
    assert widths[-1] <= 2
    assert widths[:6].max() > 16


def test_compiled_and_batched_equal_one_at_a_time():
    indices = np.array([0, 1, 123_456, 345_678, 600_000, 737_279], np.int32)
    one_by_one = np.stack([sprites.render(jnp.int32(index)) for index in indices])
    assert one_by_one.dtype == np.uint8
    assert one_by_one.shape == (6, 64, 64, 1)
    assert set(np.unique(one_by_one)) == {0, 255}
    np.testing.assert_array_equal(RENDER(np.resize(indices, 512))[:6], one_by_one)


def test_the_drawings_never_change():
    every = images(np.stack(np.unravel_index(np.arange(0, sprites.COUNT, 1439), sprites.SIZES), axis=-1))
    assert hashlib.sha256(every.tobytes()).hexdigest() == "ac72450c5806df82675bae321843fcfb1a17c371d5fe87cca90bc0c45908f123"


def test_the_data_set_holds_indices_and_factors():
    data = load("sprites", validation_fraction=0.01)
    splits = (data.train, data.validation, data.test)
    assert [len(split.x) for split in splits] == [656_179, 7373, 73_728]
    assert (data.shape, data.binary) == ((64, 64, 1), True)
    assert data.label_names == ("shape", "scale", "orientation", "x", "y")
    assert len(np.unique(np.concatenate([split.x for split in splits]))) == sprites.COUNT
    x, label = data.test.x[:512], data.test.label[:512]
    assert (x.dtype, label.dtype) == (np.int32, np.int32)
    np.testing.assert_array_equal(jax.vmap(sprites.factors)(x), label)
    assert data.render is sprites.render
