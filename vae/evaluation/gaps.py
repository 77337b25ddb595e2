"""Why a bound is loose: the parts of log p(x) - L[q] that the posterior's family, the encoder and the estimator answer for.

Every number has one entry for each example and a Monte Carlo error of its own; `gap_summary` is the report over a test set.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from vae.evaluation.annealing import AnnealedEvidence
from vae.evaluation.arrays import standard_error
from vae.evaluation.batches import map_examples
from vae.evaluation.evidence import Evidence
from vae.evaluation.rows import checked
from vae.objectives import sticking_the_landing
from vae.objectives.estimators import frozen, scored
from vae.trained import Trained
from vae.types import PRIOR_ENCODER, Key, PyTree

FIT_STEPS = 400
SETTLING_ADAM = optax.adam(optax.cosine_decay_schedule(3e-3, FIT_STEPS))
"""Its step size falls to zero, so that an optimum is reached and kept."""


class Estimate(NamedTuple):
    """A number for each example, in nats, and its standard error from the Monte Carlo draws."""

    value: Float[Array, "examples"]
    error: Float[Array, "examples"]


class FittedBounds(NamedTuple):
    """The bound of each example before and after its posterior was fitted to it alone.

    elbo:         L[q], of the encoder's posterior.
    fitted:       L[q*], of the fitted one.
    amortisation: L[q*] - L[q], on the same draws, so that its error is less than theirs.
    """

    elbo: Estimate
    fitted: Estimate
    amortisation: Estimate


class Gaps(NamedTuple):
    """Where the nats go, for each example.

    log_evidence:        log p(x), by annealed importance sampling.
    importance_weighted: the IWAE-k bound.
    elbo, fitted:        L[q] and L[q*], see `FittedBounds`.
    approximation:       log p(x) - L[q*], what the family of posteriors cannot do.
    amortisation:        L[q*] - L[q], what the encoder does worse than a posterior of the example's own.
    estimator:           log p(x) - IWAE-k, what k samples leave.
    """

    log_evidence: Estimate
    importance_weighted: Estimate
    elbo: Estimate
    fitted: Estimate
    approximation: Estimate
    amortisation: Estimate
    estimator: Estimate


def inference_gaps(annealed: AnnealedEvidence, fitted: FittedBounds, importance: Evidence) -> Gaps:
    """The gaps of the same examples, from `annealed_evidence`, `fitted_bounds` and `importance_sampled_evidence`.

        log p(x) - L[q] = (log p(x) - L[q*]) + (L[q*] - L[q]) = approximation + amortisation

    Annealing bounds log p(x) from below, so approximation and estimator gap are too small by what it misses, which
    `bidirectional_bounds` measures on simulated data; amortisation is too small, and approximation too large, by what the fit
    misses. (Cremer et al. 2018, section 3.)
    """
    evidence = Estimate(annealed.log_evidence, annealed.monte_carlo_error)
    weighted = Estimate(importance.log_evidence, importance.monte_carlo_error)
    return Gaps(
        log_evidence=evidence,
        importance_weighted=weighted,
        elbo=fitted.elbo,
        fitted=fitted.fitted,
        approximation=_difference(evidence, fitted.fitted),
        amortisation=fitted.amortisation,
        estimator=_difference(evidence, weighted),
    )


@checked
@partial(jax.jit, static_argnames=("optimiser", "steps", "samples", "score_samples", "batch_size"))
def fitted_bounds(
    trained: Trained,
    x: PyTree,
    key: Key,
    *,
    context: PyTree = (),
    optimiser: optax.GradientTransformation = SETTLING_ADAM,
    steps: int = FIT_STEPS,
    samples: int = 16,
    score_samples: int = 512,
    batch_size: int = 20,
) -> FittedBounds:
    """L[q] and L[q*] of every example, q* being the best posterior that the optimiser finds for that example alone.

    See `fitted_log_weights`. Every example in flight holds its own copy of the posterior's parameters and of the optimiser's
    state: `batch_size` copies. Raises ValueError for numbers that make no sense; TypeError as `fitted_log_weights`.
    """

    def one(key, example):
        x, context = example
        start, fitted = fitted_log_weights(
            trained, x, context, key, optimiser, steps=steps, samples=samples, score_samples=score_samples
        )
        return FittedBounds(elbo=_mean(start), fitted=_mean(fitted), amortisation=_mean(fitted - start))

    return map_examples(one, key, (x, context), batch_size)


def fitted_log_weights(
    trained: Trained,
    x: PyTree,
    context: PyTree,
    key: Key,
    optimiser: optax.GradientTransformation,
    *,
    steps: int,
    samples: int,
    score_samples: int,
) -> tuple[Float[Array, "score_samples"], Float[Array, "score_samples"]]:
    """log p(x, z) / q(z | x) of one example at draws of its posterior as it is and as fitted to it, with the same noise.

        phi* = argmax_phi E_q(z | x; phi) log [ p(x, z) / q(z | x; phi) ]

    The posterior's parameters phi start from the trained ones and are moved by `steps` steps of `optimiser` with `samples`
    latent samples each, whose gradients lose their variance as the posterior becomes exact (`sticking_the_landing`); the
    generative parameters stay.

    Raises ValueError for fewer than 0 steps or 1 sample; TypeError for a posterior without a density or whose draws pass no
    gradient back.
    """
    if steps < 0 or samples < 1 or score_samples < 1:
        raise ValueError(f"got {steps} steps of {samples} samples and {score_samples} to score; wanted at least 0, 1 and 1.")
    step_key, score_key = jax.random.split(key)
    held = {PRIOR_ENCODER: trained.params["posterior"]}  # a prior that is made of the encoder stays as it is

    def infer(params):
        return trained.replace(params={**params, **held}).infer(x, context)

    def bound(posterior, key, samples):
        own = {**trained.params, "posterior": posterior}
        draw, frozen_draw = (scored(each, x) for each in (infer(own), frozen(infer, own)))
        value, drawn = sticking_the_landing(jnp.mean, draw, frozen_draw, jax.random.split(key, samples))
        return value, drawn.log_weight

    def step(carry, key):
        posterior, optimiser_state = carry
        gradient = jax.grad(lambda p: -bound(p, key, samples)[0])(posterior)
        updates, optimiser_state = optimiser.update(gradient, optimiser_state, posterior)
        return (optax.apply_updates(posterior, updates), optimiser_state), None

    start = trained.params["posterior"]
    (fitted, _), _ = jax.lax.scan(step, (start, optimiser.init(start)), jax.random.split(step_key, steps))
    return bound(start, score_key, score_samples)[1], bound(fitted, score_key, score_samples)[1]


def gap_summary(gaps: Gaps) -> dict[str, dict[str, float]]:
    """The mean of every number over the examples, the standard error over them, and the mean's Monte Carlo error; in nats.

    The last is NaN where that of any example is not known, as of annealing with few effective chains; the standard error over
    examples holds the Monte Carlo error too.
    """
    return {name: _over_examples(estimate) for name, estimate in gaps._asdict().items()}


def _over_examples(estimate: Estimate) -> dict[str, float]:
    value, error = (np.asarray(part, np.float64) for part in estimate)
    return {
        "mean": float(value.mean()),
        "se_images": standard_error(value),
        "se_mc": float(np.sqrt(np.sum(np.square(error))) / error.size),
    }


def _mean(values: Float[Array, "draws"]) -> Estimate:
    """The mean of independent draws with its standard error; one draw has no known error: NaN."""
    draws = values.shape[0]
    return Estimate(value=jnp.mean(values), error=jnp.std(values) / jnp.sqrt(draws - 1) if draws > 1 else jnp.asarray(jnp.nan))


def _difference(minuend: Estimate, subtrahend: Estimate) -> Estimate:
    """The difference of two independent estimates."""
    return Estimate(minuend.value - subtrahend.value, jnp.hypot(minuend.error, subtrahend.error))
