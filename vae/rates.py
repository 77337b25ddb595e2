"""What a latent group costs: functions (latent, key) -> nats, unsummed where the cost factorises, and which of them are a KL.

A rate is any such function. One that is wrapped in `KL` is a Kullback-Leibler divergence; silence means that it is none.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.autoregressive import Autoregressive
from vae.distributions.base import Distribution
from vae.distributions.mixture import Mixture
from vae.distributions.relaxed_categorical import ExpRelaxedCategorical, RelaxedCategorical
from vae.divergences.jensen_shannon import geometric_jensen_shannon_per_factor, interpolating_jensen_shannon_per_factor
from vae.divergences.table import Row, Table, kl_per_factor
from vae.requirements import require


@runtime_checkable
class Group(Protocol):
    """What a rate reads of a latent group; `vae.types.Latent` is one."""

    @property
    def posterior(self) -> Distribution:
        """q(z | x, parents in q)."""
        ...

    @property
    def prior(self) -> Distribution:
        """p(z | parents in p)."""
        ...

    @property
    def value(self) -> Any:
        """The sampled z, or the value that was given."""
        ...

    @property
    def log_q(self) -> Array | None:
        """log q(value) in nats; None for a posterior without a density."""
        ...


@runtime_checkable
class Rate(Protocol):
    """(latent, key) -> what one group of one example costs in nats, unsummed where it factorises."""

    def __call__(self, latent: Group, key: Any, /) -> Array:
        """The cost; `key` is for a rate that draws."""


Rates = Rate | Sequence[Rate]
"""One rate for all groups, or one per group."""


@dataclasses.dataclass(frozen=True)
class KL:
    """A rate that is a Kullback-Leibler divergence of the group, exactly or in expectation: what the log calls `kl`.

        elbo(rates=KL(my_function))

    nats: the rate.
    """

    nats: Rate

    def __call__(self, latent: Group, key: Array | None = None) -> Array:
        """The rate."""
        return self.nats(latent, key)


def is_kl(rates: Rates) -> bool:
    """Whether every group costs its KL, so that log-likelihood minus rates is a lower bound on the evidence."""
    return all(isinstance(rate, KL) for rate in (rates if isinstance(rates, Sequence) else (rates,)))


def rate_name(rates: Rates) -> str:
    """What the log calls these rates: "kl" where `is_kl`, else "rate"."""
    return "kl" if is_kl(rates) else "rate"


@dataclasses.dataclass(frozen=True)
class ClosedForm:
    """KL(q(z | x) || p(z | parents)) in closed form, one entry per independent component.

    rows: (pair of types, formula) to use before the library's own; equal ones are the same static argument of a program.
    """

    rows: frozenset[tuple[tuple[type, type], Row]] = frozenset()

    def __call__(self, latent: Group, key: Array | None) -> Array:
        """The divergence; TypeError where no row is known, or where a closed form would be wrong (`AtSample`)."""
        return kl_per_factor(latent.posterior, latent.prior, dict(self.rows))


analytic = KL(ClosedForm())
"""KL(q(z | x) || p(z | parents)) in closed form, one entry per independent component.

Raises TypeError where the table has no row, or where a closed form would be wrong (a prior wrapped in `AtSample`).
"""


def analytic_with(table: Table) -> KL:
    """`analytic` with rows of one's own, which come before the library's, and called a KL as that is.

        elbo(rates=analytic_with({(MyPosterior, MyPrior): my_formula}))

    table: (type of q, type of p) -> formula(q, p), nats, unsummed where it factorises; as for `vae.kl_divergence`.
    """
    return KL(ClosedForm(frozenset(table.items())))


def is_relaxed(latent: Group) -> bool:
    """Whether the value is a mixture of classes, in training, while the prior is one of classes: no density compares them."""
    return isinstance(latent.posterior, RelaxedCategorical | ExpRelaxedCategorical) and latent.prior.data_space == "tokens"


def _log_ratio(latent: Group, key: Array | None) -> Float[Array, ""]:
    if is_relaxed(latent):
        raise TypeError(
            f"the posterior {type(latent.posterior).__name__} has a density of mixed classes, of which the prior "
            f"{type(latent.prior).__name__} has none; charge the classes that are mixed by rates=chain_rule, in an objective "
            "without importance weights, or use StraightThroughCategorical on both sides."
        )
    if latent.log_q is None:
        raise TypeError(
            f"the posterior {type(latent.posterior).__name__} has no density, so log q(z) - log p(z) does not exist; "
            "use a posterior with a density, or an objective that needs none."
        )
    return latent.log_q - latent.prior.log_prob(latent.value)


log_ratio = KL(_log_ratio)
"""log q(z) - log p(z) at the sampled z: unbiased for the KL, and all there is where no closed form exists. It needs no key."""


def _chain_rule(latent: Group, key: Array | None) -> Array:
    posterior, value = latent.posterior, latent.value
    if isinstance(posterior, RelaxedCategorical | ExpRelaxedCategorical):
        posterior, value = posterior.hard, jnp.argmax(value, axis=-1).astype(jnp.int32)
    prior = latent.prior.given(value) if isinstance(latent.prior, Autoregressive) else latent.prior
    return kl_per_factor(posterior, prior)


chain_rule = KL(_chain_rule)
"""The KL of independent classes to a prior that draws each given those before it, at the sampled value:

    KL(q || p) = E_q(k) sum_i KL( q(k_i | x) || p(k_i | k_1 ... k_(i-1)) )

unbiased, as a rule with less noise than `log_ratio`, and the closed form where the prior is independent too. Of a relaxed
posterior it charges the classes that are mixed. Its gradient in q leaves out how k_i changes the conditionals after it. It
needs no key.
"""


def _mixture_bound(latent: Group, key: Array | None) -> Float[Array, ""]:
    prior: Any = latent.prior
    if not isinstance(prior, Mixture):
        raise TypeError(
            f"mixture_bound got a prior of type {type(prior).__name__}; wanted a Mixture, from whose components the posterior "
            "has closed-form divergences: use rates=analytic, or rates=log_ratio."
        )
    nats = jax.vmap(lambda component: jnp.sum(kl_per_factor(latent.posterior, component)))(prior.components)
    return -jax.nn.logsumexp(jax.nn.log_softmax(prior.logits) - nats)


mixture_bound = KL(_mixture_bound)
"""An upper bound on the KL to a mixture from those to its components, so that the ELBO with it is still a lower bound:

    KL(q || sum_k w_k p_k) <= min_pi sum_k pi_k KL(q || p_k) + KL(pi || w) = - log sum_k w_k exp(-KL(q || p_k))

by the convexity of the divergence (Hershey & Olsen 2007). No draw enters, so that posteriors train whose log ratio passes no
gradient to a gate (spike and slab). A report by `log_ratio` is tighter.
"""


def no_rate(latent: Group, key: Array) -> Float[Array, ""]:
    """Zero: a group that costs nothing (a plain autoencoder)."""
    return jnp.zeros(())


KNOWN: dict[Rate, str] = {
    analytic: "analytic",
    log_ratio: "log_ratio",
    chain_rule: "chain_rule",
    mixture_bound: "mixture_bound",
    no_rate: "no_rate",
}
"""The rates that a file can name."""


def geometric_jensen_shannon(skew: Any = 0.5) -> Rate:
    """The geometric Jensen-Shannon divergence of posterior and prior in place of the KL (Nielsen 2019); Gaussians only.

    skew: a in [0, 1]; the divergence is 0 at both ends. The sum with the log-likelihood is no bound on the evidence.
    """

    def rate(latent: Group, key: Array) -> Array:
        return geometric_jensen_shannon_per_factor(latent.posterior, latent.prior, skew)

    return rate


def interpolating_jensen_shannon(skew: Any = 0.5) -> Rate:
    """The skew geometric Jensen-Shannon divergence of Deasy et al. 2020, from KL(q || p) at a skew of 0 to KL(p || q)
    at 1; Gaussians only.
    """

    def rate(latent: Group, key: Array) -> Array:
        return interpolating_jensen_shannon_per_factor(latent.posterior, latent.prior, skew)

    return rate


def squared(scale: float = 1.0) -> Rate:
    """z^2 / (2 scale^2) per dimension, at the sample: minus the log density of a Gaussian prior, up to a constant (an L2 rate).

    For an encoder without a density: the regularised autoencoder (Ghosh et al. 2020, eq. 6).
    """
    require(scale > 0, f"squared got a scale of {scale}; wanted a positive number.")

    def rate(latent: Group, key: Array) -> Array:
        return 0.5 * jnp.square(latent.value / scale)

    return rate


def absolute(scale: float = 1.0) -> Rate:
    """| z | / scale per dimension, at the sample: minus the log density of a Laplace prior, up to a constant (an L1 rate).

    It pulls codes to zero; for an encoder with or without a density.
    """
    require(scale > 0, f"absolute got a scale of {scale}; wanted a positive number.")

    def rate(latent: Group, key: Array) -> Array:
        return jnp.abs(latent.value) / scale

    return rate
