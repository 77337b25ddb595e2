"""The evidence lower bound and its weighted relatives."""

from collections.abc import Sequence

import jax

from vae.objectives.composition import BatchLoss, Monitor, Regulariser, compose
from vae.objectives.core import batch_mean, mean_rates, require_path, terms_of
from vae.objectives.monitors import collapse
from vae.objectives.rate_terms import RateTerm, weighted
from vae.rates import Rates, analytic
from vae.types import Objective, Summand

RECONSTRUCTION = Summand("log p(x|z)", "likelihood", 1.0, "sum over the event, mean over the batch", sign="-")
PENALTY = Summand("penalty of the model", reduction="mean over the batch")


def elbo(
    rates: Rates = analytic,
    rate_term: RateTerm | None = None,
    regularisers: Sequence[Regulariser] = (),
    monitors: Sequence[Monitor] = (collapse,),
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

    Settings, all optional: "beta" weighs the rates, "likelihood" the log-likelihood.
    Raises TypeError for a posterior whose draws pass no gradient back.
    """
    term = weighted() if rate_term is None else rate_term

    def score(params, state, key, x, context, settings, model):
        draw_key, rate_key = jax.random.split(key)
        trace = model.infer(params, state, x, context, settings)(draw_key)
        require_path(trace.latents)
        return (), terms_of(trace, x, rates, rate_key), trace.statistics, trace

    def reduce(numbers, terms, weight, settings, state):
        nats, state, metrics = term.apply(mean_rates(terms.rates, weight), settings, state)
        per_example = terms.penalty - settings.get("likelihood", 1.0) * terms.log_likelihood
        return BatchLoss(batch_mean(per_example, weight) + nats, state, metrics)

    summands = RECONSTRUCTION, *term.summands, PENALTY
    return compose(score, reduce, summands, regularisers, monitors, term.start, rates)
