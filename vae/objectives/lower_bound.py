"""The evidence lower bound, with the weighted sum of the rates.

From the call of `elbo` to its number: here what is computed, in composition.py how it becomes a loss, in core.py the numbers
of one example and their means over the batch, in vae/rates.py what a latent group costs.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.objectives.composition import MODEL_PENALTY, BatchLoss, compose
from vae.objectives.core import batch_mean, mean_rates
from vae.objectives.expectation import Expectation, one_draw
from vae.objectives.monitors import Monitor, collapse
from vae.objectives.penalties import Regulariser
from vae.rates import Rates, analytic
from vae.settings import Settings
from vae.types import Objective, PyTree, Summand

RECONSTRUCTION = Summand("log p(x|z)", "likelihood", 1.0, "sum over the event, mean over the batch", sign="-")
SUMMED = "sum over groups and dimensions, mean over the batch"

Means = tuple[Array, ...]
"""Per group, the mean over the batch of its rates, unsummed where they factorise."""


class RateTerm(NamedTuple):
    """What the rates add to the loss: a function of their batch means.

    apply:    (means, settings, state) -> nats, state, metrics
    summands: the terms in words.
    start:    the carried state before the first step.
    """

    apply: Callable[[Means, Settings, PyTree], tuple[Float[Array, ""], PyTree, dict[str, Array]]]
    summands: tuple[Summand, ...]
    start: PyTree = ()


def total(means: Means) -> Float[Array, ""]:
    """The sum over groups and dimensions."""
    return sum((jnp.sum(mean) for mean in means), jnp.zeros(()))


def weighted() -> RateTerm:
    """beta * rate. (Higgins et al. 2017, eq. 4.)"""

    def apply(means, settings, state):
        return settings.get("beta", 1.0) * total(means), state, {}

    return RateTerm(apply, (Summand("rate", "beta", 1.0, SUMMED),))


def elbo(
    rates: Rates = analytic,
    rate_term: RateTerm | None = None,
    regularisers: Sequence[Regulariser] = (),
    monitors: Sequence[Monitor] = (collapse,),
    expectation: Expectation = one_draw,
) -> Objective:
    """The negative evidence lower bound, and every loss in which the latents cost something else.

        loss = mean over the batch of [ - log p(x | z) + penalty ] + rate_term(mean rates) + sum_r weight_r * regulariser_r,

        z ~ q(z | x) by a path that a gradient can follow

    With the default term, beta * sum_groups rate_g, and beta = 1 it is the negative ELBO (Kingma & Welling 2014, eq. 3). The
    likelihood is summed over pixels and the rate over latent dimensions, both in nats.

    rates:        what a group costs: `analytic`, `log_ratio`, a Jensen-Shannon divergence, a function of your own;
                  one for all groups or one per group. Those declared to be a `KL` are logged as "kl", beside an "elbo".
    rate_term:    what the rates add to the loss: `weighted` (default), `capacity`, `free_bits`, `controlled`.
    regularisers: quantities of the whole batch: MMD, total correlation, moments; each weighed by the setting of its name.
    monitors:     what is reported beside them.
    expectation:  over q: `one_draw`, or `enumerated`, which sums a discrete group out.

    >>> objective = vae.elbo(rate_term=vae.objectives.free_bits(2.0))
    >>> [summand.text for summand in objective.summands]
    ['log p(x|z)', 'max(free_nats, rate)', 'penalty of the model']

    Settings, all optional: "beta" weighs the rates, "likelihood" the log-likelihood.
    Raises TypeError for a posterior whose draws pass no gradient back.
    """
    term = weighted() if rate_term is None else rate_term

    def score(params, state, key, x, context, settings, model):
        terms, trace = expectation(model.infer(params, state, x, context, settings), x, rates, key)
        return (), terms, trace.statistics, trace

    def reduce(numbers, terms, weight, settings, state):
        nats, state, metrics = term.apply(mean_rates(terms.rates, weight), settings, state)
        per_example = terms.penalty - settings.get("likelihood", 1.0) * terms.log_likelihood
        return BatchLoss(batch_mean(per_example, weight) + nats, state, metrics)

    summands = RECONSTRUCTION, *term.summands, MODEL_PENALTY
    return compose(score, reduce, summands, regularisers, monitors, term.start, rates)
