"""What a contestant is: something that trains on its own, and that can be given a batch and its noise, to be compared."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from benchmarks.presets import Preset

LEARNING_RATE = 1e-3

Dense = tuple[np.ndarray, np.ndarray]
"""Kernel (inputs, outputs) and bias (outputs,)."""
Weights = Mapping[str, Sequence[Dense]]
"""The layers of "encoder" and "decoder", input first. The encoder's last has the means' columns before the log scales'."""


class Problem(NamedTuple):
    """What every contestant is given: the same images, the same network, the same start.

    preset:  what is trained.
    images:  uint8 (examples, height, width, channels).
    weights: to start from; None where the networks are not fully connected.
    """

    preset: "Preset"
    images: np.ndarray
    weights: Weights | None


class Trainer(NamedTuple):
    """One contestant.

    run(steps):              train on its own batches and its own noise, as its users would; return when done.
    step(x, noise) -> loss:  one step of that same training on given binary images (batch, pixels) and standard normal noise,
                             (batch, latent) or (batch, samples, latent); the loss before it, in nats per example.
    weights():               the present ones.
    multiple:                steps that belong together (a chunk).
    """

    run: Callable[[int], None]
    step: Callable[[Any, Any], float] | None = None
    weights: Callable[[], Weights] | None = None
    multiple: int = 1


def flat(images: np.ndarray) -> np.ndarray:
    """Stored pixels as (examples, pixels)."""
    return images.reshape(len(images), -1)


def batches(size: int, batch_size: int, seed: int = 0):
    """Endless shuffled rows of batches on the host, epoch by epoch, the last incomplete batch left out."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(size)
        for start in range(0, size - batch_size + 1, batch_size):
            yield order[start : start + batch_size]
