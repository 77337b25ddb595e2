"""The power spherical family on the unit sphere of R^m (De Cao & Aziz 2020): its normaliser and divergence from the uniform.

Relative to the uniform measure, with w = <direction, z> and b = (m - 1)/2,

    dP/dU = ((1 + w)/2)^kappa B(b, b) / B(b, b + kappa),   (1 + w)/2 ~ Beta(b + kappa, b)

Differences of log-gamma functions are written as sums whose terms have one sign, or nearly so, and keep their relative
accuracy in float32 for m = 2..2048 and kappa = 0..1e6. `dim` is m, static; concentrations are arrays of any shape. In float64
the relative accuracy is 2e-14.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.special.elementary import as_floats, bits_of, repeated
from vae.special.gamma import digamma_step

_SMALLEST_STIRLING = {32: 4.0, 64: 40.0}  # by the bits of a number: three terms of Stirling's series leave 4e-8, 5e-15
_ODD_TERMS = {32: 8, 64: 17}


def power_spherical_information(dim: int, concentration: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """K = D_b - D_{2b}, the divergence of a power spherical distribution from the uniform one, in nats, where

        D_c = ln Gamma(c) - ln Gamma(c + kappa) + kappa digamma(c + kappa) = int_0^kappa t trigamma(c + t) dt

    Its derivative is kappa [trigamma(b + kappa) - trigamma(2b + kappa)]. Both D grow like kappa; their leading parts are
    subtracted in closed form: with c raised to at least 4, 2b being raised twice as often as b so that it stays the double,
    [kappa - c ln(1 + kappa/c)] - [kappa - 2c ln(1 + kappa/(2c))] = c ln(1 + kappa^2 / (4 c (c + kappa))).
    """
    concentration = as_floats(concentration)
    half = 0.5 * (dim - 1)
    raised = _raised(half, concentration)
    large = half + raised
    value = large * jnp.log1p(0.25 / large * concentration * (concentration / (large + concentration)))
    value += _stirling_remainder(large, concentration) - _stirling_remainder(2.0 * large, concentration)

    def lower(step, value):
        value = value + _log_gap(concentration / (half + step))
        return value - (
            _log_gap(concentration / (2.0 * half + 2 * step)) + _log_gap(concentration / (2.0 * half + 2 * step + 1))
        )

    return repeated(raised, lower, value)


def power_spherical_mean_log(dim: int, concentration: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """P = -E[ln((1 + w) / 2)] = digamma(2b + kappa) - digamma(b + kappa) of a power spherical distribution, positive.

    By digamma(x) = digamma(x + 1) - 1/x where the argument is small.
    """
    half = 0.5 * (dim - 1)
    low = half + as_floats(concentration)

    def raise_by_one(_, carried):
        value, low = carried
        return value + half / (low * (low + half)), low + 1.0

    value, low = repeated(_raised(half, low), raise_by_one, (jnp.zeros_like(low), low))
    return value + digamma_step(low, jnp.full_like(low, half))


def _raised(half, like):
    """How many steps take `half` to where Stirling's series serves numbers of this type."""
    return max(0, math.ceil(_SMALLEST_STIRLING[bits_of(like)] - half))


def _stirling_remainder(c, concentration):
    """D_c - [kappa - c ln(1 + kappa/c)] from three terms of Stirling's series, c >= 4; with y = kappa / (c + kappa), r = 1 - y:

    1/2 [ln(1 + kappa/c) - y] + y^2 [1/(12 c) - (1 + 2r + 3r^2)/(360 c^3) + (1 + 2r + 3r^2 + 4r^3 + 5r^4)/(1260 c^5)]
    """
    y, r = concentration / (c + concentration), c / (c + concentration)
    third = 1.0 + r * (2.0 + 3.0 * r)
    fifth = third + r**3 * (4.0 + 5.0 * r)
    return 0.5 * _log_gap(concentration / c) + y**2 * (1.0 / (12.0 * c) - third / (360.0 * c**3) + fifth / (1260.0 * c**5))


def _log_gap(ratio):
    """ln(1 + r) - r / (1 + r) for r >= 0; below 1 by 2v^2/(1 + v) + 2 (v^3/3 + v^5/5 + ...) with v = r / (2 + r)."""
    terms = _ODD_TERMS[bits_of(ratio)]
    small = jnp.minimum(ratio, 1.0)
    v = small / (2.0 + small)
    odd = jnp.polyval(jnp.asarray([1.0 / (2 * k + 1) for k in range(terms, 0, -1)], v.dtype), v**2)
    series = 2.0 * v**2 * (1.0 / (1.0 + v) + v * odd)
    return jnp.where(ratio < 1.0, series, jnp.log1p(ratio) - ratio / (1.0 + ratio))
