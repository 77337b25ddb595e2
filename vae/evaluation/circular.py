"""Angles against angles: the circular correlation, and the rotation and reflection that bring one set onto another.

Angles are in radians and count modulo 2 pi.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vae.evaluation.arrays import finite_array

CONSTANT = 1e-12
"""Mean squared sine from the centre under which angles are one angle, but for rounding."""


def circular_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """The circular correlation coefficient of pairs of angles.

        r = sum_i sin(a_i - a0) sin(b_i - b0) / sqrt( sum_i sin(a_i - a0)^2 sum_i sin(b_i - b0)^2 )
        a0 - b0 = arg sum_i exp(i (a_i - b_i)),    a0 + b0 = arg sum_i exp(i (a_i + b_i))

    Range -1 ... 1: 1 where b = a + offset, -1 where b = offset - a. The centres a0 and b0 are those for angles that are spread
    over the whole circle, where mean directions, which stand in the usual definition, are none; the numerator is then half the
    difference of the two resultants' lengths. It is 0 where it is not defined.

    first, second: (N,), equally many; ValueError otherwise. (Jammalamadaka & SenGupta 2001, section 8.2.)
    """
    a, b = _pairs(first, second)
    difference, total = np.sum(np.exp(1j * (a - b))), np.sum(np.exp(1j * (a + b)))
    centre = 0.5 * (np.angle(total) + np.angle(difference)), 0.5 * (np.angle(total) - np.angle(difference))
    spreads = [np.sum(np.square(np.sin(angles - middle))) for angles, middle in zip((a, b), centre, strict=True)]
    if min(spreads) <= CONSTANT * len(a):
        return 0.0
    return float(np.clip(0.5 * (np.abs(difference) - np.abs(total)) / np.sqrt(np.prod(spreads)), -1.0, 1.0))


class Turn(NamedTuple):
    """angle -> offset + sign * angle.

    sign: 1, or -1 for a reflection.
    """

    offset: float
    sign: int

    def __call__(self, angles: ArrayLike) -> np.ndarray:
        """The angles turned, in [-pi, pi]."""
        return wrapped(self.offset + self.sign * np.asarray(angles, np.float64))


def fitted_turn(found: ArrayLike, true: ArrayLike) -> Turn:
    """The offset and the reflection that bring angles nearest to the true ones:

        max over offset and sign of sum_i cos(true_i - offset - sign found_i)

    What a model of one angle can know of it: nothing tells it where 0 is, nor which way round. Fit it on training data.
    Raises ValueError where the angles are not equally many.
    """
    found, true = _pairs(found, true)
    resultants = {sign: np.sum(np.exp(1j * (true - sign * found))) for sign in (1, -1)}
    sign = max(resultants, key=lambda each: np.abs(resultants[each]))
    return Turn(offset=float(np.angle(resultants[sign])), sign=sign)


def mean_angular_error(found: ArrayLike, true: ArrayLike) -> float:
    """The mean distance on the circle in radians: 0 ... pi, pi / 2 by chance."""
    found, true = _pairs(found, true)
    return float(np.mean(np.abs(wrapped(found - true))))


def wrapped(angles: np.ndarray) -> np.ndarray:
    """The same angles in [-pi, pi]."""
    return np.angle(np.exp(1j * angles))


def _pairs(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = finite_array("the first angles", first, "examples"), finite_array("the second angles", second, "examples")
    if len(a) != len(b):
        raise ValueError(f"got {len(a)} and {len(b)} angles; wanted one of each for every example.")
    return a, b
