"""Residual networks over maps of several sizes: the parts of a deep top-down hierarchy for images. (Child 2021, figure 3.)

Maps are (height, width, channels) of any sides: a level has half as many rows and columns as the one below it, rounded up, so
that no side has to be a multiple of anything. A block is

    y = W_4 g(W_3 * g(W_2 * g(W_1 g(x)))),    g = gelu,    * a convolution with 3x3 filters, W_1 and W_4 of single places

and x + y where the channels agree. Convolutions are matrix products, as in `vae.networks.convolution` and for the same reason.
"""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.networks.base import Initialiser, as_float, checked_sizes, flatten, from_flax, output_bias_initialiser
from vae.networks.convolution import Double, Halve, level_sizes, window_product
from vae.networks.initialisers import glorot_uniform
from vae.types import Network, PyTree

SMALLEST_SIDE = 3
"""Maps with a shorter side than this get filters of single places: there would be more padding than map under one of 3x3."""


def residual_encoder(width: int, middle: int, counts: Sequence[int], halvings: int = 0) -> Network:
    """Image -> maps of several sizes, with residual blocks between: the evidence of every group, the coarsest first.

        x -> halved `halvings` times -> blocks -> average of 2x2 -> blocks -> ...

    width:    channels of all maps.
    middle:   channels inside of a block.
    counts:   by level, the coarsest first, how many groups it has: it has as many blocks, and its maps are given as often.
    halvings: how often the image is halved, by 4x4 filters with stride 2, before the first block.

    The last layer of every block starts smaller by sqrt(blocks), so that the sum does not grow with their number.
    """
    return from_flax(_Encoder(width, middle, tuple(counts), halvings))


def first_maps(size: tuple[int, int], width: int) -> Network:
    """Learned maps, the same for every example, to which a context adds a vector: what stands above the first group."""
    return from_flax(_FirstMaps(size, width))


def block_of_maps(channels: int, middle: int, last_scale: float = 1.0) -> Network:
    """Maps, or a tuple of maps laid behind each other -> maps of so many channels, by one residual block.

    last_scale: of the start of its last layer; 0 starts the outputs at zero: those of a prior, which then starts standard.
    """
    return from_flax(_Block(channels, middle, last_scale))


def joined_maps(width: int, middle: int, size: tuple[int, int], blocks: int) -> Network:
    """(maps, z) -> maps + W z, then a residual block, then repeated up to `size` where that is another one (and cut off).

    blocks: in the whole path, by whose root the start of the last layers is divided.
    """
    return from_flax(_Join(width, middle, size, blocks**-0.5))


def maps_to_image(outputs: tuple[int, ...], width: int, halvings: int = 0, output_bias: Any = None) -> Network:
    """Maps -> exactly (H, W, ...), doubled `halvings` times: the mirror image of what `residual_encoder` begins with.

    outputs:     (H, W, C), or (H, W), or (H, W, C, K).
    output_bias: as for `conv_decoder`.
    """
    outputs = checked_sizes("maps_to_image", "outputs (height, width, channels)", outputs, at_least=2)
    bias_init = output_bias_initialiser("maps_to_image", output_bias, outputs)
    return from_flax(_Image(outputs, width, halvings, bias_init, bias_per_pixel=output_bias is not None))


def scaled(scale: float) -> Initialiser:
    """Glorot's uniform distribution with its bound multiplied; 0 gives zeros."""
    return glorot_uniform(scale) if scale else nn.initializers.zeros


class Filter(nn.Module):
    """A convolution with filters of so many places on a side, an odd number, that keeps the size of the maps."""

    channels: int
    side: int
    kernel_init: Initialiser

    @nn.compact
    def __call__(self, maps: Float[Array, "height width inputs"]) -> Float[Array, "height width channels"]:
        """The maps of the same size."""
        border = self.side // 2
        kernel = self.param("kernel", self.kernel_init, (self.side, self.side, maps.shape[-1], self.channels))
        found = window_product(jnp.pad(maps, ((border, border), (border, border), (0, 0))), kernel)
        return found + jnp.broadcast_to(self.param("bias", nn.initializers.zeros, (self.channels,)), found.shape)


class Residual(nn.Module):
    """A block, see above: from any number of channels to `channels`, added to its input where these are as many.

    shortcut: False for a head, whose outputs are no maps and start where its last layer does.
    """

    channels: int
    middle: int
    last_scale: float
    shortcut: bool = True

    @nn.compact
    def __call__(self, maps: Float[Array, "height width inputs"]) -> Float[Array, "height width channels"]:
        """The maps of the same size."""
        side = 3 if min(maps.shape[:2]) >= SMALLEST_SIDE else 1
        found = nn.Dense(self.middle, kernel_init=scaled(1.0))(jax.nn.gelu(maps))
        for _ in range(2):
            found = Filter(self.middle, side, scaled(1.0))(jax.nn.gelu(found))
        found = nn.Dense(self.channels, kernel_init=scaled(self.last_scale))(jax.nn.gelu(found))
        return maps + found if self.shortcut and maps.shape == found.shape else found


def averaged(maps: Float[Array, "height width channels"]) -> Float[Array, "half_height half_width channels"]:
    """The mean of every 2x2 block; of an odd side the last row or column is taken twice."""
    height, width, channels = maps.shape
    even = jnp.pad(maps, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return even.reshape(-(-height // 2), 2, -(-width // 2), 2, channels).mean(axis=(1, 3))


def repeated_to(maps: Float[Array, "height width channels"], size: tuple[int, int]) -> Array:
    """The maps themselves where they have that size; else every place twice in both directions, cut off at the size."""
    if maps.shape[:2] == size:
        return maps
    return jnp.repeat(jnp.repeat(maps, 2, axis=0), 2, axis=1)[: size[0], : size[1]]


def sizes_of_levels(shape: Sequence[int], levels: int, halvings: int) -> list[tuple[int, int]]:
    """The sides of the maps of every level, the coarsest first, of images of a shape."""
    return level_sizes(shape[0], shape[1], halvings + levels - 1)[halvings:][::-1]


class _Encoder(nn.Module):
    width: int
    middle: int
    counts: tuple[int, ...]
    halvings: int

    @nn.compact
    def __call__(self, x: Any, context: PyTree = ()) -> tuple[Array, ...]:
        maps = as_float(x)
        maps = maps if maps.ndim == 3 else maps[..., None]
        for _ in range(self.halvings):
            maps = jax.nn.gelu(Halve(self.width, scaled(1.0))(maps))
        maps = Filter(self.width, 3, scaled(1.0), name="first")(maps)
        if jax.tree.leaves(context):
            maps = maps + jnp.broadcast_to(nn.Dense(self.width, name="context")(flatten(context)), maps.shape)
        last_scale, evidence = sum(self.counts) ** -0.5, []
        for level, count in enumerate(reversed(self.counts)):
            maps = averaged(maps) if level else maps
            for _ in range(count):
                maps = Residual(self.width, self.middle, last_scale)(maps)
            evidence.append((maps,) * count)
        return sum(reversed(evidence), ())


class _FirstMaps(nn.Module):
    size: tuple[int, int]
    width: int

    @nn.compact
    def __call__(self, inputs: PyTree, context: PyTree = ()) -> Float[Array, "height width channels"]:
        maps = self.param("maps", nn.initializers.zeros, (*self.size, self.width))
        if not jax.tree.leaves(context):
            return maps
        return maps + jnp.broadcast_to(nn.Dense(self.width, name="context")(flatten(context)), maps.shape)


class _Block(nn.Module):
    channels: int
    middle: int
    last_scale: float

    @nn.compact
    def __call__(self, inputs: PyTree, context: PyTree = ()) -> Float[Array, "height width channels"]:
        joined = jnp.concatenate(jax.tree.leaves(inputs), axis=-1)
        return Residual(self.channels, self.middle, self.last_scale, shortcut=False)(joined)


class _Join(nn.Module):
    width: int
    middle: int
    size: tuple[int, int]
    last_scale: float

    @nn.compact
    def __call__(self, inputs: PyTree, context: PyTree = ()) -> Float[Array, "height width channels"]:
        maps, z = inputs
        maps = maps + nn.Dense(self.width, kernel_init=scaled(self.last_scale), name="value")(z)
        return repeated_to(Residual(self.width, self.middle, self.last_scale)(maps), self.size)


class _Image(nn.Module):
    outputs: tuple[int, ...]
    width: int
    halvings: int
    bias_init: Initialiser
    bias_per_pixel: bool

    @nn.compact
    def __call__(self, maps: PyTree, context: PyTree = ()) -> Float[Array, "*outputs"]:
        height, width, *channels = self.outputs
        sizes, last = level_sizes(height, width, self.halvings), math.prod(channels)
        maps, bias = jax.nn.gelu(maps), (self.bias_init, self.bias_per_pixel)
        for size in reversed(sizes[1:-1]):
            maps = jax.nn.gelu(Double(self.width, size, scaled(1.0))(maps))
        if self.halvings:
            return Double(last, sizes[0], scaled(1.0), *bias, name="output")(maps).reshape(self.outputs)
        found = Filter(last, 3, scaled(1.0), name="output")(maps)
        if self.bias_per_pixel:
            found = found + self.param("bias", self.bias_init, found.shape)
        return found.reshape(self.outputs)
