"""Everything that is said of a trained model on a test set, as one dictionary."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from vae.discrepancies import ACTIVE_VARIANCE
from vae.distributions import Distribution, is_density
from vae.evaluation.arrays import standard_error
from vae.evaluation.evidence import Evidence, elbo_terms, importance_sampled_evidence, no_density, rates_of
from vae.evaluation.latents import active_units, encode
from vae.evaluation.pareto import UNRELIABLE
from vae.objectives import analytic, total_rate
from vae.types import Data, Key, PyTree, Trained

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
    is False (it sets its own scale by the value it scores) there is no bound: its numbers are None and `nll_note` says why.

    Raises ValueError for a model of which it is not known what data it is of.
    """
    data = trained.spec
    if data is None:
        raise ValueError(
            "the model has no spec, which says what its data are; wanted one: Trained(..., spec=vae.Data(shape, space))."
        )
    elbo_key, evidence_key, encode_key = jax.random.split(key, 3)
    terms = elbo_terms(trained, x, elbo_key, context=context, rates=rates_of(rates))
    means = encode(trained, x, encode_key, context=context)
    likelihood = likelihood_of(trained, means, context)
    if is_density(likelihood):
        evidence = importance_sampled_evidence(trained, x, evidence_key, samples=samples, context=context)
        bound = evidence_summary(evidence, samples, in_space=likelihood.data_space == data.space)
        bound |= bits_per_dim(evidence, data, likelihood.data_space)
    else:
        bound = dict.fromkeys(OF_THE_BOUND) | {"nll_samples": samples, "nll_note": no_density(likelihood)}
    rate = np.asarray(total_rate(terms))
    log_likelihood = np.asarray(terms.log_likelihood)
    return {
        "examples": len(rate),
        "elbo": float(np.mean(log_likelihood - rate)),
        "elbo_se_images": standard_error(log_likelihood - rate),
        "log_likelihood": float(np.mean(log_likelihood)),
        "kl": float(np.mean(rate)),
        "kl_per_dimension": [np.mean(np.asarray(r), axis=0).reshape(-1).tolist() for r in terms.rates],
        "active_units": int(sum(int(active_units(group).sum()) for group in means)),
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


def likelihood_of(trained: Trained, means: tuple, context: PyTree) -> Distribution:
    """The model's likelihood of one example without its numbers, found without computing anything."""
    first = jax.tree.map(lambda leaf: leaf[0], (tuple(means), context))
    return jax.eval_shape(lambda trained, parts: trained.decode(*parts), trained, first)


def compact(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """A report without its lists, for a screen."""
    return {name: value for name, value in numbers.items() if not isinstance(value, list)}
