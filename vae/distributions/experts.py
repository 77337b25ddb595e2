"""What several experts say of one variable, as one distribution: their product, or their mixture; and one expert alone.

Each function maps (experts, present, prior) to a distribution: `experts` are distributions of one family whose leaves have a
leading axis, as `jax.vmap` makes them; `present` says which of them are heard; where none is, what is left is the prior.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from vae.distributions.base import Distribution, distribution, is_density, of_base, space_of
from vae.distributions.mixture import Mixture
from vae.distributions.normal import Normal


def product_of_experts(experts: Distribution, present: Bool[Array, "experts"], prior: Distribution) -> Normal:
    """q(z) proportional to p(z) prod_m q_m(z) over the experts that are heard, exact for Gaussians:

        precision = 1 / s_0^2 + sum_m present_m / s_m^2,    mean = sum of the means, each by its share of the precision

    (Wu & Goodman 2018, section 2.) Raises TypeError for other families, whose product has no closed form.
    """
    if not (isinstance(experts, Normal) and isinstance(prior, Normal)):
        raise TypeError(
            f"product_of_experts got experts {type(experts).__name__} and a prior {type(prior).__name__}; wanted Normal for "
            "both, whose product is a Normal again: use mixture_of_experts for other families."
        )
    means = jnp.concatenate([prior.mean[None], experts.mean])
    heard = jnp.concatenate([jnp.ones(1, bool), present]).reshape(-1, *(1,) * (means.ndim - 1))
    log_precisions = jnp.where(heard, -2.0 * jnp.concatenate([prior.log_std[None], experts.log_std]), -jnp.inf)
    shares = jax.nn.softmax(log_precisions, axis=0)
    return Normal(mean=jnp.sum(shares * means, axis=0), log_std=-0.5 * jax.nn.logsumexp(log_precisions, axis=0))


@distribution
class MixtureOfExperts:
    """A mixture whose weights are no parameters, so that a draw passes a gradient to everything that has one.

        log q(z) = ln 1/M sum_m q_m(z),   over the M experts that are heard

    experts: distributions of one family whose leaves have a leading axis.
    heard:   which of them count, at least one.

    No closed form of the KL to anything: charge it with `log_ratio`. (Shi et al. 2019, equation 3.)
    """

    experts: Distribution
    heard: Bool[Array, "experts"]

    reparameterised: ClassVar[bool] = True
    data_space = of_base(space_of, "experts")
    is_density = of_base(is_density, "experts")

    @property
    def mixture(self) -> Mixture:
        """The same as a mixture with logits."""
        return Mixture(logits=jnp.where(self.heard, 0.0, -jnp.inf), components=self.experts)

    @property
    def mean(self) -> Float[Array, "*event"]:
        """The mean of the experts' means."""
        return self.mixture.mean

    @property
    def variance(self) -> Float[Array, "*event"]:
        """That of the mixture, for each entry of the event."""
        return self.mixture.variance

    def sample(self, key: Array) -> PyTree:
        """A draw of one of the experts."""
        return self.mixture.sample(key)

    def sample_and_log_prob(self, key: Array) -> tuple[PyTree, Float[Array, ""]]:
        """The draw and its log density under all of them."""
        return self.mixture.sample_and_log_prob(key)

    def log_prob(self, value: PyTree) -> Float[Array, ""]:
        """Log density in nats."""
        return self.mixture.log_prob(value)


def mixture_of_experts(experts: Distribution, present: Bool[Array, "experts"], prior: Distribution) -> MixtureOfExperts:
    """The mixture of the experts that are heard, all equally likely; see `MixtureOfExperts`."""
    both = jax.tree.map(lambda many, one: jnp.concatenate([many, one[None]]), experts, prior)
    return MixtureOfExperts(experts=both, heard=jnp.append(present, ~jnp.any(present)))


def only_expert(experts: Distribution, present: Bool[Array, "experts"], prior: Distribution) -> Distribution:
    """What the one expert says where it is heard, else the prior: in the family of both, so that a KL keeps its closed form.

    Raises ValueError for more than one expert.
    """
    if present.shape != (1,):
        raise ValueError(
            f"only_expert got {present.shape[0]} experts; wanted one: use product_of_experts or mixture_of_experts for several."
        )
    return jax.tree.map(lambda one, other: jnp.where(present[0], one[0], other), experts, prior)
