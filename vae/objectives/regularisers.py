"""What a loss may penalise in a whole batch of latents, or in a reconstruction, beside likelihood and rates.

Each function returns a `Regulariser`; its name is the setting that weighs it and the metric that reports it. The formulas of
whole-batch quantities stand in `vae.discrepancies`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae import discrepancies
from vae.discrepancies import Kernel
from vae.distributions import Bernoulli, Mixture, SpikeAndSlab
from vae.divergences.discrete import bernoulli_bernoulli
from vae.objectives.core import ExampleView, batch_mean, mean_rates
from vae.objectives.monitors import as_vector, densities_across_batch
from vae.objectives.penalties import Regulariser
from vae.rates import Rate
from vae.requirements import require
from vae.types import Key, Network, PyTree

SMALLEST_SHARE = 1e-6


def maximum_mean_discrepancy(
    kernel: Kernel, estimate: Callable[..., Array] = discrepancies.mmd_unbiased, level: float = 1.0, name: str = "mmd"
) -> Regulariser:
    """MMD^2 between the aggregate posterior and the prior, all groups together; one prior draw per example.

    kernel:   of the squared distance: `discrepancies.gaussian_kernel`, `discrepancies.inverse_multiquadric_kernel`.
    estimate: `discrepancies.mmd_unbiased` or `discrepancies.mmd_biased`.

    InfoVAE: beta = 1 - alpha and a weight of alpha + lambda - 1 (Zhao et al. 2019). WAE-MMD: rates=no_rate and a weight
    of lambda (Tolstikhin et al. 2018, algorithm 2). Raises TypeError for latents that are not real numbers.
    """

    def each(view: ExampleView, key: Key):
        return real_vector(values_of(view)), real_vector(view.draw_prior(key))

    def penalty(params, collected, weight, key):
        return estimate(*collected, kernel, weight)

    return Regulariser(name, level, each, penalty, "MMD^2(q(z), p(z))", unit="squared distance of kernel means, no nats")


def total_correlation(
    dataset_size: int,
    weights: Callable[..., Array] = discrepancies.stratified_weights,
    level: float = 5.0,
    name: str = "total_correlation",
) -> Regulariser:
    """KL(q(z) || prod_d q(z_d)), within each group and summed over groups (beta-TC-VAE).

    dataset_size: N, the number of training examples.
    weights:      `discrepancies.stratified_weights` or `discrepancies.minibatch_weights`.

    With `elbo` the total correlation is paid once by the rate already, so a weight of beta_TC - 1 gives the paper's
    beta_TC (Chen et al. 2018, eq. 4). A group's posterior is taken at its own sampled ancestors, so that its aggregate is a
    mixture over those too. Raises TypeError for a posterior whose components are not independent.
    """

    def each(view: ExampleView, key: Key):
        for latent in view.trace.latents:
            if not hasattr(latent.posterior, "element_log_prob"):
                raise TypeError(
                    f"total_correlation got a {type(latent.posterior).__name__} posterior, wanted one with independent "
                    "components (element_log_prob): use maximum_mean_discrepancy or factorising instead."
                )
        return tuple(
            densities_across_batch(latent.posterior, latent.value, density="element_log_prob") for latent in view.trace.latents
        )

    def penalty(params, collected, weight, key):
        log_weights = weights(weight, dataset_size)
        rows = [group.swapaxes(0, 1).reshape((*group.shape[:2], -1)) for group in collected]
        return sum((discrepancies.total_correlation(group, log_weights, weight) for group in rows), jnp.zeros(()))

    return Regulariser(name, level, each, penalty, f"TC(q(z)), from the minibatch and N = {dataset_size}")


def moment_matching(
    covariance: Callable[..., Array] = discrepancies.covariance_of_means, off_diagonal: float = 10.0, diagonal: float = 100.0
) -> tuple[Regulariser, Regulariser]:
    """sum_(i != j) C_ij^2 and sum_i (C_ii - 1)^2 of the covariance of the codes (DIP-VAE), over the dimensions of all groups.

    covariance: `discrepancies.covariance_of_means` (I) or `discrepancies.covariance_of_aggregate` (II).
    off_diagonal, diagonal: the weights where the settings "off_diagonal" and "diagonal" are not given.

    Raises TypeError for a posterior without mean and variance. (Kumar et al. 2018, eqs. 6 and 7.)
    """

    def each(view: ExampleView, key: Key):
        posteriors: list[Any] = [latent.posterior for latent in view.trace.latents]
        for posterior in posteriors:
            if not (hasattr(posterior, "mean") and hasattr(posterior, "variance")):
                raise TypeError(
                    f"moment_matching got a {type(posterior).__name__} posterior, wanted one with mean and variance: "
                    "use maximum_mean_discrepancy, which needs samples only."
                )
        return real_vector([p.mean for p in posteriors]), real_vector([p.variance for p in posteriors])

    def of(part: Callable[[Array], Array]) -> Callable:
        def penalty(params, collected, weight, key):
            return part(covariance(*collected, weight))

        return penalty

    unit = "fourth power of a latent, no nats"
    return (
        Regulariser(
            "off_diagonal", off_diagonal, each, of(discrepancies.off_diagonal_square), "sum_(i!=j) Cov_ij^2", unit=unit
        ),
        Regulariser("diagonal", diagonal, each, of(discrepancies.diagonal_square), "sum_i (Cov_ii - 1)^2", unit=unit),
    )


def factorising(
    discriminator: Network,
    latent_dim: int,
    level: float = 35.0,
    name: str = "density_ratio_total_correlation",
    halves: bool = False,
) -> Regulariser:
    """The total correlation as a discriminator's log density ratio (FactorVAE): a second player tells codes z from codes whose
    dimensions were permuted across the batch, each by its own permutation.

        penalty:   mean l(z), l the discriminator's logit of "not permuted": log q(z) / prod_d q(z_d) at its best
        own loss:  1/2 mean [ softplus(- l(z)) + softplus(l(permuted z)) ]

    latent_dim: dimensions of all groups together.
    halves:     whether the discriminator gets the codes of the first half of the batch and permutes those of the second, so
                that the two are independent as in the paper, whose algorithm draws a second batch; wants two examples. By
                default it gets and permutes all: twice the examples, and their chance means cancel in its loss, since both
                kinds have the same numbers in every dimension. On two normals of correlation 0.8, whose total correlation is
                0.51, with batches of 64 that gave 0.46 after 5,000 steps and a gradient of norm 0.13, halves 0.41 and 0.22.

    (Kim & Mnih 2018, eqs. 2 and 3; algorithm 2 with `halves`.)
    """

    def each(view: ExampleView, key: Key):
        return real_vector(values_of(view))

    def other(codes, weight, key):
        return discrepancies.permute_dimensions(codes, weight, key)

    text = "log q(z)/prod_d q(z_d), by a discriminator"
    shares = halved if halves else twice
    return _density_ratio(discriminator, latent_dim, each, lambda codes: codes, other, level, name, text, shares)


def adversarial(discriminator: Network, latent_dim: int, level: float = 1.0, name: str = "density_ratio_prior") -> Regulariser:
    """KL(q(z) || p(z)) as a discriminator's log density ratio: a second player tells codes from draws of the prior.

    With rates=no_rate this is an adversarial autoencoder in its density-ratio form. (Makhzani et al. 2016; Mescheder et al.
    2017, section 3.) Losses as in `factorising`.
    """

    def each(view: ExampleView, key: Key):
        return real_vector(values_of(view)), real_vector(view.draw_prior(key))

    def other(collected, weight, key):
        return collected[1]

    text = "log q(z)/p(z), by a discriminator"
    return _density_ratio(discriminator, latent_dim, each, lambda collected: collected[0], other, level, name, text)


def twice(weight: Float[Array, "batch"]) -> tuple[Float[Array, "batch"], Float[Array, "batch"]]:
    """The weights, for either of two uses of the batch."""
    return weight, weight


def halved(weight: Float[Array, "batch"]) -> tuple[Float[Array, "batch"], Float[Array, "batch"]]:
    """The weights of the first half of the examples that have one, and of the second, zero elsewhere."""
    valid = weight > 0
    first = 2 * jnp.cumsum(valid) <= jnp.sum(valid)
    return jnp.where(first, weight, 0.0), jnp.where(first, 0.0, weight)


def _density_ratio(discriminator, latent_dim, each, codes_of, other, level, name, text, shares=twice) -> Regulariser:
    """log q(z) / r(z) by a discriminator between codes and the samples `other` of r, each of the examples by `shares`."""

    def init(key: Key) -> PyTree:
        params, state = discriminator.init(key, jax.ShapeDtypeStruct((latent_dim,), jnp.float32))
        if jax.tree.leaves(state):
            raise ValueError(f"the discriminator of {name} carries a state; wanted one without (no batch normalisation).")
        return params

    def logits(params, codes):
        outputs = jax.vmap(lambda z: discriminator.apply(params, {}, z, training=True)[0])(codes)
        return outputs.reshape(codes.shape[0])

    def penalty(params, collected, weight, key):
        codes = discrepancies.without_padding(codes_of(collected), weight)
        return batch_mean(logits(params, codes), weight)

    def own_loss(params, collected, weight, key):
        collected, (of_codes, of_others) = jax.lax.stop_gradient(collected), shares(weight)
        codes = discrepancies.without_padding(codes_of(collected), of_codes)
        others = discrepancies.without_padding(other(collected, of_others, key), of_others)
        told = batch_mean(jax.nn.softplus(-logits(params, codes)), of_codes)
        return 0.5 * (told + batch_mean(jax.nn.softplus(logits(params, others)), of_others))

    return Regulariser(name, level, each, penalty, text, init, own_loss)


def gate_sparsity(used: float = 0.2, level: float = 1.0, name: str = "sparsity") -> Regulariser:
    """sum_i KL(Bernoulli(g_i) || Bernoulli(used)), with g_i the mean gate of the prior's pseudo-inputs in dimension i.

    used:  share of the dimensions that are not 0, in (0, 1).

    It keeps the gates of a prior that is learned, and with them those of the posterior, few. A stand-alone penalty and no part
    of a bound. Raises TypeError for a prior that is no mixture of `SpikeAndSlab`. (Tonolini et al. 2020.)
    """
    require(0 < used < 1, f"used is {used}; wanted a share in (0, 1).")
    target = jnp.log(used) - jnp.log1p(-used)

    def each(view: ExampleView, key: Key):
        priors: list[Any] = [latent.prior for latent in view.trace.latents]
        for prior in priors:
            if not (isinstance(prior, Mixture) and isinstance(prior.components, SpikeAndSlab)):
                raise TypeError(
                    f"gate_sparsity got a prior of type {type(prior).__name__}; wanted a Mixture of SpikeAndSlab, as the "
                    "latents spike_and_slab_vamp have."
                )
        return real_vector([jnp.mean(jax.nn.sigmoid(prior.components.spike_logits), axis=0) for prior in priors])

    def penalty(params, collected, weight, key):
        mean = mean_rates((collected,), weight)[0]  # alike for all examples
        gates = jnp.clip(mean, SMALLEST_SHARE, 1.0 - SMALLEST_SHARE)
        logits = jnp.log(gates) - jnp.log1p(-gates)
        return jnp.sum(bernoulli_bernoulli(Bernoulli(logits), Bernoulli(jnp.full_like(logits, target))))

    return Regulariser(name, level, each, penalty, f"KL(mean gate of the prior || {used:g})")


def perceptual(features: Callable[[PyTree], PyTree], level: float = 1.0, name: str = "perceptual") -> Regulariser:
    """1/2 | features(x) - features(mean of p(x|z)) |^2, summed over the features and averaged over the batch.

    features: a function of ONE example, a trained network with its parameters closed over; what it returns is a pytree, one
              array per layer, say. With the setting "likelihood" at 0 it stands alone. (Hou et al. 2017, eq. 3.)

    It is minus the log density of unit Gaussians in feature space, without their constant. Raises TypeError for a likelihood
    without a mean.
    """

    def each(view: ExampleView, key: Key):
        likelihood = view.trace.likelihood
        if not hasattr(likelihood, "mean"):
            raise TypeError(f"perceptual got a {type(likelihood).__name__} likelihood, which has no mean; wanted one that has.")
        got, wanted = (real_vector(features(image)) for image in (likelihood.mean, view.x))
        return 0.5 * jnp.sum(jnp.square(got - wanted))

    return Regulariser(name, level, each, _mean, "1/2 |features(x) - features(E[x|z])|^2", unit="squared feature per example")


def extra_rate(rate: Rate, level: float, name: str) -> Regulariser:
    """Any rate once more, summed over groups and dimensions and averaged over the batch, with a weight of its own.

    `extra_rate(absolute(), 0.1, "l1")` makes codes sparse beside the KL.
    """

    def each(view: ExampleView, key: Key) -> Float[Array, ""]:
        keys = jax.random.split(key, max(len(view.trace.latents), 1))
        rates = [rate(latent, k) for latent, k in zip(view.trace.latents, keys, strict=False)]
        return sum((jnp.sum(r) for r in rates), jnp.zeros(()))

    return Regulariser(name, level, each, _mean, f"{name} of z")


def _mean(params: PyTree, collected: Float[Array, "batch"], weight: Float[Array, "batch"], key: Key) -> Float[Array, ""]:
    return batch_mean(collected, weight)


def values_of(view: ExampleView) -> tuple:
    """The sampled value of every group."""
    return tuple(latent.value for latent in view.trace.latents)


def real_vector(values: Any) -> Float[Array, "dim"]:
    """All values as one vector; TypeError where they are not real numbers."""
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(values)]
    if not leaves or any(not jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves):
        found = ", ".join(str(leaf.dtype) for leaf in leaves) or "no latent group"
        raise TypeError(f"a distance between codes got {found}, wanted real numbers: use a relaxed or a real-valued family.")
    return as_vector(leaves)
