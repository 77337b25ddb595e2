"""What can be measured of a drawn stroke, a digit or a letter: how thick it is, how far it leans, how wide it is.

Each function takes ONE image of light strokes on black, (height, width, 1) in [0, 1], and returns one number. They are sums
over pixels, so that gray pixels count in part, decoder means are measured as images are, and a gradient exists.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

Image = Float[Array, "height width 1"]
SMALLEST = 1e-6


class Moments(NamedTuple):
    """The second moments of the light about its centre, in squared pixels; x to the right, y upwards."""

    xx: Float[Array, ""]
    xy: Float[Array, ""]
    yy: Float[Array, ""]


def moments(image: Image) -> Moments:
    """The spread of the light; near 0 for an image without any."""
    light = image[..., 0]
    share = light / (jnp.sum(light) + SMALLEST)
    height, width = light.shape
    x, y = jnp.arange(width, dtype=jnp.float32), -jnp.arange(height, dtype=jnp.float32)
    across, down = share.sum(axis=0), share.sum(axis=1)
    x, y = x - across @ x, y - down @ y
    return Moments(xx=across @ jnp.square(x), xy=y @ share @ x, yy=down @ jnp.square(y))


def thickness(image: Image) -> Float[Array, ""]:
    """The thickness of the stroke in pixels: 2 area / perimeter, which is w for a stroke of width w much longer than wide.

    Of two pixels or more: a thinner stroke, which leaves no pixel white, is measured as one of nearly two.

        2 sum_i I_i / sum_i | grad I |_i

    The perimeter is the total variation, by differences of neighbouring pixels.
    """
    light = jnp.pad(image[..., 0], 1)
    right, below = light[:-1, 1:] - light[:-1, :-1], light[1:, :-1] - light[:-1, :-1]
    perimeter = jnp.sum(jnp.sqrt(jnp.square(right) + jnp.square(below) + SMALLEST**2))
    return 2.0 * jnp.sum(light) / (perimeter + SMALLEST)


def slant(image: Image) -> Float[Array, ""]:
    """How far the drawing leans, in pixels to the right for each pixel upwards: cov(x, y) / var(y).

    Shearing an image by s adds s. (Castro et al. 2019, Morpho-MNIST, section 2.)
    """
    found = moments(image)
    return found.xy / (found.yy + SMALLEST)


def width(image: Image) -> Float[Array, ""]:
    """The width of the drawing in pixels, once it is upright: that of a bar of equal spread,

        sqrt(12 [ var(x) - cov(x, y)^2 / var(y) ])

    which shearing does not change.
    """
    found = moments(image)
    upright = found.xx - jnp.square(found.xy) / (found.yy + SMALLEST)
    return jnp.sqrt(12.0 * jnp.maximum(upright, 0.0) + SMALLEST**2)


MEASURES: Mapping[str, Callable[[Image], Float[Array, ""]]] = {"thickness": thickness, "width": width, "slant": slant}
"""By name."""
