"""How many chains of annealing count, and where so few do that no error of the estimate should be stated."""

import warnings

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae.evaluation.evidence import Evidence, evidence_of
from vae.requirements import concrete

FEWEST_EFFECTIVE = 10
"""Effective chains below which no standard error is stated."""


def with_stated_error(log_weights: Float[Array, "chains"]) -> tuple[Evidence, Float[Array, ""]]:
    """The bound of all chains with its error, NaN below ten effective chains, and their number:

        C exp(-s^2),    s^2 = 2/C sum_c max(0, log w_c - median)^2

    or (sum w)^2 / sum w^2 where that is below ten too. The first is the effective size of log-normal weights with that spread
    above the median; those below it only lose. The second alone would not do: it is large as well where every chain missed what
    counts, and the error is then much too small. No chain counts where the median is minus infinity.
    """
    found = evidence_of(log_weights)
    median = jnp.median(log_weights)
    above = jnp.maximum(log_weights - jnp.where(jnp.isfinite(median), median, 0.0), 0.0)
    spread = log_weights.shape[0] * jnp.exp(-2.0 * jnp.mean(jnp.square(above)))
    few = found.effective_sample_size < FEWEST_EFFECTIVE
    effective = jnp.where(few, jnp.minimum(spread, found.effective_sample_size), spread)
    effective = jnp.where(jnp.isfinite(median), effective, 0.0)
    return found._replace(
        monte_carlo_error=jnp.where(effective < FEWEST_EFFECTIVE, jnp.nan, found.monte_carlo_error)
    ), effective


def warn_of_few_chains(effective: Float[Array, "examples"], chains: int) -> None:
    """Say for how many examples no error is stated, and what helps; nothing while it is traced."""
    if not concrete(effective):
        return
    numbers = np.asarray(effective)
    few = numbers < FEWEST_EFFECTIVE
    if few.any():
        warnings.warn(
            f"{few.sum()} of {few.size} examples have fewer than {FEWEST_EFFECTIVE} effective chains of {chains} (the fewest "
            f"{numbers.min():.2g}), too few for a standard error, which is NaN for them; use more temperatures or more chains.",
            RuntimeWarning,
            stacklevel=4,
        )
