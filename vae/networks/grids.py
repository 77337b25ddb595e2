"""Networks between an image and a grid of vectors, one for each of its places, as quantisers want them."""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.networks.base import Activation, Initialiser, checked_sizes, flatten, from_flax, output_bias_initialiser
from vae.networks.convolution import Double, Halve, as_image, level_sizes, product
from vae.networks.initialisers import glorot_uniform
from vae.types import Network, PyTree


def grid_encoder(
    widths: Sequence[int],
    dim: int,
    blocks: int = 0,
    activation: Activation = nn.relu,
    kernel_init: Initialiser | None = None,
) -> Network:
    """Image -> `len(widths)` halvings of its sides -> residual blocks -> `dim` numbers at each place of the last level.

    x is one image, (H, W, C) or (H, W), uint8 or float; the grid has ceil(H / 2^n) x ceil(W / 2^n) places, see `grid_sizes`.
    The context is added to the first level, the same at all places.

    blocks:      of two layers, 3x3 and 1x1, before the output.
    kernel_init: start of all weights, Glorot's uniform distribution by default.

    Raises ValueError for no widths, sizes that are not positive integers, and an x that is no image.
    """
    widths = checked_sizes("grid_encoder", "widths", widths, at_least=1)
    (dim,) = checked_sizes("grid_encoder", "dim", (dim,))
    return from_flax(_GridEncoder(widths, dim, blocks, activation, kernel_init or glorot_uniform()))


def grid_decoder(
    widths: Sequence[int],
    outputs: tuple[int, ...],
    blocks: int = 0,
    activation: Activation = nn.relu,
    kernel_init: Initialiser | None = None,
    output_bias: Any = None,
) -> Network:
    """A grid of vectors -> residual blocks -> `len(widths)` doublings of its sides -> exactly (H, W, ...).

    The mirror image of `grid_encoder` with the widths reversed. The arguments are those of `conv_decoder` and `grid_encoder`.
    """
    widths = checked_sizes("grid_decoder", "widths", widths, at_least=1)
    outputs = checked_sizes("grid_decoder", "outputs (height, width, channels)", outputs, at_least=2)
    bias_init = output_bias_initialiser("grid_decoder", output_bias, outputs)
    return from_flax(
        _GridDecoder(widths, outputs, blocks, activation, kernel_init or glorot_uniform(), bias_init, output_bias is not None)
    )


def grid_sizes(shape: Sequence[int], levels: int) -> tuple[int, int]:
    """(height, width) of the grid of an image of shape (H, W, ...) after so many halvings."""
    return level_sizes(shape[0], shape[1], levels)[-1]


class _GridEncoder(nn.Module):
    widths: tuple[int, ...]
    dim: int
    blocks: int
    activation: Activation
    kernel_init: Initialiser

    @nn.compact
    def __call__(self, x: Any, context: PyTree = (), training: bool = False) -> Float[Array, "height width dim"]:
        maps = as_image(x)
        for level, channels in enumerate(self.widths):
            maps = Halve(channels, self.kernel_init)(maps)
            maps = self.activation(_with_context(self, maps, context) if level == 0 else maps)
        for _ in range(self.blocks):
            maps = Block(self.activation, self.kernel_init)(maps)
        return nn.Dense(self.dim, kernel_init=self.kernel_init, name="output")(maps)


class _GridDecoder(nn.Module):
    widths: tuple[int, ...]
    outputs: tuple[int, ...]
    blocks: int
    activation: Activation
    kernel_init: Initialiser
    bias_init: Initialiser
    bias_per_pixel: bool

    @nn.compact
    def __call__(
        self, z: Float[Array, "height width dim"], context: PyTree = (), training: bool = False
    ) -> Float[Array, "*outputs"]:
        height, width, *channels = self.outputs
        output_size, *finer, _ = level_sizes(height, width, len(self.widths))
        maps = nn.Dense(self.widths[0], kernel_init=self.kernel_init, name="places")(z)
        maps = self.activation(_with_context(self, maps, context))
        for _ in range(self.blocks):
            maps = Block(self.activation, self.kernel_init)(maps)
        for features, size in zip(self.widths[1:], reversed(finer), strict=True):
            maps = self.activation(Double(features, size, self.kernel_init)(maps))
        last = Double(math.prod(channels), output_size, self.kernel_init, self.bias_init, self.bias_per_pixel, name="output")
        return last(maps).reshape(self.outputs)


class Block(nn.Module):
    """x + W_2 a( W_1 [a(x) at the 3x3 places around] ), as the residual blocks of van den Oord et al. 2017, section 4.1."""

    activation: Activation
    kernel_init: Initialiser

    @nn.compact
    def __call__(self, x: Float[Array, "height width channels"]) -> Float[Array, "height width channels"]:
        """The maps, changed."""
        height, width, channels = x.shape
        padded = jnp.pad(self.activation(x), ((1, 1), (1, 1), (0, 0)))
        around = [padded[row : row + height, column : column + width] for row in range(3) for column in range(3)]
        kernel = self.param("kernel", self.kernel_init, (9 * channels, channels))
        hidden = product(jnp.concatenate(around, axis=-1), kernel)
        hidden = hidden + jnp.broadcast_to(self.param("bias", nn.initializers.zeros, (channels,)), hidden.shape)
        return x + nn.Dense(channels, kernel_init=self.kernel_init)(self.activation(hidden))


def _with_context(module: nn.Module, maps: Float[Array, "height width channels"], context: PyTree) -> Array:
    """The maps and a linear image of the context at every place; the maps where there is no context."""
    if not jax.tree.leaves(context):
        return maps
    own = nn.Dense(maps.shape[-1], use_bias=False, name="context", parent=module)(flatten(context))
    return maps + jnp.broadcast_to(own, maps.shape)
