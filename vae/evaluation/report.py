"""Everything that is said of a trained model on a test set, as one dictionary."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from vae.discrepancies import ACTIVE_VARIANCE
from vae.distributions import is_density
from vae.evaluation.arrays import standard_error
from vae.evaluation.evidence import Evidence, elbo_terms, importance_sampled_evidence, no_density, rates_of
from vae.evaluation.latents import active_units, encode
from vae.evaluation.pareto import UNRELIABLE
from vae.evaluation.rows import require_examples, require_key
from vae.objectives import analytic, log_ratio, no_rate, total_rate
from vae.trained import Trained
from vae.types import Data, Key, PyTree, Trace

LOW_SAMPLE_SIZE = 10
DISCRETE = ("binary", "uint8", "count", "tokens")


OF_THE_BOUND = (
    *("nll", "cross_entropy", "nll_se_images", "nll_se_mc", "effective_sample_size"),
    *("share_effective_sample_size_under_10", "share_pareto_k_over_0_7", "bits_per_dim"),
)
"""The numbers of a report that come from the importance-sampled bound."""


def report(
    trained: Trained,
    x: PyTree,
    key: Key,
    *,
    samples: int,
    context: PyTree = (),
    rates=analytic,
) -> dict[str, Any]:
    """ELBO with its two parts, importance-sampled NLL with two kinds of error, and what the latent dimensions carry.

    samples: importance samples per example; the NLL is an upper bound that falls as they grow, so compare at equal numbers.

    All in nats per example. The standard error over images says how much the test set decides; the Monte Carlo error how much
    the importance samples do. Where the data are not in the likelihood's space (gray pixels under a Bernoulli) nothing here is
    a likelihood: `nll` and `bits_per_dim` are None, and the same bound is called `cross_entropy`. Where its `is_density`
    is False (it sets its own scale by the value it scores) there is no bound: its numbers are None and `nll_note` says why. Nor
    is there one, and no ELBO, of a model without a latent group or with one without a density; its KL, and the active units of
    no group, are None too.

    Raises ValueError for a model of which it is not known what data it is of.
    """
    data = trained.spec
    if data is None:
        raise ValueError(
            "the model has no spec, which says what its data are; wanted one: Trained(..., spec=vae.Data(shape, space))."
        )
    require_key(key)
    elbo_key, evidence_key, encode_key = jax.random.split(key, 3)
    require_examples(trained, x, context)
    trace = structure_of(trained, x, context)
    scored = bool(trace.latents) and all(latent.log_q is not None for latent in trace.latents)
    charged = bool(trace.latents) and (scored or can_be_charged(trace, rates))
    terms = elbo_terms(trained, x, elbo_key, context=context, rates=rates_of(rates) if charged else no_rate)
    means = encode(trained, x, encode_key, context=context)
    likelihood = trace.likelihood
    if scored and is_density(likelihood):
        evidence = importance_sampled_evidence(trained, x, evidence_key, samples=samples, context=context)
        bound = evidence_summary(evidence, samples, in_space=likelihood.data_space == data.space)
        bound |= bits_per_dim(evidence, data, likelihood.data_space)
    else:
        bound = dict.fromkeys(OF_THE_BOUND) | {"nll_samples": samples, "nll_note": why_no_bound(trace)}
    rate = np.asarray(total_rate(terms))
    log_likelihood = np.asarray(terms.log_likelihood)
    return {
        "examples": len(rate),
        "elbo": float(np.mean(log_likelihood - rate)) if scored else None,
        "elbo_se_images": standard_error(log_likelihood - rate) if scored else None,
        "log_likelihood": float(np.mean(log_likelihood)),
        "kl": float(np.mean(rate)) if charged else None,
        "kl_per_dimension": [np.mean(np.asarray(r), axis=0).reshape(-1).tolist() for r in terms.rates] if charged else None,
        "active_units": int(sum(int(active_units(group).sum()) for group in means)) if means else None,
        "latent_dimensions": int(sum(group[0].size for group in means)),
        "active_threshold": ACTIVE_VARIANCE,
        **bound,
    }


def evidence_summary(evidence: Evidence, samples: int, *, in_space: bool) -> dict[str, Any]:
    """The importance-sampled bound over a test set, with its two errors kept apart."""
    bound = -np.asarray(evidence.log_evidence, np.float64)
    effective = np.asarray(evidence.effective_sample_size)
    return {
        "nll": float(bound.mean()) if in_space else None,
        "cross_entropy": None if in_space else float(bound.mean()),
        "nll_se_images": standard_error(bound),
        "nll_se_mc": float(np.sqrt(np.sum(np.square(np.asarray(evidence.monte_carlo_error, np.float64)))) / bound.size),
        "nll_samples": samples,
        "effective_sample_size": float(effective.mean()),
        "share_effective_sample_size_under_10": float(np.mean(effective < LOW_SAMPLE_SIZE)),
        "share_pareto_k_over_0_7": share_unreliable(evidence.pareto_k),
    }


def share_unreliable(pareto_k: ArrayLike | None) -> float | None:
    """The share of images whose weights have too heavy a tail (k > 0.7) for their bound to be relied on; None if unknown."""
    shapes = np.asarray(math.nan if pareto_k is None else pareto_k)
    return None if np.all(np.isnan(shapes)) else float(np.mean(shapes > UNRELIABLE))


def bits_per_dim(evidence: Evidence, data: Data, space: str) -> dict[str, float | None]:
    """NLL / (D ln 2), for data of a discrete space under a likelihood of that space; None where a density has no such scale."""
    meaningful = space == data.space and space in DISCRETE and data.shape
    nll = -float(np.mean(np.asarray(evidence.log_evidence, np.float64)))
    return {"bits_per_dim": nll / (math.prod(data.shape) * math.log(2.0)) if meaningful else None}


def structure_of(trained: Trained, x: PyTree, context: PyTree) -> Trace:
    """What one pass through the model gives of one example, without its numbers: found without computing anything."""
    first = jax.tree.map(lambda leaf: leaf[0], (x, context))
    return jax.eval_shape(lambda trained, example: trained.infer(*example)(jax.random.key(0)), trained, first)


def can_be_charged(trace: Trace, rates: Any) -> bool:
    """Whether every group has the density that its KL needs; another rate needs none."""
    functions = rates if isinstance(rates, Sequence) else (rates,) * len(trace.latents)
    return all(latent.log_q is not None or rate not in (analytic, log_ratio) for latent, rate in zip(trace.latents, functions))


def why_no_bound(trace: Trace) -> str:
    """What to say of a model whose evidence nothing bounds."""
    if not trace.latents:
        return "the model has no latent group with a density, so there is no bound on its evidence"
    points = [type(latent.posterior).__name__ for latent in trace.latents if latent.log_q is None]
    return (
        f"the posterior {points[0]} has no density, so there is no bound on the evidence"
        if points
        else no_density(trace.likelihood)
    )


def compact(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """A report without its lists, for a screen."""
    return {name: value for name, value in numbers.items() if not isinstance(value, list)}
