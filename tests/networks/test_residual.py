"""Residual maps: convolutions as their definition reads, any sides, starts that do not grow with depth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tools import run, waves
from numpy.testing import assert_allclose, assert_array_equal

from vae.networks import block_of_maps, first_maps, joined_maps, maps_to_image, residual_encoder
from vae.networks.base import from_flax
from vae.networks.residual import Filter, averaged, repeated_to, sizes_of_levels

KEY, RNG = jax.random.key(0), np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("size", "side", "channels"), [((5, 3), 3, 4), ((1, 2), 3, 2), ((4, 4), 1, 3), ((3, 4), 3, 1)])
def test_a_filter_is_a_convolution_with_zeros_around(size, side, channels):
    """Wide outputs and narrow ones, which are multiplied in another order."""
    x, inputs = normal(*size, 12), 12
    net = from_flax(Filter(channels, side, waves))
    params, _ = net.init(KEY, x)
    border = side // 2
    padded = np.pad(x, ((border, border), (border, border), (0, 0)))
    kernel = np.asarray(params["kernel"])
    assert kernel.shape == (side, side, inputs, channels)
    wanted = [
        [np.einsum("uvc,uvcd->d", padded[i : i + side, j : j + side], kernel) for j in range(size[1])] for i in range(size[0])
    ]
    assert_allclose(run(net, params, x), np.array(wanted), rtol=2e-4, atol=1e-5)


def test_means_of_blocks_and_their_repetition_for_odd_sides():
    maps = normal(5, 4, 2)
    half = averaged(jnp.asarray(maps))
    assert_allclose(half[1, 1], maps[2:4, 2:4].mean(axis=(0, 1)), rtol=1e-5)
    assert_allclose(half[2, 0], maps[4, :2].mean(axis=0), rtol=1e-5)
    back = repeated_to(half, (5, 4))
    assert back.shape == maps.shape
    assert_array_equal(back[4, 3], half[2, 1])
    assert_array_equal(back[0, 1], half[0, 0])
    assert repeated_to(half, (3, 2)) is half


def test_sizes_of_levels():
    assert sizes_of_levels((28, 28, 1), 3, 1) == [(4, 4), (7, 7), (14, 14)]
    assert sizes_of_levels((32, 20, 3), 2, 0) == [(16, 10), (32, 20)]
    assert sizes_of_levels((5, 1), 3, 0) == [(2, 1), (3, 1), (5, 1)]


@pytest.mark.parametrize(("shape", "halvings"), [((7, 5, 3), 1), ((6, 4), 0)])
def test_any_image_becomes_evidence_and_maps_an_image_again(shape, halvings):
    x, (coarse, fine) = normal(*shape), sizes_of_levels(shape, 2, halvings)
    encoder = residual_encoder(4, 2, (1, 2), halvings)
    evidence, _ = jax.eval_shape(lambda x: encoder.apply(*encoder.init(KEY, x), x), x)
    assert [each.shape for each in evidence] == [(*coarse, 4), (*fine, 4), (*fine, 4)]
    outputs = (*shape[:2], 3, 2)
    decoder = maps_to_image(outputs, 4, halvings, output_bias=np.full(outputs, 0.5))
    params, _ = decoder.init(KEY, jnp.zeros((*fine, 4)))
    assert_allclose(run(decoder, params, jnp.zeros((*fine, 4))), 0.5, err_msg="it starts at its bias")


def test_heads_that_start_at_zero_and_the_sum_of_maps():
    maps, z = normal(3, 3, 4), normal(3, 3, 2)
    head = block_of_maps(6, 2, last_scale=0.0)
    assert_array_equal(run(head, head.init(KEY, (maps, maps))[0], (maps, maps)), np.zeros((3, 3, 6)))
    alike = block_of_maps(4, 2, last_scale=0.0)
    assert_array_equal(run(alike, alike.init(KEY, maps)[0], maps), np.zeros((3, 3, 4)), "no shortcut of as many channels")
    far, near = (joined_maps(4, 2, (6, 5), blocks) for blocks in (1, 10_000))
    changes = [run(net, net.init(KEY, (maps, z))[0], (maps, z)) - repeated_to(jnp.asarray(maps), (6, 5)) for net in (far, near)]
    assert_allclose(np.std(changes[1]) / np.std(changes[0]), 0.01, rtol=0.3, err_msg="each of n blocks adds 1 / sqrt(n)")


def test_a_context_shifts_the_first_maps_of_each_channel_alike():
    net, context = first_maps((2, 3), 4), jnp.array([1.0, -2.0])
    params, _ = net.init(KEY, (), context)
    found = run(net, params, (), context)
    assert_allclose(found, np.broadcast_to(np.asarray(context) @ params["context"]["kernel"], (2, 3, 4)), rtol=1e-5)
    plain = first_maps((2, 3), 4)
    assert_array_equal(run(plain, plain.init(KEY, ())[0], ()), np.zeros((2, 3, 4)))
