"""The aggregate posterior q(z) = 1/N sum_n q(z | x_n): what it costs, what it tells, and samplers made of it."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from vae.distributions import Mixture, MultivariateNormal
from vae.distributions.base import Distribution
from vae.evaluation.arrays import finite_array, integer_array
from vae.evaluation.batches import map_examples
from vae.evaluation.rows import checked, require_key
from vae.trained import Trained
from vae.types import Key, PyTree


class AggregateTerms(NamedTuple):
    """The parts of the rate, one entry for each example, in nats; their means over examples are what has a meaning.

    rate:               log q(z | x) - log p(z); its mean estimates E_x KL(q(z | x) || p(z)).
    mutual_information: log q(z | x) - log q(z); I_q(x; z), between 0 and ln N.
    marginal_kl:        log q(z) - log p(z); KL(q(z) || p(z)), at least 0.
    """

    rate: Float[Array, "examples"]
    mutual_information: Float[Array, "examples"]
    marginal_kl: Float[Array, "examples"]


@partial(jax.jit, static_argnames=("samples", "batch_size"))
def aggregate_terms(
    posteriors: Distribution, prior: Distribution, key: Key, *, samples: int = 1, batch_size: int = 100
) -> AggregateTerms:
    """The rate as mutual information plus the divergence of the aggregate posterior from the prior.

        E_x KL(q(z | x) || p(z)) = I_q(x; z) + KL(q(z) || p(z)),    q(z) = 1/N sum_n q(z | x_n)

    z ~ q(z | x_n) for every n, and log q(z) by log-sum-exp over all N posteriors: exact for the empirical aggregate of these
    N examples, of which no minibatch estimate is made. The equation holds for every sample, not only on average. The mutual
    information is with the index n, so it cannot exceed ln N: where it comes near, more examples are needed.

    posteriors: q(z | x_n), one distribution whose leaves have a leading axis of examples (`posteriors_of`, or
                `jax.vmap(Normal)(means, log_stds)`); prior: p(z), one distribution without it.
    samples:    latent samples for each example, averaged. Costs samples N^2 evaluations of q, `batch_size` rows of N at a time.

    Raises ValueError for fewer than one sample. (Hoffman & Johnson 2016, section 2.)
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; wanted at least 1 latent sample.")
    require_key(key)
    aggregate = aggregate_posterior(posteriors)

    def one(key, posterior):
        values, log_q = jax.vmap(posterior.sample_and_log_prob)(jax.random.split(key, samples))
        log_p, log_aggregate = jax.vmap(prior.log_prob)(values), jax.vmap(aggregate.log_prob)(values)
        parts = AggregateTerms(log_q - log_p, log_q - log_aggregate, log_aggregate - log_p)
        return jax.tree.map(jnp.mean, parts)

    return map_examples(one, key, posteriors, max(1, batch_size // samples))


def aggregate_posterior(posteriors: Distribution) -> Mixture:
    """q(z) = 1/N sum_n q(z | x_n) as a distribution that can be sampled and scored.

    posteriors: one distribution whose leaves have a leading axis of examples.
    """
    examples = jax.tree.leaves(posteriors)[0].shape[0]
    return Mixture(logits=jnp.zeros(examples), components=posteriors)


@checked
@partial(jax.jit, static_argnames="batch_size")
def posteriors_of(trained: Trained, x: PyTree, key: Key, *, context: PyTree = (), batch_size: int = 500) -> Distribution:
    """q(z | x) of the first latent group for every example, one distribution with a leading axis of examples.

    A group further down depends on sampled ancestors in its prior, so that the decomposition does not hold for it alone.
    """

    def one(key, example):
        x, context = example
        return trained.infer(x, context)(key).latents[0].posterior

    return map_examples(one, key, (x, context), batch_size)


def codebook_perplexity(indices: ArrayLike, codes: int) -> float:
    """The effective number of codes in use.

        perplexity = exp(-sum_k p_k ln p_k),    p_k the share of the indices that are k

    Range 1 (one code for everything) to `codes` (all equally often). indices: integers of any shape, in 0 ... codes - 1.
    Raises ValueError for others. (van den Oord et al. 2017, as reported in their code.)
    """
    flat = integer_array("indices", np.ravel(np.asarray(indices)), "indices")
    if flat.min() < 0 or flat.max() >= codes:
        raise ValueError(f"indices run from {flat.min()} to {flat.max()}; wanted 0 ... {codes - 1} for {codes} codes.")
    shares = np.bincount(flat, minlength=codes) / flat.size
    used = shares[shares > 0]
    return float(np.exp(-np.sum(used * np.log(used))))


def fit_mixture(values: ArrayLike, components: int, *, seed: int) -> Mixture:
    """A mixture of full-covariance Gaussians fitted by EM to samples of the aggregate posterior: a sampler beside the prior.

    values: (N, D), drawn with `vae.evaluation.generate.sample_aggregate`, or posterior means of a deterministic encoder.
    components: 10 in the paper. Raises ValueError for more components than values. (Ghosh et al. 2020, section 4.)
    """
    from sklearn.mixture import GaussianMixture

    values = finite_array("values", values, "examples, dimensions")
    if not 1 <= components <= len(values):
        raise ValueError(f"components is {components} for {len(values)} values; wanted between 1 and the number of values.")
    fitted = GaussianMixture(components, max_iter=500, random_state=seed).fit(values)
    factors = np.linalg.cholesky(fitted.covariances_)
    gaussians = jax.vmap(MultivariateNormal)(jnp.asarray(fitted.means_, jnp.float32), jnp.asarray(factors, jnp.float32))
    return Mixture(logits=jnp.log(jnp.asarray(fitted.weights_, jnp.float32)), components=gaussians)
