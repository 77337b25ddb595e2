"""From the stored pixels to what the model sees: `(key, uint8 pixels) -> float32`, on the device and inside the step.

Data stay uint8 in memory, a quarter of the bytes of float32. Every function here has the same signature, so that a data set
names one of them; those that draw nothing ignore the key. Pixels may have any shape: one image or a batch.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, UInt8


def dynamic_binarisation(key: Array, pixels: UInt8[Array, "*shape"]) -> Float32[Array, "*shape"]:
    """A fresh Bernoulli draw of every pixel: 1 with probability pixel * 257 / 2^16, else 0.

    The probability is within 2^-16 of pixel / 255 (0 is never on). Sixteen random bits decide a pixel, so that one 32-bit word
    serves two; eight bits would be biased by up to 1/256. Burda et al. 2016, "Importance weighted autoencoders", section 5.
    """
    _require_uint8("dynamic_binarisation", pixels)
    words = jax.random.bits(key, ((pixels.size + 1) // 2,), jnp.uint32)
    halves = jnp.concatenate([words & 0xFFFF, words >> 16])[: pixels.size]
    threshold = jnp.asarray(pixels).astype(jnp.uint32) * 257
    return (halves.reshape(pixels.shape) < threshold).astype(jnp.float32)


def unit_interval(key: Array, pixels: UInt8[Array, "*shape"]) -> Float32[Array, "*shape"]:
    """pixel / 255, in [0, 1]."""
    del key
    _require_uint8("unit_interval", pixels)
    return jnp.asarray(pixels).astype(jnp.float32) / 255.0


def binary(key: Array, pixels: UInt8[Array, "*shape"]) -> Float32[Array, "*shape"]:
    """0 where the stored pixel is 0, else 1: for sets that are stored binary, as 0 and 1 or as 0 and 255."""
    del key
    _require_uint8("binary", pixels)
    return (jnp.asarray(pixels) > 0).astype(jnp.float32)


def stored(key: Array, pixels: Array) -> Array:
    """The stored values as they are: for likelihoods over uint8 and for tokens."""
    del key
    return pixels


def _require_uint8(name: str, pixels: Array) -> None:
    if pixels.dtype != jnp.uint8:
        raise TypeError(
            f"{name} got pixels of {pixels.dtype}, wanted the stored uint8 in 0 ... 255: use `stored` for anything else."
        )
