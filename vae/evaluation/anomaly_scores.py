"""How anomalous a model finds each example: scores for `vae.evaluation.anomaly.detection`, higher for the more anomalous.

All are in nats per example and work with every model of the contract, as far as each says.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from vae.evaluation.batches import map_examples
from vae.evaluation.evidence import importance_sampled_evidence
from vae.evaluation.gaps import fitted_log_weights
from vae.evaluation.rows import checked
from vae.objectives import Rate, analytic, log_ratio, log_weight, terms_of
from vae.trained import Trained
from vae.types import Key, PyTree, Trace

ADAM = optax.adam(1e-3)


class ModelScores(NamedTuple):
    """Scores of a model, one entry for each example, in nats.

    negative_elbo:  -(E log p(x | z) - sum of rates): the usual stand-in for -log p(x).
    rates:          (examples, groups), what each latent group costs, ancestors first.
    reconstruction: -E_q log p(x | z), the negative "reconstruction probability". (An & Cho 2015, section 3.)
    """

    negative_elbo: Float[Array, "examples"]
    rates: Float[Array, "examples groups"]
    reconstruction: Float[Array, "examples"]


@checked
@partial(jax.jit, static_argnames=("samples", "rates", "batch_size"))
def model_scores(
    trained: Trained,
    x: PyTree,
    key: Key,
    *,
    context: PyTree = (),
    samples: int = 1,
    rates: Rate | tuple[Rate, ...] = analytic,
    batch_size: int = 500,
) -> ModelScores:
    """The negative ELBO, the rate of every latent group and the reconstruction, from `samples` latent samples each.

    rates: how a group is charged; pass `vae.objectives.log_ratio` for one without a closed form.
    Raises ValueError for fewer than one sample.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; wanted at least 1 latent sample.")

    def one(key, example):
        x, context = example
        draw = trained.infer(x, context)

        def sample(key):
            draw_key, rate_key = jax.random.split(key)
            terms = terms_of(draw(draw_key), x, rates, rate_key)
            return terms.log_likelihood, [jnp.sum(rate) for rate in terms.rates]

        log_likelihood, per_group = jax.tree.map(jnp.mean, jax.vmap(sample)(jax.random.split(key, samples)))
        groups = jnp.stack(per_group) if per_group else jnp.zeros(0)
        return ModelScores(negative_elbo=jnp.sum(groups) - log_likelihood, rates=groups, reconstruction=-log_likelihood)

    return map_examples(one, key, (x, context), max(1, batch_size // samples))


@checked
@partial(jax.jit, static_argnames=("optimiser", "steps", "samples", "score_samples", "batch_size"))
def likelihood_regret(
    trained: Trained,
    x: PyTree,
    key: Key,
    *,
    context: PyTree = (),
    optimiser: optax.GradientTransformation = ADAM,
    steps: int = 100,
    samples: int = 16,
    score_samples: int = 128,
    batch_size: int = 20,
) -> Float[Array, "examples"]:
    """How much the bound of one example gains when the posterior is fitted to it alone.

        regret(x) = max_phi ELBO(x; phi) - ELBO(x; phi_0)

    phi are the posterior's parameters, fitted by `gaps.fitted_log_weights` from the trained phi_0; both bounds are then
    averaged over the same `score_samples` fresh draws. At least 0 up to Monte Carlo error if the optimiser converges; it is the
    part of the amortisation gap that the optimiser finds, large where the encoder was not trained for such an example.

    Every example in flight holds its own copy of the posterior's parameters and of the optimiser's state: `batch_size` copies.
    The posterior has to be reparameterised and have a density (TypeError). (Xiao et al. 2020, section 4.)
    """

    def one(key, example):
        x, context = example
        start, fitted = fitted_log_weights(
            trained, x, context, key, optimiser, steps=steps, samples=samples, score_samples=score_samples
        )
        return jnp.mean(fitted - start)

    return map_examples(one, key, (x, context), batch_size)


@checked
@partial(jax.jit, static_argnames=("lowest", "samples", "batch_size"))
def hierarchical_log_likelihood_ratio(
    trained: Trained,
    x: PyTree,
    key: Key,
    *,
    lowest: int,
    context: PyTree = (),
    samples: int = 1,
    batch_size: int = 500,
) -> Float[Array, "examples"]:
    """LLR^(>k): how much the bound loses when the k groups nearest the data come from the prior instead of the posterior.

        LLR^(>k)(x) = L(x) - L^(>k)(x)
        L(x)        = E_q(z | x) log [ p(x | z) p(z) / q(z | x) ]
        L^(>k)(x)   = E_q(z_>k | x) E_p(z_<=k | z_>k) log [ p(x | z) p(z_>k) / q(z_>k | x) ]

    Both are bounds on log p(x), averaged over the same `samples` posterior draws. A large ratio says that the ancestors alone,
    which hold what is semantic, do not explain an example that the low groups reconstruct well.

    lowest: k, the number of groups at the end of the model's tuple that are drawn from the prior.
    Raises ValueError where k does not leave a group on each side; a model with one group has no such ratio.
    (Havtorn et al. 2021, section 4.)
    """

    def one(key, example):
        x, context = example
        draw = trained.infer(x, context)

        def ratio(key):
            draw_key, prior_key = jax.random.split(key)
            trace = draw(draw_key)
            return log_weight(trace, x) - _partial_log_weight(trained, x, context, trace, prior_key, lowest)

        return jnp.mean(jax.vmap(ratio)(jax.random.split(key, samples)))

    return map_examples(one, key, (x, context), batch_size)


def scores_by_name(
    trained: Trained,
    x: PyTree,
    key: Key,
    *,
    context: PyTree = (),
    samples: int = 10,
    importance_samples: int = 100,
    rates: Rate | tuple[Rate, ...] = analytic,
) -> dict[str, np.ndarray]:
    """Every score that a model has without being fitted again, by its name, (examples,) nats each.

        NLL                       importance-sampled, from `importance_samples`
        KL                        of the one group; KL 1, KL 2, ... of several, the ancestors first
        LLR>1, LLR>2, ...         of several, `hierarchical_log_likelihood_ratio` with so many lowest groups from the prior

    Of all but the NLL the mean of `samples` draws. Examples, key and errors as in those functions.
    """
    evidence_key, model_key, ratio_key = jax.random.split(key, 3)
    evidence = importance_sampled_evidence(trained, x, evidence_key, samples=importance_samples, context=context)
    groups = model_scores(trained, x, model_key, context=context, samples=samples, rates=rates).rates.T
    scores = {"NLL": -evidence.log_evidence}
    scores |= {"KL": groups[0]} if len(groups) == 1 else {f"KL {i}": rate for i, rate in enumerate(groups, 1)}
    for k in range(1, len(groups)):
        scores[f"LLR>{k}"] = hierarchical_log_likelihood_ratio(
            trained, x, ratio_key, lowest=k, context=context, samples=samples
        )
    return {name: np.asarray(score, np.float64) for name, score in scores.items()}


def _partial_log_weight(trained: Trained, x: PyTree, context: PyTree, trace: Trace, key: Key, lowest: int) -> Float[Array, ""]:
    """log p(x | z) - sum over the kept groups of log q - log p, the others drawn from the prior given the kept ones."""
    groups = len(trace.latents)
    if not 0 < lowest < groups:
        raise ValueError(
            f"lowest is {lowest} for a model of {groups} latent groups; wanted at least 1 and fewer than the groups, so that "
            "some come from the prior and some from the posterior."
        )
    kept = trace.latents[: groups - lowest]
    given = tuple(latent.value for latent in kept) + (None,) * lowest
    values = trained.prior(key, context, values=given)
    likelihood = trained.decode(values, context)
    return likelihood.log_prob(x) - sum(log_ratio(latent) for latent in kept)
