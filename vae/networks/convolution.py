"""Convolutional encoders and decoders for images of any height, width and number of channels.

Both are made of 4x4 filters with stride 2, down and up. Each is computed as ONE matrix product: a 2x2 block of pixels becomes
the channels of one place, where a 4x4 filter with stride 2 is a 2x2 filter with stride 1, and the four places under that
filter are laid side by side. The numbers are those of XLA's convolutions, whose gradients are slow on a CPU: those of its
transposed convolution everywhere, those of any convolution inside a `lax.scan`. The price is memory: the windows hold every
number of a layer's input four times.
"""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.networks.base import Activation, Initialiser, as_float, checked_sizes, flatten, from_flax, output_bias_initialiser
from vae.networks.fully_connected import HiddenLayers
from vae.networks.initialisers import glorot_uniform
from vae.networks.normalisation import Normalisation, normalised
from vae.types import Network, PyTree


def conv_encoder(
    widths: Sequence[int],
    outputs: tuple[int, ...],
    hidden: Sequence[int] = (),
    activation: Activation = nn.relu,
    kernel_init: Initialiser | None = None,
    normalisation: Normalisation | None = None,
) -> Network:
    """Image -> `len(widths)` halvings of its sides -> dense hidden layers -> an array of shape `outputs`.

    x is one image, (H, W, C) or (H, W), uint8 or float; level i has ceil(H / 2^i) x ceil(W / 2^i) places and `widths[i - 1]`
    channels. The context is joined to the flattened features of the last level.

    hidden:        widths of dense layers between the last level and the output.
    kernel_init:   start of all weights, Glorot's uniform distribution by default.
    normalisation: `group_norm()` or `batch_norm()`, before each activation.

    Raises ValueError for no widths, sizes that are not positive integers, and an x that is no image.
    """
    widths = checked_sizes("conv_encoder", "widths", widths, at_least=1)
    hidden = checked_sizes("conv_encoder", "hidden widths", hidden)
    outputs = checked_sizes("conv_encoder", "outputs", outputs)
    layers = HiddenLayers(hidden, activation, kernel_init or glorot_uniform(), normalisation)
    return from_flax(_ConvEncoder(widths, outputs, layers))


def conv_decoder(
    widths: Sequence[int],
    outputs: tuple[int, ...],
    hidden: Sequence[int] = (),
    activation: Activation = nn.relu,
    kernel_init: Initialiser | None = None,
    normalisation: Normalisation | None = None,
    output_bias: Any = None,
) -> Network:
    """Latent and context -> dense hidden layers -> `len(widths)` doublings of the sides -> exactly (H, W, ...).

    The mirror image of `conv_encoder` with the widths reversed: it begins with `widths[0]` channels on
    ceil(H / 2^n) x ceil(W / 2^n) places. The doubling is the transposed convolution with 4x4 filters, stride 2 and padding 1:
    every output pixel is a sum of equally many terms, so that its initial weights leave no checkerboard.
    (Odena et al. 2016, "Deconvolution and checkerboard artifacts".)

    outputs:     (H, W, C), or (H, W), or (H, W, C, K) with more axes than one for the channels.
    output_bias: start of a learned bias for each pixel and channel, a scalar or an array of shape `outputs`, such as
                 `bernoulli_output_bias(mean_image)`; by default one bias per channel, starting at zero.

    `hidden`, `kernel_init` and `normalisation` are those of `conv_encoder`. Raises ValueError for no widths, outputs with fewer
    than two axes, sizes that are not positive integers and a bias of another shape.
    """
    widths = checked_sizes("conv_decoder", "widths", widths, at_least=1)
    hidden = checked_sizes("conv_decoder", "hidden widths", hidden)
    outputs = checked_sizes("conv_decoder", "outputs (height, width, channels)", outputs, at_least=2)
    layers = HiddenLayers(hidden, activation, kernel_init or glorot_uniform(), normalisation)
    bias_init = output_bias_initialiser("conv_decoder", output_bias, outputs)
    return from_flax(_ConvDecoder(widths, outputs, layers, bias_init, bias_per_pixel=output_bias is not None))


class _ConvEncoder(nn.Module):
    widths: tuple[int, ...]
    outputs: tuple[int, ...]
    hidden: HiddenLayers

    @nn.compact
    def __call__(self, x: Any, context: PyTree = (), training: bool = False) -> Float[Array, "*outputs"]:
        style, maps = self.hidden, as_image(x)
        for channels in self.widths:
            maps = Halve(channels, style.kernel_init)(maps)
            maps = style.activation(normalised(maps, style.normalisation, training))
        features = self.hidden(flatten((maps, context)), training)
        return nn.Dense(math.prod(self.outputs), kernel_init=style.kernel_init, name="output")(features).reshape(self.outputs)


class _ConvDecoder(nn.Module):
    widths: tuple[int, ...]
    outputs: tuple[int, ...]
    hidden: HiddenLayers
    bias_init: Initialiser
    bias_per_pixel: bool

    @nn.compact
    def __call__(self, z: PyTree, context: PyTree = (), training: bool = False) -> Float[Array, "*outputs"]:
        style = self.hidden
        height, width, *channels = self.outputs
        output_size, *finer, coarsest = level_sizes(height, width, len(self.widths))
        vector = self.hidden(flatten((z, context)), training)
        places = nn.Dense(math.prod(coarsest) * self.widths[0], kernel_init=style.kernel_init, name="places")(vector)
        maps = style.activation(normalised(places.reshape(*coarsest, -1), style.normalisation, training))
        for features, size in zip(self.widths[1:], reversed(finer), strict=True):
            maps = Double(features, size, style.kernel_init)(maps)
            maps = style.activation(normalised(maps, style.normalisation, training))
        bias = self.bias_init, self.bias_per_pixel
        last = Double(math.prod(channels), output_size, style.kernel_init, *bias, name="output")
        return last(maps).reshape(self.outputs)


class Halve(nn.Module):
    """A convolution with 4x4 filters, stride 2 and padding 1: (H, W, C) -> (ceil(H / 2), ceil(W / 2), channels).

    An odd side is padded once more at its end. The kernel is kept as the 2x2 filter over blocks, (2, 2, 4 C, channels), whose
    fans are the true ones: 16 C terms in an output, 4 channels outputs from an input.
    """

    channels: int
    kernel_init: Initialiser

    @nn.compact
    def __call__(self, x: Float[Array, "height width inputs"]) -> Float[Array, "half_height half_width channels"]:
        """The halved maps."""
        height, width, inputs = x.shape
        blocks = space_to_depth(jnp.pad(x, ((1, 1 + height % 2), (1, 1 + width % 2), (0, 0))))
        kernel = self.param("kernel", self.kernel_init, (2, 2, 4 * inputs, self.channels))
        maps = window_product(blocks, kernel)
        return maps + jnp.broadcast_to(self.param("bias", nn.initializers.zeros, (self.channels,)), maps.shape)


class Double(nn.Module):
    """A transposed convolution with 4x4 filters, stride 2 and padding 1: (h, w, C) -> (2 h, 2 w, channels), cropped to `size`.

    A pixel of the output is a sum over 2x2 places of the input, and the four pixels of a block that straddles four places are
    sums over the same ones: a 2x2 filter gives them as channels, they are unfolded, and the outermost rows and columns are cut
    off. The kernel is kept in that form, (2, 2, C, 4 channels), whose fans are the true ones: 4 C terms in an output,
    16 channels outputs from an input. (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?")
    """

    channels: int
    size: tuple[int, int]
    kernel_init: Initialiser
    bias_init: Initialiser = nn.initializers.zeros
    bias_per_pixel: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "height width inputs"]) -> Float[Array, "double_height double_width channels"]:
        """The doubled maps."""
        height, width = self.size
        kernel = self.param("kernel", self.kernel_init, (2, 2, x.shape[-1], 4 * self.channels))
        blocks = window_product(jnp.pad(x, ((1, 1), (1, 1), (0, 0))), kernel)
        maps = depth_to_space(blocks)[1 : 1 + height, 1 : 1 + width]
        bias_shape = maps.shape if self.bias_per_pixel else (self.channels,)
        return maps + jnp.broadcast_to(self.param("bias", self.bias_init, bias_shape), maps.shape)


def window_product(x: Float[Array, "height width inputs"], kernel: Float[Array, "rows columns inputs outputs"]) -> Array:
    """A convolution without padding as one matrix product: (H, W, C) -> (H - rows + 1, W - columns + 1, outputs).

        y_ij = sum_uv x_(i+u)(j+v) K_uv

    Either the places under the filter are laid side by side and multiplied at once, or every place is multiplied by all of its
    matrices and the products are added up where they belong. The second takes less memory and time where all products of a
    place are no more numbers than the place has: the last layer of a decoder for gray images.
    """
    rows, columns, inputs, outputs = kernel.shape
    taps = rows * columns
    if taps * outputs > inputs:
        return product(jnp.concatenate(_shifts(x, rows, columns), axis=-1), kernel.reshape(taps * inputs, outputs))
    products = jnp.split(product(x, kernel.transpose(2, 0, 1, 3).reshape(inputs, taps * outputs)), taps, axis=-1)
    first, *others = (_shifts(part, rows, columns)[i] for i, part in enumerate(products))
    return sum(others, first)


def product(x: Float[Array, "*places inputs"], matrix: Float[Array, "inputs outputs"]) -> Float[Array, "*places outputs"]:
    """x W at every place, written so that the gradient of W is a product with its narrower factor first.

    With many places XLA's CPU code for x' dy is slow where x is wider than dy. There W is held transposed, behind a barrier
    that keeps the compiler from turning the product round again, and its gradient comes out as dy' x.
    """
    if matrix.shape[0] <= matrix.shape[1]:
        return x @ matrix
    transposed = jax.lax.optimization_barrier(matrix.T)
    return jax.lax.dot_general(x, transposed, (((x.ndim - 1,), (1,)), ((), ())))


def _shifts(x: Float[Array, "height width channels"], rows: int, columns: int) -> list[Array]:
    """The places of every window of so many rows and columns, row by row: arrays (H - rows + 1, W - columns + 1, C)."""
    height, width = x.shape[0] - rows + 1, x.shape[1] - columns + 1
    return [x[i : i + height, j : j + width] for i in range(rows) for j in range(columns)]


def space_to_depth(x: Float[Array, "height width channels"]) -> Float[Array, "half_height half_width block_channels"]:
    """Fold every 2x2 block of pixels into the channels of one place: (H, W, C) -> (H / 2, W / 2, 4 C)."""
    height, width, channels = x.shape
    blocks = x.reshape(height // 2, 2, width // 2, 2, channels)
    return blocks.transpose(0, 2, 1, 3, 4).reshape(height // 2, width // 2, 4 * channels)


def depth_to_space(x: Float[Array, "height width block_channels"]) -> Float[Array, "double_height double_width channels"]:
    """The inverse of `space_to_depth`: (H, W, 4 C) -> (2 H, 2 W, C)."""
    height, width, channels = x.shape
    pixels = x.reshape(height, width, 2, 2, channels // 4)
    return pixels.transpose(0, 2, 1, 3, 4).reshape(2 * height, 2 * width, channels // 4)


def level_sizes(height: int, width: int, levels: int) -> list[tuple[int, int]]:
    """The sides of every level, finest first: halved and rounded up `levels` times."""
    return [(-(-height // 2**i), -(-width // 2**i)) for i in range(levels + 1)]


def as_image(x: Any) -> Float[Array, "height width channels"]:
    """One image as float32 with a channel axis."""
    shape = getattr(x, "shape", None)
    if shape is None or len(shape) not in (2, 3):
        raise ValueError(
            f"a convolutional encoder got an x of shape {shape}, wanted one image (height, width, channels): vmap over a batch."
        )
    image = as_float(x)
    return image if image.ndim == 3 else image[..., None]
