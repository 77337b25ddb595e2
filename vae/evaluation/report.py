"""Everything that is said of a trained model on a test set, as one dictionary."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array
from numpy.typing import ArrayLike

from vae.claims import Claim, claim_of, why_unweighted
from vae.discrepancies import ACTIVE_KL, ACTIVE_VARIANCE
from vae.evaluation.arrays import standard_error
from vae.evaluation.codes import code_usage
from vae.evaluation.evidence import Evidence, elbo_terms, importance_sampled_evidence, rates_of
from vae.evaluation.latents import active_units, encode, structure_of, unit_groups
from vae.evaluation.pareto import UNRELIABLE
from vae.evaluation.rows import require_examples, require_key
from vae.objectives import analytic, log_ratio, no_rate, total_rate
from vae.spaces import DISCRETE, is_likelihood
from vae.spec import OBSERVED, Data, may_be_missing
from vae.trained import Trained
from vae.types import Key, PyTree, Terms, Trace

LOW_SAMPLE_SIZE = 10

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
    the importance samples do. What may be called `elbo` and `kl` is decided in `vae.claims`; what may not is the `score` and
    the `rate`, the others are None, and `elbo_note` says why. Where the data are not in the likelihood's space (gray pixels
    under a Bernoulli) nothing here is a likelihood: `nll` and `bits_per_dim` are None, and the same bound is called
    `cross_entropy`. Where draws of the posterior cannot be weighted (a group without a density, no group, a likelihood that is
    no density) there is none: its numbers are None and `nll_note` says why.

    Units are the dimensions of the groups of real numbers; a label or a code is none. `active_units` counts them by the
    variance of their posterior mean over examples, `active_units_by_kl` by their mean KL, which no learned prior deceives.
    Groups of codes have a `code_perplexity` each, where there are any: see `vae.evaluation.codes`.

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
    claim, unweighted = claim_of(trace, rates_of(rates), data.space), why_unweighted(trace)
    charged = bool(trace.latents) and can_be_charged(trace, rates)
    terms = elbo_terms(trained, x, elbo_key, context=context, rates=rates_of(rates) if charged else no_rate)
    means = encode(trained, x, encode_key, context=context)
    if unweighted:
        bound: dict[str, Any] = dict.fromkeys(OF_THE_BOUND) | {"nll_samples": samples, "nll_note": unweighted}
    else:
        evidence = importance_sampled_evidence(trained, x, evidence_key, samples=samples, context=context)
        in_space = is_likelihood(data.space, trace.likelihood.data_space)
        bound = evidence_summary(evidence, samples, in_space=in_space) | bits_per_dim(
            evidence, entries_scored(data, context), meaningful=in_space and data.space in DISCRETE
        )
    found = terms_summary(terms, claim, charged) | units(trace, means, terms if charged and claim.rate == "kl" else None)
    usage = code_usage(trained, x, encode_key, context=context)
    found |= {"code_perplexity": [own.perplexity for own in usage.values()]} if usage else {}
    return {"examples": len(jax.tree.leaves(x)[0]), **found, **bound}


def terms_summary(terms: Terms, claim: Claim, charged: bool) -> dict[str, Any]:
    """The bound with its two parts under the names that they may have; `charged` says whether the groups have a cost at all."""
    rate, log_likelihood = (np.asarray(value, np.float64) for value in (total_rate(terms), terms.log_likelihood))
    named: dict[str, Any] = {"elbo": None, "score": None, "kl": None, "rate": None}
    named |= {claim.total: float(np.mean(log_likelihood - rate))} | ({claim.rate: float(np.mean(rate))} if charged else {})
    divergence = charged and claim.rate == "kl"
    return {
        "log_likelihood": float(np.mean(log_likelihood)),
        **named,
        "elbo_se_images": None,
        "score_se_images": None,
        f"{claim.total}_se_images": standard_error(log_likelihood - rate),
        "elbo_note": claim.why or None,
        "kl_per_dimension": [np.mean(np.asarray(r), axis=0).reshape(-1).tolist() for r in terms.rates] if divergence else None,
    }


def units(trace: Trace, means: Sequence[Array], terms: Terms | None) -> dict[str, Any]:
    """How many of the latent dimensions are active, by the variance of their mean and by their KL; None where there are none.

    terms: whose rates are KL; by KL only where there are any, and one for each dimension of every group of real numbers.
    """
    own = unit_groups(trace)
    rates = [] if terms is None else [np.mean(np.asarray(terms.rates[group]), axis=0) for group in own]
    by_dimension = bool(rates) and all(rate.shape == means[group].shape[1:] for rate, group in zip(rates, own, strict=True))
    return {
        "active_units": int(sum(int(active_units(means[group]).sum()) for group in own)) if own else None,
        "active_units_by_kl": int(sum(int(np.sum(rate > ACTIVE_KL)) for rate in rates)) if by_dimension else None,
        "latent_dimensions": int(sum(means[group][0].size for group in own)),
        "active_threshold": ACTIVE_VARIANCE,
        "active_kl_threshold": ACTIVE_KL,
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


def bits_per_dim(evidence: Evidence, entries: float, *, meaningful: bool) -> dict[str, float | None]:
    """NLL / (D ln 2) with the D entries of an example that are scored; None where it is not meaningful.

    meaningful: whether the data are of a discrete space and the likelihood is one of them: a density has no such scale.
    """
    nll = -float(np.mean(np.asarray(evidence.log_evidence, np.float64)))
    return {"bits_per_dim": nll / (entries * math.log(2.0)) if meaningful and entries else None}


def entries_scored(data: Data, context: PyTree) -> float:
    """How many entries of x an example has, on the average over examples; those that are missing are none."""
    if not data.shape:
        return 0.0
    if not may_be_missing(context):
        return float(math.prod(data.shape))
    observed = np.asarray(context[OBSERVED], bool)
    return float(observed.reshape(len(observed), -1).sum(axis=1).mean()) * math.prod(data.shape) / observed[0].size


def can_be_charged(trace: Trace, rates: Any) -> bool:
    """Whether every group has the density that its KL needs; another rate needs none."""
    functions = rates if isinstance(rates, Sequence) else (rates,) * len(trace.latents)
    return all(latent.log_q is not None or rate not in (analytic, log_ratio) for latent, rate in zip(trace.latents, functions))


def compact(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """A report without its lists, for a screen."""
    return {name: value for name, value in numbers.items() if not isinstance(value, list)}
