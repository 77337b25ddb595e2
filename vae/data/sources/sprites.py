"""dSprites-like binary sprites, rendered on the device: 3 shapes x 6 scales x 40 orientations x 32 x 32 positions.

Not dSprites, whose files these images do not reproduce: same factors, other drawings. An image is a function of its index, so
a data set is a list of indices.

The rendering is integer arithmetic throughout, so an index gives the same image bit for bit under `jit`, `vmap` and on every
device; floating point would not, at pixels whose centre falls on an outline.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from vae.data.sources.base import Raw, Source, in_memory

SIDE = 64
FACTORS = {"shape": 3, "scale": 6, "orientation": 40, "x": 32, "y": 32}
SIZES = tuple(FACTORS.values())
COUNT = math.prod(SIZES)
SCALES = tuple((5 + k) / 10 for k in range(6))

# Sizes in pixels at scale 1. Each shape lies within 14 pixels of its centre, which keeps 15 pixels from the frame.
SQUARE_SIDE = 19.0
ELLIPSE_AXES = (13.8, 6.9)  # half the width and half the height
HEART_SIDE = 14.8  # of the square under the two half discs
MARGIN = 15

# Units of length: positions are counted in 1/62 pixel, so that pixel centres and the 32 positions are integers.
# Turning multiplies by TURN; COARSE = 1/124 pixel is small enough to be squared in 32 bits.
POSITION_UNIT = 62
TURN = 1024
SHIFT = 9
COARSE = POSITION_UNIT * TURN >> SHIFT

_COSINE = tuple(round(TURN * math.cos(2 * math.pi * k / 40)) for k in range(40))


def _table(units_per_pixel: int, pixels: float) -> Int[Array, "scale"]:
    return jnp.asarray([round(units_per_pixel * pixels * scale) for scale in SCALES], jnp.int32)


def factors(index: Int[Array, ""]) -> Int[Array, "5"]:
    """(shape, scale, orientation, x, y) of an index: its digits in the mixed radix (3, 6, 40, 32, 32), shape the slowest."""
    digits = []
    for size in reversed(SIZES):
        digits.append(index % size)
        index = index // size
    return jnp.stack(digits[::-1]).astype(jnp.int32)


def index_of(factors: Int[Array, "5"]) -> Int[Array, ""]:
    """The index of (shape, scale, orientation, x, y); the inverse of `factors`."""
    index = jnp.int32(0)
    for size, digit in zip(SIZES, factors, strict=True):
        index = index * size + digit
    return index


def render(index: Int[Array, ""]) -> UInt8[Array, "64 64 1"]:
    """The image of an index: 255 where the centre of a pixel lies in the shape, else 0.

    The orientation turns anticlockwise by 2 pi k / 40; x counts to the right, y downwards; the scales are 0.5, 0.6, ... 1.
    """
    shape, scale, orientation, x, y = factors(index)
    across, down = _body_coordinates(orientation, x, y)
    inside = jnp.select(
        [shape == 0, shape == 1],
        [_square(across, down, scale), _ellipse(across, down, scale)],
        _heart(across, down, scale),
    )
    return inside.astype(jnp.uint8)[..., None] * jnp.uint8(255)


def _body_coordinates(orientation, x, y) -> tuple[Int[Array, "64 64"], Int[Array, "64 64"]]:
    """Pixel centres as the shape sees them, in 1 / (62 TURN) pixel: its own right and its own down."""
    centres = (2 * jnp.arange(SIDE, dtype=jnp.int32) + 1) * (POSITION_UNIT // 2)
    step = (SIDE - 2 * MARGIN) * POSITION_UNIT // 31
    right = (centres - MARGIN * POSITION_UNIT - step * x)[None, :]
    down = (centres - MARGIN * POSITION_UNIT - step * y)[:, None]
    cosine = jnp.asarray(_COSINE, jnp.int32)[orientation]
    sine = jnp.asarray(_COSINE, jnp.int32)[(orientation + 30) % 40]
    return right * cosine - down * sine, right * sine + down * cosine


def _coarse(length: Int[Array, "64 64"]) -> Int[Array, "64 64"]:
    """Rounded to the nearest 1/124 pixel, alike on both sides of zero, so that turning an image by a right angle is exact."""
    return jnp.sign(length) * ((jnp.abs(length) + (1 << (SHIFT - 1))) >> SHIFT)


def _square(across, down, scale):
    """max(|a|, |d|) <= side / 2."""
    half = _table(POSITION_UNIT * TURN, SQUARE_SIDE / 2)[scale]
    return jnp.maximum(jnp.abs(across), jnp.abs(down)) <= half


def _ellipse(across, down, scale):
    """a^2 + 4 d^2 <= width^2, an ellipse twice as wide as high."""
    half_width = _table(COARSE, ELLIPSE_AXES[0])[scale]
    return _coarse(across) ** 2 + 4 * _coarse(down) ** 2 <= half_width**2


def _heart(across, down, scale):
    """A square on its corner with a half disc on each upper side: area side^2 (1 + pi/4), turned about its centroid."""
    diagonal = HEART_SIDE / math.sqrt(2)  # half of the square's
    lift = HEART_SIDE * (math.pi / 8 + 1 / 6) / (math.sqrt(2) * (1 + math.pi / 4))  # from the square's centre to the centroid
    sideways = jnp.abs(_coarse(across))
    up = _table(COARSE, lift)[scale] - _coarse(down)
    square = sideways + jnp.abs(up) <= _table(COARSE, diagonal)[scale]
    middle, radius = _table(COARSE, diagonal / 2)[scale], _table(COARSE, HEART_SIDE / 2)[scale]
    return square | ((sideways - middle) ** 2 + (up - middle) ** 2 <= radius**2)


def read(name: str) -> Raw:
    """All 737,280 indices, with their factors as labels."""
    indices = np.arange(COUNT, dtype=np.int32)
    labels = np.stack(np.unravel_index(indices, SIZES), axis=-1).astype(np.int32)
    return Raw({"train": in_memory(indices, labels)}, label_names=tuple(FACTORS), render=render, binary=True)


SOURCE = Source(usage="sprites", accepts=lambda name: name == "sprites", identify=None, read=read)
