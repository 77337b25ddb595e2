"""What the rates may add to the loss instead of their weighted sum.

Each function returns a `RateTerm`; `weighted`, the default, stands in lower_bound.py. All multiply by the setting `beta`
(1 where it is not given), so that annealing works with all of them.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vae.objectives.lower_bound import SUMMED, Means, RateTerm, total
from vae.requirements import require
from vae.types import Summand


def capacity(gamma: float = 1000.0, nats: float = 25.0) -> RateTerm:
    """beta * gamma * | mean rate - C |: the rate is pulled towards C from both sides. (Burgess et al. 2018, section 5.)

    gamma: setting "gamma", how hard.
    nats:  setting "capacity", C in nats; a schedule raises it.
    The absolute value is taken of the batch mean, so that single examples may differ in their rate.
    """

    def apply(means, settings, state):
        distance = jnp.abs(total(means) - settings.get("capacity", nats))
        return settings.get("beta", 1.0) * settings.get("gamma", gamma) * distance, state, {}

    reduction = "sum over groups and dimensions, mean over the batch, then |.|"
    numbers = (("beta", 1.0), ("capacity", nats))
    return RateTerm(apply, (Summand("beta |rate - capacity|", "gamma", gamma, reduction, numbers=numbers),))


def free_bits(nats: float) -> RateTerm:
    """beta * sum_groups max(lambda, mean rate of the group): the first lambda nats of every group are free.

    nats: setting "free_nats", lambda in nats per group.
    The maximum is of the minibatch mean, not of each example. (Kingma et al. 2016, appendix C.8.)
    """
    return _free(nats, lambda means: jnp.stack([jnp.sum(mean) for mean in means]), "groups")


def free_bits_per_dimension(nats: float) -> RateTerm:
    """beta * sum_dimensions max(lambda, mean rate of the dimension): the same, for every single dimension of every group.

    Raises TypeError where a group's rate does not factorise (a log ratio, a full covariance): use `free_bits` there.
    """

    def parts(means):
        if any(mean.ndim == 0 for mean in means):
            raise TypeError(
                "free bits per dimension got a group whose rate is one number, wanted one that factorises; "
                "use free_bits, which is per group, or the rate `analytic` with independent components."
            )
        return jnp.concatenate([mean.reshape(-1) for mean in means])

    return _free(nats, parts, "dimensions")


def _free(nats: float, parts: Callable[[Means], Array], what: str) -> RateTerm:
    require(nats >= 0, f"free bits got {nats} nats; wanted none or more.")

    def apply(means, settings, state):
        if not means:
            return jnp.zeros(()), state, {}
        return settings.get("beta", 1.0) * jnp.sum(jnp.maximum(parts(means), settings.get("free_nats", nats))), state, {}

    reduction = f"mean over the batch, max, sum over {what}"
    return RateTerm(apply, (Summand("max(free_nats, rate)", "beta", 1.0, reduction, numbers=(("free_nats", nats),)),))


def balanced(sizes: Sequence[float] = (), least: float = 0.01) -> RateTerm:
    """beta * sum_groups gamma_g rate_g: while beta rises to 1, a group pays in proportion to what it carries already.

        gamma_g = (r_g + least) / s_g,  divided by its mean over the groups while beta < 1;    gamma_g = 1 from beta = 1 on

    with r_g the mean rate of the group in the minibatch, through which no gradient passes. A group that carries little is
    cheap, so that the deep groups of a hierarchy come into use; the schedule of "beta" has to end at 1, where the loss is
    the negative ELBO again.

    sizes: s_g, how much a group may carry beside the others, such as how many numbers it has; () for equal ones.
    least: nats that keep a group from being free.

    (Vahdat & Kautz 2020, appendix A, with s_g as in the released code.) Raises ValueError for sizes that are not positive, and
    for another number of them than groups.
    """
    require(np.all(np.asarray(sizes) > 0) and least > 0, f"balanced got sizes {tuple(sizes)} and least = {least}; wanted > 0.")

    def apply(means, settings, state):
        if sizes and len(sizes) != len(means):
            raise ValueError(
                f"balanced got {len(sizes)} sizes for a model with {len(means)} latent groups; wanted one for each."
            )
        beta, rates = settings.get("beta", 1.0), jnp.stack([jnp.sum(mean) for mean in means] or [jnp.zeros(())])
        weights = (jax.lax.stop_gradient(jnp.abs(rates)) + least) / (jnp.asarray(sizes) if sizes else 1.0)
        weights = jnp.where(beta < 1.0, weights / jnp.mean(weights), 1.0)
        return beta * jnp.sum(weights * rates), state, {}

    reduction = "sum over the group, mean over the batch, sum over groups"
    return RateTerm(apply, (Summand("gamma_g rate_g, gamma_g as rate_g / s_g while beta < 1", "beta", 1.0, reduction),))


def controlled(
    nats: float, proportional: float = 0.01, integral: float = 1e-4, smallest: float = 0.0, largest: float = 1.0
) -> RateTerm:
    """beta_t * rate with beta_t set by a PI controller so that the rate comes to a target C:

        e_t = C - rate_t,   I_t = I_(t-1) - K_i e_t,   beta_t = clip(K_p / (1 + exp(e_t)) + I_t + smallest)

    The integral stands still while beta is at an end that the error pushes it beyond. The rate is the present minibatch's; no
    gradient passes through beta_t, which is the metric "controlled_beta". (Shao et al. 2020, algorithm 1.)

    nats:              setting "target_rate", C in nats.
    proportional:      K_p.
    integral:          K_i, per step.
    smallest, largest: the range of beta_t; `largest` above 1 for disentangling.
    """
    require(
        0 <= smallest < largest, f"controlled got the range [{smallest}, {largest}] of beta; wanted 0 <= smallest < largest."
    )

    def apply(means, settings, state):
        rate = total(means)
        error = settings.get("target_rate", nats) - jax.lax.stop_gradient(rate)
        response = proportional * jax.nn.sigmoid(-error) + smallest
        summed = state["integral"] - integral * error
        moved = response + summed
        beyond = ((moved > largest) & (error < 0)) | ((moved < smallest) & (error > 0))
        kept = jnp.where(beyond, state["integral"], summed)
        beta = jnp.clip(response + kept, smallest, largest)
        weight = settings.get("beta", 1.0) * beta
        return weight * rate, {"integral": kept}, {"controlled_beta": beta}

    text = f"beta_t rate, beta_t in [{smallest:g}, {largest:g}] by the error of the rate from target_rate"
    summand = Summand(text, "beta", 1.0, SUMMED, numbers=(("target_rate", nats),))
    return RateTerm(apply, (summand,), {"integral": jnp.zeros(())})
