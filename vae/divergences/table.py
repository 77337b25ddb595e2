"""The Kullback-Leibler divergence: one table of closed forms by pair of types, and Monte Carlo for the rest.

A row takes (q, p) of exactly the types of its key and returns KL(q || p) in nats, unsummed where it factorises: one entry
per independent component, or a scalar. Nothing in the table is approximate. The rows' formulas stand in the files beside
this one, by kind of distribution.
"""

import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.at_sample import AtSample
from vae.distributions.autoregressive import Autoregressive
from vae.distributions.base import Distribution
from vae.distributions.bernoulli import Bernoulli
from vae.distributions.beta import Beta
from vae.distributions.categorical import Categorical
from vae.distributions.deterministic import Deterministic
from vae.distributions.gamma import Gamma
from vae.distributions.kumaraswamy import Kumaraswamy
from vae.distributions.laplace import Laplace
from vae.distributions.low_rank_normal import LowRankNormal
from vae.distributions.multivariate_normal import MultivariateNormal
from vae.distributions.normal import Normal
from vae.distributions.point_mass import PointMass
from vae.distributions.power_spherical import PowerSpherical
from vae.distributions.relaxed_categorical import StraightThroughCategorical
from vae.distributions.spike_and_slab import SpikeAndSlab
from vae.distributions.uniform_sphere import UniformCircle, UniformSphere
from vae.distributions.von_mises import VonMises
from vae.distributions.von_mises_fisher import VonMisesFisher
from vae.divergences import directional, discrete, gaussian, kumaraswamy, positive
from vae.requirements import require

Row = Callable[[Any, Any], Array]
Table = Mapping[tuple[type, type], Row]


def kl_divergence(q: Distribution, p: Distribution, table: Table | None = None) -> Float[Array, ""]:
    """KL(q || p) = E_q[log q(z) - log p(z)] in nats, exact, shape ().

    q, p:  two distributions over the same event.
    table: rows to use before the library's own, keyed by (type of q, type of p).

    >>> q, p = vae.Normal(mean=jnp.ones(2), log_std=jnp.zeros(2)), vae.standard_normal(2)
    >>> float(vae.kl_divergence(q, p))
    1.0

    Raises TypeError for a pair without a closed form; `monte_carlo_kl` estimates those.
    """
    return jnp.sum(kl_per_factor(q, p, table))


def kl_per_factor(q: Distribution, p: Distribution, table: Table | None = None) -> Array:
    """KL(q || p) with one entry per independent component; a scalar where the pair does not factorise. See `kl_divergence`."""
    pair = (type(q), type(p))
    row = (table or {}).get(pair) or KL_TABLE.get(pair)
    if row is None:
        raise TypeError(incomparable(q, p) or _no_row(type(q), type(p)))
    return row(q, p)


def monte_carlo_kl(q: Distribution, p: Distribution, key: Array, samples: int) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Estimate KL(q || p) from draws of q: the mean of log q(z) - log p(z), and the standard error of that mean, in nats.

    q, p:    q must have `sample_and_log_prob`, p `log_prob`, with respect to the same measure: the divergence of a spike and
             slab from a Gaussian is infinite, whatever the average of the log ratio.
    samples: how many draws of q; memory grows with it. One draw has no standard error: it is NaN.
    Raises TypeError for a pair whose values are different things, or without a density; ValueError for no samples.
    """
    if sentence := incomparable(q, p):
        raise TypeError(sentence)
    require(samples > 0, f"monte_carlo_kl got samples = {samples}, wanted at least 1, and 2 for a standard error.")

    def log_ratio(key):
        value, log_q = q.sample_and_log_prob(key)
        return log_q - p.log_prob(value)

    ratios = jax.vmap(log_ratio)(jax.random.split(key, samples))
    return jnp.mean(ratios), jnp.std(ratios, ddof=1) / jnp.sqrt(samples)


KL_TABLE: dict[tuple[type, type], Row] = {
    (Normal, Normal): gaussian.normal_normal,
    (Normal, MultivariateNormal): gaussian.triangular,
    (Normal, LowRankNormal): gaussian.low_rank,
    (MultivariateNormal, Normal): gaussian.triangular,
    (MultivariateNormal, MultivariateNormal): gaussian.triangular,
    (MultivariateNormal, LowRankNormal): gaussian.triangular,
    (LowRankNormal, Normal): gaussian.low_rank,
    (LowRankNormal, MultivariateNormal): gaussian.triangular,
    (LowRankNormal, LowRankNormal): gaussian.low_rank,
    (Bernoulli, Bernoulli): discrete.bernoulli_bernoulli,
    (Categorical, Categorical): discrete.categorical_categorical,
    (PointMass, Categorical): discrete.point_mass_categorical,
    (PointMass, Autoregressive): discrete.point_mass_autoregressive,
    (StraightThroughCategorical, StraightThroughCategorical): discrete.straight_through_straight_through,
    (SpikeAndSlab, SpikeAndSlab): discrete.spike_and_slab_spike_and_slab,
    (Laplace, Laplace): positive.laplace_laplace,
    (Gamma, Gamma): positive.gamma_gamma,
    (Beta, Beta): positive.beta_beta,
    (Kumaraswamy, Beta): kumaraswamy.kumaraswamy_beta,
    (VonMises, VonMises): directional.von_mises_von_mises,
    (VonMises, UniformCircle): directional.von_mises_uniform_circle,
    (VonMisesFisher, VonMisesFisher): directional.von_mises_fisher_von_mises_fisher,
    (VonMisesFisher, UniformSphere): directional.von_mises_fisher_uniform_sphere,
    (PowerSpherical, UniformSphere): directional.power_spherical_uniform_sphere,
}


def closed_forms() -> str:
    """Every row of the KL table in words: the pairs that it serves, its formula and its reference, as its docstring has them.

    print(vae.divergences.closed_forms())
    """
    served: dict[Row, list[str]] = {}
    for (q, p), row in KL_TABLE.items():
        served.setdefault(row, []).append(f"KL({q.__name__} || {p.__name__})")
    texts = {row: textwrap.indent(inspect.getdoc(row) or "", "    ") for row in served}
    return "\n\n".join("\n".join([*pairs, "", texts[row]]) for row, pairs in served.items())


def incomparable(q: Distribution, p: Distribution) -> str:
    """The sentence for a pair that has no divergence at all, in closed form or otherwise; empty for any other."""
    pair = f"KL({type(q).__name__} || {type(p).__name__})"
    if isinstance(q, Deterministic) or isinstance(p, Deterministic):
        return (
            f"{pair} does not exist: a point mass has no density; use a posterior with one (Normal), or an objective that does "
            "not need one (a reconstruction loss with a discrepancy of the aggregate posterior)."
        )
    first, second = (getattr(each, "data_space", None) for each in (q, p))
    if first != second and None not in (first, second):
        return (
            f"{pair} does not exist: values of the first are {first} and of the second {second}; wanted two distributions "
            "over the same values, such as the .hard of a relaxed variable, or your own row in a table."
        )
    return ""


def _no_row(q: type, p: type) -> str:
    """The sentence for a missing pair: what was got, what the table has for either type, what to do."""
    if AtSample in (q, p):
        return (
            f"KL({q.__name__} || {p.__name__}) has no closed form: AtSample marks a prior whose parents were sampled after "
            "this group in q, where a closed form is wrong; take the log ratio at the sample, rates=log_ratio in an objective."
        )
    related = [f"KL({a.__name__} || {b.__name__})" for a, b in KL_TABLE if a is q or b is p]
    known = f"the table has {', '.join(related)}" if related else "the table has no row for either"
    return (
        f"KL({q.__name__} || {p.__name__}) has no closed form here; {known}: use monte_carlo_kl(q, p, key, samples), "
        f"rates=log_ratio in an objective, or your own row, table = {{({q.__name__}, {p.__name__}): function}}, which "
        "kl_divergence(q, p, table) and an objective's rates=analytic_with(table) take."
    )
