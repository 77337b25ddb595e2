"""The gamma distribution with independent components, and the sampler that the beta distribution shares."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution, sum_over_event
from vae.requirements import concrete, require_same_shape
from vae.special.elementary import HALF_LOG_TWO_PI, as_floats, clip_in_value, expm1_minus
from vae.special.gamma import log_bregman, stirling_error, stirling_error_slope

PROPOSALS = 8  # at least 95 % of proposals are accepted, so all eight fail once in 2e10 draws; the last one is then kept


@distribution
class Gamma:
    """Gamma with independent components over an array of any shape.

        log p(z) = sum_i [ a_i ln b_i - ln Gamma(a_i) + (a_i - 1) ln z_i - b_i z_i ],    z > 0

    concentration: a > 0 (the shape parameter), any shape.
    rate:          b > 0 (the inverse scale), the same shape.
    Raises ValueError for a concentration or rate that is not positive.
    """

    concentration: Float[Array, "*event"]
    rate: Float[Array, "*event"]

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    def __post_init__(self):
        require_same_shape("Gamma", concentration=self.concentration, rate=self.rate)
        require_positive("Gamma", concentration=self.concentration, rate=self.rate)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """a / b."""
        return self.concentration / self.rate

    @property
    def mode(self) -> Float[Array, "*event"]:
        """(a - 1) / b where a > 1, otherwise 0."""
        return jnp.maximum(self.concentration - 1.0, 0.0) / self.rate

    @property
    def variance(self) -> Float[Array, "*event"]:
        """a / b^2."""
        return self.concentration / jnp.square(self.rate)

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """Draw z by Marsaglia & Tsang 2000, differentiable in both parameters by implicit reparameterisation.

        Draws below the smallest normal float32, 1.2e-38, are returned as that number, so that their density stays finite;
        below a = 0.01 that is more than 4 in 10 of them. Their slope is z d ln z as of any other draw: the gradient of E ln z
        is unbiased, though ln z itself is -87.3 there.
        """
        return self._draw(key)[0]

    def sample_and_log_prob(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, ""]]:
        """A draw and its log density, from the logarithm of the draw: near 1e-38 the slope 1/z would overflow."""
        value, log_share = self._draw(key)
        a = as_floats(self.concentration)
        log_value = log_share + jnp.log(a) - jnp.log(self.rate)
        return value, jnp.sum(self._spread() - a * expm1_minus(log_share) - log_value)

    def _draw(self, key: Array) -> tuple[Float[Array, "*event"], Float[Array, "*event"]]:
        """A draw z, and ln(z / mean), which keeps its digits where the law is narrow."""
        a = as_floats(self.concentration)
        scale, log_factor = standard_gamma(key, a)
        narrow = a >= 1.0
        log_scale = jnp.where(narrow, jnp.log1p(-1.0 / (3.0 * jnp.where(narrow, a, 1.0))), jnp.log(scale / a))
        log_mean, log_rate, tiny = jnp.log(a) - jnp.log(self.rate), jnp.log(self.rate), jnp.finfo(a.dtype).tiny
        log_share = clip_in_value(log_scale + log_factor, jnp.log(tiny) - log_mean, jnp.inf)
        standard = jnp.where(log_factor < -50.0, jnp.exp(log_factor - log_rate), jnp.exp(log_factor) / self.rate)
        return with_log_slope(jnp.maximum(scale * standard, tiny), log_share + log_mean), log_share

    def element_log_prob(self, value: Float[Array, "*event"]) -> Float[Array, "*event"]:
        """Log density of each component in nats, about the mean so that large concentrations keep their digits:

            -a [ t - 1 - ln t ] + 1/2 ln(a / 2 pi) - R(a) - ln z,    t = z / (a / b), R the remainder of Stirling's formula

        At z = 0 the limit, which is infinite unless a = 1; -inf below.
        """
        inside = value > 0.0
        inner = jnp.where(inside, value, 1.0)
        a, mean = self.concentration, self.mean
        density = self._spread() - a * log_bregman(inner, mean, inner - mean) - jnp.log(inner)
        at_zero = jnp.where(value == 0.0, limit_at_end(a - 1.0, jnp.log(self.rate)), -jnp.inf)
        return jnp.where(inside, density, at_zero)

    def _spread(self) -> Float[Array, "*event"]:
        """1/2 ln(a / 2 pi) - R(a), the log density of ln z at the mean."""
        a = self.concentration
        return 0.5 * jnp.log(a) - HALF_LOG_TWO_PI - stirling_error(a)

    def log_prob(self, value: Float[Array, "*event"]) -> Float[Array, ""]:
        """Log density in nats, summed over the event."""
        return sum_over_event(self, value)

    def entropy(self) -> Float[Array, ""]:
        """H = sum_i [ a - ln b + ln Gamma(a) + (1 - a) psi(a) ], in nats, by Stirling's formula with remainder R:

        1/2 ln(2 pi e a) - ln b + R(a) - 1 / (2 a) + (1 - a) R'(a)
        """
        a = as_floats(self.concentration)
        remainder = stirling_error(a) - 0.5 / a + (1.0 - a) * stirling_error_slope(a)
        return jnp.sum(HALF_LOG_TWO_PI + 0.5 + 0.5 * jnp.log(a) - jnp.log(self.rate) + remainder)


def with_log_slope(value: Float[Array, "*event"], log_value: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """`value`, whose derivative is value * d log_value: a product, which cannot overflow where a quotient would."""
    return jax.lax.stop_gradient(value) * jnp.exp(log_value - jax.lax.stop_gradient(log_value))


def limit_at_end(exponent: Array, finite: Array) -> Array:
    """Log density at the end of a support where it goes like t^exponent as t -> 0; `finite` where the exponent is zero."""
    return jnp.where(exponent == 0.0, finite, jnp.where(exponent > 0.0, -jnp.inf, jnp.inf))


def require_positive(family: str, **fields: Array) -> None:
    """Refuse a concrete parameter that is not positive and finite."""
    for name, value in fields.items():
        if concrete(value):
            numbers = np.atleast_1d(np.asarray(value, np.float64))
            refused = numbers[~((numbers > 0.0) & (numbers < np.inf))]
            if refused.size:
                wanted = "wanted finite values > 0: use softplus or exp of a network's output"
                raise ValueError(f"{family} got a {name} of {refused[0]}; {wanted}.")


def standard_gamma(key: Array, concentration: Float[Array, "*event"]) -> tuple[Float[Array, "*event"], Float[Array, "*event"]]:
    """Draw z ~ Gamma(a, 1) as (d, l) with z = d e^l, so that neither small nor large concentrations lose digits.

        z = d v^3,  v = 1 + x / (3 sqrt(d)),  d = a - 1/3          for a >= 1, x nearly standard normal
        z(a) = z(a + 1) u^(1/a),  u uniform                        for a < 1

    (Marsaglia & Tsang 2000, section 2 and its final note.) Differentiable in `concentration`: explicitly in d, v and u^(1/a),
    implicitly in the law of x.
    """
    normal_key, boost_key = jax.random.split(key)
    boosted = concentration < 1.0
    shifted = jnp.where(boosted, concentration + 1.0, concentration)
    deviate = implicit_deviate(accepted_deviate(normal_key, jax.lax.stop_gradient(shifted)), shifted)
    scale = shifted - 1.0 / 3.0
    log_factor = 3.0 * jnp.log1p(deviate / (3.0 * jnp.sqrt(scale)))
    log_uniform = -jax.random.exponential(boost_key, concentration.shape, concentration.dtype)
    boost = log_uniform / jnp.where(boosted, concentration, 1.0)
    return scale, log_factor + jnp.where(boosted, boost, 0.0)


def accepted_deviate(key: Array, concentration: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """The first accepted of a fixed number of normal proposals, for a >= 1; x has log density L(x) of `deviate_log_density`."""
    concentration = concentration[None]
    normal_key, uniform_key = jax.random.split(key)
    shape = (PROPOSALS, *concentration.shape[1:])
    proposals = jax.random.normal(normal_key, shape, concentration.dtype)
    threshold = -jax.random.exponential(uniform_key, shape, concentration.dtype)
    inside = proposals > -3.0 * jnp.sqrt(concentration - 1.0 / 3.0)
    log_accept = deviate_log_density(jnp.where(inside, proposals, 0.0), concentration) + 0.5 * jnp.square(proposals)
    accepted = (inside & (threshold < log_accept)).at[-1].set(True)
    first = jnp.argmax(accepted, axis=0)
    chosen = jnp.take_along_axis(jnp.where(inside, proposals, 0.0), first[None], axis=0)
    return chosen[0]


def deviate_log_density(deviate: Array, concentration: Array) -> Array:
    """L(x) = d (3 ln v - v^3 + 1), v = 1 + u, u = x / (3 sqrt d): log density of x where d v^3 ~ Gamma(a, 1), up to a constant.

    Written as -3 d [ (u - ln(1 + u)) + u^2 + u^3 / 3 ]; close to -x^2 / 2.
    """
    scale = concentration - 1.0 / 3.0
    ratio = deviate / (3.0 * jnp.sqrt(scale))
    gap = log_bregman(1.0 + ratio, jnp.ones_like(ratio), ratio)
    return -3.0 * scale * (gap + jnp.square(ratio) * (1.0 + ratio / 3.0))


@jax.custom_jvp
def implicit_deviate(deviate: Float[Array, "*event"], concentration: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """x itself, with the derivative in a that keeps its distribution function P(x; a) constant: dx/da = -(dP/da) / p(x).

    dP/da is the integral of p dlnp/da from the nearer end (Figurnov, Mohamed & Mnih 2018, equation 5), by Gauss-Legendre.
    """
    del concentration
    return deviate


@implicit_deviate.defjvp
def _implicit_deviate_jvp(primals, tangents):
    (deviate, concentration), (d_deviate, d_concentration) = primals, tangents
    out = implicit_deviate(deviate, concentration)  # whose own derivative a second differentiation needs in the slope
    return out, d_deviate + deviate_slope(out, concentration) * d_concentration


LEGENDRE = np.polynomial.legendre.leggauss(24)


def deviate_slope(deviate: Float[Array, "*event"], concentration: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """dx/da at constant P(x; a), of order a^-2: sign(x) / p(x) times the integral of p dlnp/da over the tail beyond x.

    dlnp/da = 3 [ ln(1 + u) - u + u^2/2 - u^3/3 ] + 3/2 u^4 / (1 + u) + C'(a), whose mean is zero, so that either tail serves.
    """
    x, a = deviate[..., None], concentration[..., None]
    root = 3.0 * jnp.sqrt(a - 1.0 / 3.0)
    nodes, weights = (jnp.asarray(leaf, x.dtype).reshape((1,) * deviate.ndim + (-1,)) for leaf in LEGENDRE)
    side = jnp.where(x < 0, -1.0, 1.0)
    length = jnp.where(x < 0, jnp.minimum(x + root, 7.0), 7.0)
    points = x + side * 0.5 * length * (1.0 + nodes)
    u = points / root
    slope = 3.0 * (jnp.log1p(u) - u * (1.0 - u * (0.5 - u / 3.0))) + 1.5 * u**4 / (1.0 + u) + normaliser_slope(a)
    density = jnp.exp(deviate_log_density(points, a) - deviate_log_density(x, a))
    return side[..., 0] * jnp.sum(0.5 * length * weights * density * slope, axis=-1)


def normaliser_slope(concentration: Array) -> Array:
    """C'(a) = ln d - psi(a) - 1 / (6 d), d = a - 1/3; by psi(d + 1/3)'s expansion in Bernoulli polynomials beyond d = 4."""
    scale = concentration - 1.0 / 3.0
    inverse = 1.0 / jnp.maximum(scale, 4.0)
    series = -jnp.square(inverse) * (1.0 / 36.0 + inverse * (1.0 / 81.0 - inverse * (13.0 / 3240.0 + inverse / 243.0)))
    small = jnp.minimum(scale, 4.0)
    direct = jnp.log(small) - jax.scipy.special.digamma(small + 1.0 / 3.0) - 1.0 / (6.0 * small)
    return jnp.where(scale > 4.0, series, direct)
