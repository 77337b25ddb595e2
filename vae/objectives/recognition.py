"""What teaches the posterior of an observed group its value, which the bound on log p(x, value) does not."""

import jax.numpy as jnp
from jaxtyping import Array

from vae.objectives.core import ExampleView, batch_mean
from vae.objectives.observed import KnownValue
from vae.objectives.penalties import Regulariser
from vae.types import Key


def classification(level: float = 1.0, name: str = "classification") -> Regulariser:
    """-log q(y | x) of the values that a batch gives, summed over the observed groups: the term alpha of M2.

        vae.elbo(regularisers=[objectives.classification()])

    Where a value is known its posterior takes no part in the bound, and would learn nothing from the examples that have one.
    The weight is the setting of that name. In the paper alpha = 0.1 N weighs a mean over the L labelled examples beside a sum
    over all N, that is 0.1 N / L for each of them. (Kingma et al. 2014, eq. 9.)

    Raises ValueError for a batch in which nothing is observed.
    """

    def each(view: ExampleView, key: Key) -> Array:
        known = [latent.posterior for latent in view.trace.latents if isinstance(latent.posterior, KnownValue)]
        if not known:
            raise ValueError(
                "objectives.classification got a batch in which no latent group is observed; wanted values of one: a feed "
                "whose prepare returns x, context, values."
            )
        return -sum((posterior.inferred.log_prob(posterior.value) for posterior in known), jnp.zeros(()))

    def penalty(params, collected: Array, weight: Array, key: Key) -> Array:
        return batch_mean(collected, weight)

    return Regulariser(name, level, each, penalty, "-log q(y|x) of the values given")
