"""Mean and standard deviation of every entry over the training examples, by which a model standardises inside."""

from typing import Any

import numpy as np

from vae.data.values import blocks

CONSTANT = 1e-12
"""A standard deviation under this part of the mean is rounding: the entry is constant."""


def moments(x: Any, observed: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) of each entry, over its observed values, float32.

        mean = sum x / n,      std = sqrt(sum (x - mean)^2 / n),      1 where an entry is constant or never observed

    x:        (N, *shape) numbers, whatever is missing among them; read twice, a block at a time.
    observed: (N, *shape) booleans; None where everything is.
    """

    def total(of_block) -> np.ndarray:
        found = np.zeros(x.shape[1:])
        for start, block in blocks(x):
            seen = np.True_ if observed is None else np.asarray(observed[start : start + len(block)])
            found += np.sum(of_block(block.astype(np.float64)), axis=0, where=seen)
        return found

    count = np.maximum(total(np.ones_like), 1)
    mean = total(lambda block: block) / count
    std = np.sqrt(total(lambda block: (block - mean) ** 2) / count)
    std = np.where(std > CONSTANT * np.abs(mean), std, 1.0)
    return np.asarray(mean, np.float32), np.asarray(std, np.float32)
