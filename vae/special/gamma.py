"""The gamma function's logarithm in forms that keep their digits in float32.

ln Gamma is of size 1e7 at 1e6 while densities, entropies and divergences of the gamma and beta families are of size one, so
that adding and subtracting it loses everything. Stirling's formula takes the large parts out by hand:

    ln Gamma(x) = x ln x - x - 1/2 ln x + 1/2 ln(2 pi) + R(x),     0 < R(x) < 1 / (12 x)          (DLMF 5.11.1, 5.11.10)

R is `stirling_error`. A divergence inside an exponential family is the Bregman divergence of its log normaliser,
D_f(y, x) = f(y) - f(x) - f'(x) (y - x); here are those of -ln x, of x ln x and of R, each to full relative accuracy.
Everything is elementwise over arrays of equal shape. The series are as long as float32 needs: float64 arrays get a relative
accuracy of 2e-7 of R and 2e-6 of R' at worst, just above 4.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae.special.elementary import HALF_LOG_TWO_PI, expm1_minus

Elements = Float[Array, "*event"]


def stirling_error(z: Elements) -> Elements:
    """R(z) = ln Gamma(z + 1) - [ z ln z - z + 1/2 ln(2 pi z) ] for z > 0, what Stirling's formula leaves out.

    From z = 4 on by its series 1/(12 z) - 1/(360 z^3) + 1/(1260 z^5) - 1/(1680 z^7), whose next term is under 4e-9; below by
    four steps of R(z) = R(z + 1) + (z + 1/2) ln(1 + 1/z) - 1, each of them positive, where the two sides of the definition
    would share their digits. (DLMF 5.11.1; Loader 2000, "Fast and accurate computation of binomial probabilities".)
    """
    small = z < 4.0
    start = jnp.where(small, z, 1.0)
    inverse = 1.0 / jnp.where(small, start + 4.0, z)
    square = inverse * inverse
    series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)))
    below_one = jnp.minimum(start, 1.0)
    direct = (below_one + 0.5) * (jnp.log1p(below_one) - jnp.log(below_one)) - 1.0
    steps = jnp.where(start < 1.0, direct, _stirling_step(start)) + sum(_stirling_step(start + k) for k in (1, 2, 3))
    return series + jnp.where(small, steps, 0.0)


def _stirling_step(z: Elements) -> Elements:
    """(z + 1/2) ln(1 + 1/z) - 1 for z >= 1: with w = 1 / (2 z + 1), for which ln(1 + 1/z) = 2 atanh(w), w^2/3 + w^4/5 + ..."""
    square = jnp.square(1.0 / (2.0 * z + 1.0))
    terms = 1 / 9 + square * (1 / 11 + square * (1 / 13 + square / 15))
    return square * (1 / 3 + square * (1 / 5 + square * (1 / 7 + square * terms)))


def log_gap_series(ratio: Elements) -> Elements:
    """u - ln(1 + u) for |u| <= 1/4, by 2 atanh(w) = ln(1 + u) with w = u / (2 + u):

    u - ln(1 + u) = u w - 2 w^3 (1/3 + w^2/5 + w^4/7 + ...)
    """
    root = ratio / (2.0 + ratio)
    square = jnp.square(root)
    series = 1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0 + square * (1.0 / 9.0 + square / 11.0)))
    return ratio * root - 2.0 * root * square * series


@jax.custom_jvp
def log_bregman(y: Elements, x: Elements, difference: Elements) -> Elements:
    """y/x - 1 - ln(y/x), the Bregman divergence of -ln between y and x.

    difference: y - x, given since the caller can know it to more digits than y and x themselves carry.
    """
    ratio = difference / x
    near = jnp.abs(ratio) < 0.25
    return jnp.where(near, log_gap_series(jnp.where(near, ratio, 0.0)), ratio - log_ratio(y, x, difference))


@log_bregman.defjvp
def _log_bregman_jvp(primals, tangents):
    y, x, difference = primals
    dy, dx, _ = tangents
    return log_bregman(y, x, difference), difference / x * (dy / y - dx / x)


@jax.custom_jvp
def entropy_bregman(y: Elements, x: Elements, difference: Elements) -> Elements:
    """y ln(y/x) - y + x, the Bregman divergence of x ln x between y and x; `difference` as in `log_bregman`.

    Near equality it is difference^2 / x - y * log_bregman(y, x), which cancels no more than one bit.
    """
    ratio = difference / x
    near = jnp.abs(ratio) < 0.25
    close = difference * ratio - y * log_gap_series(jnp.where(near, ratio, 0.0))
    return jnp.where(near, close, y * log_ratio(y, x, difference) - difference)


@entropy_bregman.defjvp
def _entropy_bregman_jvp(primals, tangents):
    y, x, difference = primals
    dy, dx, _ = tangents
    return entropy_bregman(y, x, difference), log_ratio(y, x, difference) * dy - difference / x * dx


def cross_difference(a2: Elements, a1: Elements, b2: Elements, b1: Elements) -> Elements:
    """a2 b1 - a1 b2; from a2 - a1 and b2 - b1, which are exact in floating point, where both are small."""
    near = (jnp.abs(a2 - a1) < 0.5 * a1) & (jnp.abs(b2 - b1) < 0.5 * b1)
    return jnp.where(near, (a2 - a1) * b1 - (b2 - b1) * a1, a2 * b1 - a1 * b2)


def log_ratio(y: Elements, x: Elements, difference: Elements) -> Elements:
    """ln(y / x), by log1p of the difference where y and x are close."""
    ratio = difference / x
    near = jnp.abs(ratio) < 0.5
    return jnp.where(near, jnp.log1p(jnp.where(near, ratio, 0.0)), jnp.log(y) - jnp.log(x))


def stirling_error_slope(x: Elements) -> Elements:
    """R'(x) = psi(x) - ln x + 1 / (2 x) < 0, by its asymptotic series from 4 on (DLMF 5.11.2) and below by the recurrence

    R'(x) = R'(x + 1) + ln(1 + 1/x) - 1/2 (1/x + 1/(x + 1))
    """
    small = x < 4.0
    inside = jnp.where(small, x, 1.0)
    steps = sum(jnp.log1p(1.0 / (inside + k)) - 0.5 / (inside + k) - 0.5 / (inside + (k + 1)) for k in range(4))
    square = jnp.square(1.0 / jnp.where(small, inside + 4.0, x))
    series = -square * (1.0 / 12.0 - square * (1.0 / 120.0 - square * (1.0 / 252.0 - square / 240.0)))
    return series + jnp.where(small, steps, 0.0)


def digamma_step(x: Elements, step: Elements) -> Elements:
    """psi(x + step) - psi(x) for x >= 4 and step >= 0, by the asymptotic series DLMF 5.11.2 with every difference factored."""
    u, v = 1.0 / x, 1.0 / (x + step)
    squares = step * u * v * (u + v)
    series = 1.0 / 12.0 - (u**2 + v**2) / 120.0 + (u**4 + (u * v) ** 2 + v**4) / 252.0
    return jnp.log1p(step / x) + 0.5 * step * u * v + squares * series


def harmonic(x: Elements) -> Elements:
    """psi(x + 1) + gamma = sum_n x / (n (n + x)), gamma Euler's constant: the harmonic numbers, and pi^2 x / 6 for small x."""
    return sum(x / (n * (n + x)) for n in (1.0, 2.0, 3.0, 4.0)) + digamma_step(jnp.full_like(x, 5.0), x)


def log_beta(a: Elements, b: Elements) -> Elements:
    """ln B(a, b) = -a ln(1 + b/a) - b ln(1 + a/b) - 1/2 ln(a b / (a + b)) + 1/2 ln(2 pi) + R(a) + R(b) - R(a + b)."""
    both = a + b
    leading = a * jnp.log1p(b / a) + b * jnp.log1p(a / b)
    remainders = stirling_error(a) + stirling_error(b) - stirling_error(both)
    return remainders - leading - 0.5 * (jnp.log(a) + jnp.log(b) - jnp.log(both)) + HALF_LOG_TWO_PI


def _binet_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Nodes t and weights of R(x) = int_0^inf [ 1/2 - 1/t + 1/(e^t - 1) ] e^(-t x) dt / t (Binet, DLMF 5.9.10 integrated).

    The trapezoidal rule in ln t, where the integrand is analytic in a strip of half-width pi/2: a step of 0.4 leaves 7e-8 of
    R''(x) and less of R, and 130 nodes from 6e-9 to 1e14 serve every x from 1e-12 to 1e6.
    """
    step = 0.4
    nodes = np.exp(np.arange(-19.0, 32.8, step))
    small = nodes < 0.1
    square = np.where(small, nodes, 0.0) ** 2
    series = nodes * (1.0 / 12.0 - square * (1.0 / 720.0 - square / 30240.0))
    direct = 0.5 - 1.0 / nodes + 1.0 / np.expm1(np.minimum(nodes, 700.0))
    return nodes, step * np.where(small, series, direct)


NODES, WEIGHTS = _binet_nodes()


def _quadrature(like: Array) -> tuple[Array, Array]:
    """Binet's nodes and weights along the last axis of `like`; summed, not multiplied as matrices, to keep float32."""
    shape = (1,) * (like.ndim - 1) + (-1,)
    return jnp.asarray(NODES, like.dtype).reshape(shape), jnp.asarray(WEIGHTS, like.dtype).reshape(shape)


def _drop(y: Elements, x: Elements, nodes: Array) -> Array:
    """e^(-t x) - e^(-t y) at every node, without overflow on either side.

    `jnp.sign` is 0 at y = x: it would leave no derivative there, and a divergence no second derivative at equality.
    """
    sign = jnp.where(y >= x, 1.0, -1.0)
    return sign * jnp.exp(-nodes * jnp.minimum(x, y)) * -jnp.expm1(-nodes * sign * (y - x))


def _curve(y: Elements, x: Elements, nodes: Array) -> Array:
    """The Bregman divergence of x -> e^(-t x) between y and x at every node: e^(-t y) - e^(-t x) (1 - t (y - x)).

    With v = t |y - x| it is e^(-t x) (e^(-v) - 1 + v) where y > x, and e^(-t y) (1 - (1 + v) e^(-v)) where y < x.
    """
    distance = nodes * jnp.abs(y - x)
    decay = jnp.exp(-distance)
    below = jnp.where(distance < 0.3, decay * expm1_minus(jnp.minimum(distance, 0.3)), 1.0 - decay - distance * decay)
    return jnp.exp(-nodes * jnp.minimum(x, y)) * jnp.where(y >= x, expm1_minus(-distance), below)


@jax.custom_jvp
def remainder_bregman(y: Elements, x: Elements) -> Elements:
    """R(y) - R(x) - R'(x) (y - x) >= 0 for the Stirling remainder R: a sum of positive terms, so it keeps its digits.

    y, x: positive, equal shapes; 1e-12 to 1e6. Memory is 130 numbers per element.
    """
    y, x = y[..., None], x[..., None]
    nodes, weights = _quadrature(x)
    return jnp.sum(weights * _curve(y, x, nodes), axis=-1)


@remainder_bregman.defjvp
def _remainder_bregman_jvp(primals, tangents):
    (y, x), (dy, dx) = primals, tangents
    nodes, weights = _quadrature(x[..., None])
    slope = jnp.sum(weights * nodes * _drop(y[..., None], x[..., None], nodes), axis=-1)
    curvature = jnp.sum(weights * jnp.square(nodes) * jnp.exp(-nodes * x[..., None]), axis=-1)
    return remainder_bregman(y, x), slope * dy - (y - x) * curvature * dx


def lgamma_bregman(y: Elements, x: Elements, difference: Elements) -> Elements:
    """ln Gamma(y) - ln Gamma(x) - psi(x) (y - x) >= 0; `difference` is y - x, as in `log_bregman`."""
    stirling = entropy_bregman(y, x, difference) + 0.5 * log_bregman(y, x, difference)
    return stirling + remainder_bregman(y, x)


@jax.custom_jvp
def beta_remainder_bregman(ends: tuple[Elements, Elements], starts: tuple[Elements, Elements]) -> Elements:
    """The Bregman divergence of R(a) + R(b) - R(a + b) between (a, b) = `ends` and `starts`.

    Under Binet's integral the function is 1 - A B with A = 1 - e^(-t a), B = 1 - e^(-t b), whose Bregman divergence

        D_a B_1 + D_b A_1 - (A_2 - A_1) (B_2 - B_1),      D_a, D_b those of e^(-t a), e^(-t b)

    is small term by term where a or b is: the three remainders would cancel there.
    """
    (a2, b2), (a1, b1) = jax.tree.map(lambda leaf: leaf[..., None], (ends, starts))
    nodes, weights = _quadrature(a1)
    straight = _curve(a2, a1, nodes) * -jnp.expm1(-nodes * b1) + _curve(b2, b1, nodes) * -jnp.expm1(-nodes * a1)
    return jnp.sum(weights * (straight - _drop(a2, a1, nodes) * _drop(b2, b1, nodes)), axis=-1)


@beta_remainder_bregman.defjvp
def _beta_remainder_bregman_jvp(primals, tangents):
    (a2, b2), (a1, b1) = jax.tree.map(lambda leaf: leaf[..., None], primals)
    (da2, db2), (da1, db1) = tangents
    nodes, weights = _quadrature(a1)

    def slopes(a2, b2, a1, b1):
        drop_a, drop_b, decay = _drop(a2, a1, nodes), _drop(b2, b1, nodes), jnp.exp(-nodes * a1)
        end = drop_a * -jnp.expm1(-nodes * b1) - jnp.exp(-nodes * a2) * drop_b
        start = decay * -jnp.expm1(-nodes * b1) * (a2 - a1) - decay * jnp.exp(-nodes * b1) * (b2 - b1)
        return jnp.sum(weights * nodes * end, axis=-1), -jnp.sum(weights * jnp.square(nodes) * start, axis=-1)

    (end_a, start_a), (end_b, start_b) = slopes(a2, b2, a1, b1), slopes(b2, a2, b1, a1)
    return beta_remainder_bregman(*primals), end_a * da2 + start_a * da1 + end_b * db2 + start_b * db1
