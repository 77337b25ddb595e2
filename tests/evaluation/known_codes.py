"""Codes whose disentanglement is known: every combination of four factors of ten values, once each."""

import numpy as np
from scipy.stats import special_ortho_group

VALUES, FACTORS_NUMBER = 10, 4
FACTORS = np.stack(np.unravel_index(np.arange(VALUES**FACTORS_NUMBER), (VALUES,) * FACTORS_NUMBER), axis=1)
STANDARDISED = (FACTORS - FACTORS.mean(axis=0)) / FACTORS.std(axis=0)
# Each of two pairs of equal factors turned by 45 degrees: every code is an even mixture of two factors.
EVEN_ROTATION = np.kron(np.eye(2), np.array([[1.0, 1.0], [1.0, -1.0]])) / np.sqrt(2)

CODES = {
    "factors": STANDARDISED,
    "duplicated": np.concatenate([STANDARDISED, STANDARDISED], axis=1),
    "noise": np.random.default_rng(1).normal(size=FACTORS.shape),
    "rotated": STANDARDISED @ EVEN_ROTATION,
}
TURNED = STANDARDISED @ special_ortho_group(FACTORS_NUMBER, seed=0).rvs()
for shared in (FACTORS, STANDARDISED, TURNED, *CODES.values()):
    shared.flags.writeable = False
