"""The KL row from Kumaraswamy to beta, in nats, one entry per component.

One expectation in it has no closed form. It is integrated, to less than the rounding of float32, over a grid that follows b.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from vae.distributions.beta import Beta
from vae.distributions.kumaraswamy import Kumaraswamy
from vae.divergences.gaussian import not_negative
from vae.divergences.positive import beta_kl
from vae.requirements import require_same_shape
from vae.special.elementary import as_floats, log1mexp
from vae.special.gamma import harmonic, lgamma_bregman, log_beta, stirling_error_slope


def kumaraswamy_beta(q: Kumaraswamy, p: Beta) -> Array:
    """KL(Kumaraswamy(a, b) || Beta(alpha, beta)) by one of two forms, whichever adds up smaller numbers and so rounds less.

    With H = psi(b + 1) + gamma = -E_q ln x^a, E_q ln(1 - x^a) = -1/b and S = E_q ln(1 - x) (Nalisnick & Smyth 2017, whose
    series for S, cut after ten terms, left the KL 13 % low),

        KL = ln(a b) + ln B(alpha, beta) + (alpha/a - 1) H + 1/b - 1 - (beta - 1) S

    which suits laws near 0 or wide ones. Under q, v = x^a is Beta(1, b): with p' the law of x for which v is
    Beta(alpha/a, beta), T = E_q ln[ a (1 - x) / (1 - x^a) ] = ln a + S + 1/b, and D the Bregman divergence of ln Gamma,

        KL = KL(Beta(1, b) || Beta(alpha/a, beta)) + f(alpha) - f(alpha/a) - (beta - 1) T
        f(y) = ln Gamma(y) - ln Gamma(y + beta) + beta ln y = (beta - 1) [ln y - psi(y + 1)] - D(y + beta, y + 1)

    which suits a near 1 and narrow laws. Measured over 1e-6..1e6: see docs/divergences.md.
    """
    require_same_shape("KL", q=q.concentration1, p=p.concentration1)
    a, b, alpha, beta = map(as_floats, (q.concentration1, q.concentration0, p.concentration1, p.concentration0))
    log_rest, log_rest_ratio = expected_logs(a, b)
    elementary = _elementary_terms(a, b, alpha, beta, log_rest)
    around_beta = _terms_around_beta(a, b, alpha, beta, log_rest_ratio)
    smaller = jnp.sum(jnp.abs(elementary), axis=0) < jnp.sum(jnp.abs(around_beta), axis=0)
    return not_negative(jnp.where(smaller, jnp.sum(elementary, axis=0), jnp.sum(around_beta, axis=0)))


def _elementary_terms(a, b, alpha, beta, log_rest):
    level = jnp.log(a) + jnp.log(b) + log_beta(alpha, beta)
    return jnp.stack([level, (alpha - a) / a * harmonic(b), 1.0 / b - 1.0, (1.0 - beta) * log_rest])


def _terms_around_beta(a, b, alpha, beta, log_rest_ratio):
    nested = beta_kl(jnp.ones_like(b), b, alpha / a, beta)
    y, both, excess = jnp.stack([alpha, alpha / a]), jnp.stack([beta, beta]), jnp.stack([beta - 1.0, beta - 1.0])
    slope, bend = excess * log_minus_digamma(y), lgamma_bregman(y + both, y + 1.0, excess)
    return jnp.stack([nested, (1.0 - beta) * log_rest_ratio, slope[0], -slope[1], -bend[0], bend[1]])


def log_minus_digamma(y: Array) -> Array:
    """ln y - psi(y + 1), which falls like -1 / (2 y): beyond 2 by the slope of Stirling's remainder."""
    small = y < 2.0
    below, above = jnp.where(small, y, 1.0), jnp.where(small, 2.0, y)
    return jnp.where(small, jnp.log(below) - jax.scipy.special.digamma(below + 1.0), -0.5 / above - stirling_error_slope(above))


NODES = 144
STRETCH = 8.0


def expected_logs(a: Array, b: Array) -> tuple[Array, Array]:
    """S = E ln(1 - x) and T = E ln[ a (1 - x) / (1 - x^a) ] for x ~ Kumaraswamy(a, b), by the trapezoidal rule.

    The variable is the logit r of 1 - x^a, whose density is b e^(-b t) sigmoid(r) with t = -ln(1 - x^a) = softplus(r), while
    k = -ln x^a = softplus(-r). Both integrands, ln(1 - e^(-k/a)) and phi(k/a) - phi(k), are smooth on a scale of 1 in r: below
    r = 0 they vary slowly, and where k = a, at r = -ln a, they bend. r = 8 sinh(y / 8) reaches the long tail of a small b.
    """
    nodes, steps = jax.lax.stop_gradient(_logit_grid(b))
    tail, k = jax.nn.softplus(nodes), jax.nn.softplus(-jnp.minimum(nodes, 30.0))
    a, b = a[..., None], b[..., None]
    weights = steps * b * jnp.exp(-b * tail) * jax.nn.sigmoid(nodes)
    log_rest = jnp.where(nodes > 30.0, -nodes - jnp.log(a), log1mexp(k / a))
    log_rest_ratio = log_mean_decay(k / a) - log_mean_decay(k)
    return jnp.sum(weights * log_rest, axis=-1), jnp.sum(weights * log_rest_ratio, axis=-1)


def _logit_grid(b):
    """Nodes r and their spacing along a new last axis: from where b e^r is 1e-8 to where e^(-b t) is 1e-14."""
    longest = 32.0 / b
    last = jnp.where(longest < 15.0, jnp.log(jnp.expm1(jnp.minimum(longest, 15.0))), longest)
    ends = [STRETCH * jnp.arcsinh(end / STRETCH) for end in (-18.0 - jnp.maximum(jnp.log(b), 0.0), last)]
    step = ((ends[1] - ends[0]) / (NODES - 1))[..., None]
    index = jnp.arange(NODES, dtype=b.dtype).reshape((1,) * b.ndim + (-1,))
    y = ends[0][..., None] + step * index
    return STRETCH * jnp.sinh(y / STRETCH), step * jnp.cosh(y / STRETCH)


@jax.custom_jvp
def log_mean_decay(z: Array) -> Array:
    """phi(z) = ln( (1 - e^-z) / z ), the log of the mean of e^-t over 0 < t < z."""
    return jnp.log(-jnp.expm1(-z) / z)


@log_mean_decay.defjvp
def _log_mean_decay_jvp(primals, tangents):
    (z,), (dz,) = primals, tangents
    small = jnp.minimum(z, 0.5)
    series = -0.5 + small / 12.0 * (1.0 - jnp.square(small) / 60.0 * (1.0 - jnp.square(small) / 42.0))
    large = jnp.maximum(z, 0.5)
    return log_mean_decay(z), jnp.where(z < 0.5, series, 1.0 / jnp.expm1(large) - 1.0 / large) * dz
