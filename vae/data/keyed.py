"""What is keyed on its own: the cut into splits and the one fixed binarisation, independent of seed, machine and NumPy version.

Both are read from the words of the counter-based generator Philox4x64 (Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3"), whose raw output NumPy promises not to change, as it does not for the methods of `numpy.random.Generator`. The key is
a digest of a fixed string, the salt. A change here changes every number reported on a validation or test set.
"""

import hashlib
from collections.abc import Mapping

import numpy as np

from vae.data.dataset import Split

WORDS_AT_A_TIME = 1 << 20


def split_indices(count: int, fractions: Mapping[str, float], salt: str) -> dict[str, np.ndarray]:
    """Cut 0 ... count - 1 at random into named parts and the rest, "train"; each part ascending, the same for ever.

    A part has round(fraction * count) members. Parts are dealt in the order of `fractions`, so a part does not move when the
    fraction of a later one changes.
    """
    order = np.argsort(_words(salt).random_raw(count), kind="stable")
    sizes = [round(fraction * count) for fraction in fractions.values()]
    parts = np.split(order, np.cumsum(sizes))
    return {name: np.sort(part) for name, part in zip([*fractions, "train"], parts, strict=True)}


def binarise(data: Split | np.ndarray, salt: str) -> np.ndarray:
    """The static binarisation: one fixed Bernoulli draw of every pixel, 0 or 1.

        x = 1[ word < 257 pixel ],   so P(x = 1) = 257 pixel / 2^16,   with one 16-bit word per pixel

    The probability is within 2^-16 of pixel / 255; 0 is never on. Images that are binary as stored need no draw.

    data: uint8 images of any shape, or a split of them.
    salt: names the draw: use the name of the split, so that splits have different noise.

    Returns uint8 of the same shape. Salakhutdinov and Murray 2008, "On the quantitative analysis of deep belief networks",
    section 4; the draw is ours, so numbers compare with those on the published draw in distribution only.
    """
    images = data.x if isinstance(data, Split) else np.asarray(data)
    if images.dtype != np.uint8:
        raise TypeError(f"binarise got {images.dtype}, wanted the stored uint8 pixels in 0 ... 255: pass those.")
    generator = _words(f"binarise {salt}")
    pixels = images.reshape(-1)
    result = np.empty(pixels.shape, np.uint8)
    for start in range(0, pixels.size, 4 * WORDS_AT_A_TIME):
        block = pixels[start : start + 4 * WORDS_AT_A_TIME]
        words = generator.random_raw(-(-block.size // 4)).astype("<u8", copy=False).view("<u2")[: block.size]
        result[start : start + block.size] = words < block.astype(np.uint16) * np.uint16(257)
    return result.reshape(images.shape)


def _words(salt: str) -> np.random.Philox:
    return np.random.Philox(key=int.from_bytes(hashlib.sha256(f"vae {salt}".encode()).digest()[:16], "little"))
