"""Quantities of a whole batch of latent variables: maximum mean discrepancy, total correlation, moments of the aggregate
posterior q(z) = mean_i q(z | x_i).

Arrays in, numbers out; every function takes the weights of the examples, and one of weight zero takes no part. The regularisers
in `vae.objectives.regularisers` charge for them, the evaluation reports them.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vae.requirements import require

Kernel = Callable[[Array], Array]
"""A positive definite kernel of the squared distance."""

ACTIVE_VARIANCE = 0.01
"""Var_x E_q[z | x] above which a dimension counts as active. (Burda et al. 2016, section 5.)"""

ACTIVE_KL = 0.01
"""Mean KL of a dimension, in nats, above which it counts as active."""


# Maximum mean discrepancy


def gaussian_kernel(bandwidth: float) -> Kernel:
    """k(d^2) = exp(- d^2 / (2 bandwidth^2)), the radial basis function."""
    require(bandwidth > 0, f"gaussian_kernel got a bandwidth of {bandwidth}; wanted a positive number.")
    return lambda square: jnp.exp(-0.5 * square / bandwidth**2)


def inverse_multiquadric_kernel(scales: Sequence[float]) -> Kernel:
    """k(d^2) = sum_c c / (c + d^2), whose tails are heavier than a Gaussian's: far codes still feel a pull.

    scales: the c; Tolstikhin et al. 2018 (section 4) take 2 dim std^2 times 0.1, 0.2, 0.5, 1, 2, 5, 10.
    """
    require(len(scales) > 0 and min(scales) > 0, f"inverse_multiquadric_kernel got the scales {scales}; wanted positive ones.")
    return lambda square: jnp.sum(jnp.stack([scale / (scale + square) for scale in scales]), axis=0)


def squared_distances(x: Float[Array, "n dim"], y: Float[Array, "m dim"]) -> Float[Array, "n m"]:
    """|x_i - y_j|^2, from differences: the expanded square would lose the digits of near pairs."""
    return jnp.sum(jnp.square(x[:, None, :] - y[None, :, :]), axis=-1)


def mmd_biased(
    x: Float[Array, "n dim"], y: Float[Array, "n dim"], kernel: Kernel, weight: Float[Array, "n"]
) -> Float[Array, ""]:
    """The squared maximum mean discrepancy of the two empirical distributions, never negative:

        sum_ij p_i p_j [ k(x_i, x_j) + k(y_i, y_j) - 2 k(x_i, y_j) ],   p = weight / sum(weight)

    Its mean exceeds the populations' value by about E[k(0) - k(x, x')] / n + the same of y. (Gretton et al. 2012, eq. 5.)
    """
    share, within_x, within_y, across = _kernel_sums(x, y, kernel, weight)
    return share @ (within_x + within_y - 2.0 * across) @ share


def mmd_unbiased(
    x: Float[Array, "n dim"], y: Float[Array, "n dim"], kernel: Kernel, weight: Float[Array, "n"]
) -> Float[Array, ""]:
    """The same without the pairs of a draw with itself; its mean is the populations' value, and it may be negative:

        sum_(i != j) p_i p_j [ k(x_i, x_j) + k(y_i, y_j) ] / (1 - sum_i p_i^2) - 2 sum_ij p_i p_j k(x_i, y_j)

    With equal weights the first denominator makes 1 / (n (n - 1)). Wants two examples of positive weight at least.
    (Gretton et al. 2012, eq. 3.)
    """
    share, within_x, within_y, across = _kernel_sums(x, y, kernel, weight)
    within = within_x + within_y
    pairs = share @ jnp.where(jnp.eye(share.shape[0], dtype=bool), 0.0, within) @ share
    return pairs / (1.0 - jnp.sum(jnp.square(share))) - 2.0 * share @ across @ share


def _kernel_sums(x, y, kernel, weight):
    x, y = without_padding(x, weight), without_padding(y, weight)
    return weight / jnp.sum(weight), *(kernel(squared_distances(a, b)) for a, b in ((x, x), (y, y), (x, y)))


def without_padding(rows: Array, weight: Float[Array, "n"]) -> Array:
    """The rows, with those of weight zero set to zero: whatever they hold, it must not meet an infinity or a gradient."""
    return jnp.where(weight.reshape(weight.shape + (1,) * (rows.ndim - 1)) > 0, rows, 0.0)


# Total correlation


def minibatch_weights(weight: Float[Array, "n"], dataset_size: int) -> Float[Array, "n n"]:
    """Log weights by which row i estimates log q(z_i) from a minibatch of n: 1 / (N n) for every entry (minibatch-weighted).

    N is the size of the data set, n the number of examples of positive weight; each row sums to 1 / N. The estimate is biased.
    (Chen et al. 2018, section 3.1.)
    """
    valid = weight > 0
    _require_dataset(dataset_size)
    entry = -jnp.log(dataset_size * jnp.sum(valid))
    return jnp.where(jnp.broadcast_to(valid, (len(valid),) * 2), entry, -jnp.inf)


def stratified_weights(weight: Float[Array, "n"], dataset_size: int) -> Float[Array, "n n"]:
    """Log weights by which row i estimates q(z_i) without bias (minibatch-stratified). With M = n - 1 other examples:

        1 / N for the example itself,   (N - M) / (N M) for the next one,   1 / M for all others

    so that each row sums to 1. "The next one" is the next of positive weight, the first after the last.
    (Chen et al. 2018, appendix C.2.) Wants two examples at least, and a data set no smaller than the batch.
    """
    valid = weight > 0
    _require_dataset(dataset_size, len(valid))
    others = jnp.sum(valid) - 1.0
    rank = jnp.cumsum(valid) - 1
    following = rank[None, :] == jnp.mod(rank + 1, jnp.sum(valid))[:, None]
    last = jnp.maximum((dataset_size - others) / (dataset_size * others), 0.0)
    rows = jnp.where(following, jnp.log(last), -jnp.log(others))
    rows = jnp.where(jnp.eye(len(valid), dtype=bool), -jnp.log(float(dataset_size)), rows)
    return jnp.where(jnp.broadcast_to(valid, rows.shape), rows, -jnp.inf)


def _require_dataset(size: int, batch: int = 1) -> None:
    if size < batch:
        raise ValueError(f"dataset_size is {size}; wanted the number of training examples, at least the batch's {batch}.")


def log_aggregate(
    log_densities: Float[Array, "n n *dim"], log_weights: Float[Array, "n n"], valid: Bool[Array, "n"]
) -> Float[Array, "n *dim"]:
    """log sum_j W_ij q(z_i | x_j), per row and trailing dimension; 0 for rows that take no part.

    log_densities: log q(z_i | x_j), row i the value, column j the posterior.
    """
    used = jnp.isfinite(log_weights) & valid[:, None]
    trailing = (1,) * (log_densities.ndim - 2)
    mask = used.reshape(used.shape + trailing)
    terms = jnp.where(mask, log_densities, 0.0) + jnp.where(used, log_weights, 0.0).reshape(mask.shape)
    total = jax.nn.logsumexp(terms, axis=1, where=jnp.broadcast_to(mask, terms.shape) | ~valid.reshape((-1, 1, *trailing)))
    return jnp.where(valid.reshape((-1, *trailing)), total, 0.0)


def total_correlation(
    log_densities: Float[Array, "n n dim"], log_weights: Float[Array, "n n"], weight: Float[Array, "n"]
) -> Float[Array, ""]:
    """KL(q(z) || prod_d q(z_d)) = E[ log q(z) - sum_d log q(z_d) ] in nats, estimated at the samples z_i.

    log_densities: log q(z_i,d | x_j), row i the value, column j the posterior.
    log_weights:   of the estimate of q(z), `minibatch_weights` or `stratified_weights`.
    (Chen et al. 2018, eq. 2.)
    """
    valid = weight > 0
    joint = log_aggregate(jnp.sum(log_densities, axis=-1), log_weights, valid)
    marginals = jnp.sum(log_aggregate(log_densities, log_weights, valid), axis=-1)
    return jnp.sum(weight * (joint - marginals)) / jnp.sum(weight)


def mutual_information(log_densities: Float[Array, "n m"], rows: Array, weight: Float[Array, "m"]) -> Float[Array, ""]:
    """I(x; z) = E[ log q(z | x) - log q(z) ] in nats under q(z | x) and the batch, at most the log of the batch's size.

        mean_i [ log q(z_i | x_i) - log sum_j p_j q(z_i | x_j) ],   p = weight / sum(weight)

    log_densities: log q(z_i | x_j) for the values of the examples `rows`, against all posteriors of the batch.
    (Hoffman & Johnson 2016, with the data set replaced by the batch.)
    """
    share = weight / jnp.sum(weight)
    safe = jnp.where((weight > 0)[None, :], log_densities, 0.0)
    own = jnp.take_along_axis(safe, rows[:, None], axis=1)[:, 0]
    mixture = jax.nn.logsumexp(safe, axis=1, b=jnp.broadcast_to(share, safe.shape))
    row_weight = weight[rows]
    return jnp.sum(jnp.where(row_weight > 0, row_weight * (own - mixture), 0.0)) / jnp.sum(row_weight)


# Moments of the aggregate posterior


def covariance_of_means(
    means: Float[Array, "n dim"], variances: Float[Array, "n dim"], weight: Float[Array, "n"]
) -> Float[Array, "dim dim"]:
    """Cov_x( E_q[z | x] ), centred over the examples and divided by their number. (Kumar et al. 2018, eq. 6, DIP-VAE-I.)"""
    share, means = weight / jnp.sum(weight), without_padding(means, weight)
    centred = without_padding(means - (share @ means)[None, :], weight)
    return jnp.matmul(centred.T * share[None, :], centred, precision="highest")


def covariance_of_aggregate(
    means: Float[Array, "n dim"], variances: Float[Array, "n dim"], weight: Float[Array, "n"]
) -> Float[Array, "dim dim"]:
    """Cov_q(z)[z] = Cov_x( E_q[z | x] ) + E_x Cov_q[z | x], for posteriors with independent components. (DIP-VAE-II.)"""
    spread = (weight / jnp.sum(weight)) @ without_padding(variances, weight)
    return covariance_of_means(means, variances, weight) + jnp.diag(spread)


def off_diagonal_square(covariance: Float[Array, "dim dim"]) -> Float[Array, ""]:
    """sum_(i != j) C_ij^2."""
    return jnp.sum(jnp.square(covariance - jnp.diag(jnp.diagonal(covariance))))


def diagonal_square(covariance: Float[Array, "dim dim"]) -> Float[Array, ""]:
    """sum_i (C_ii - 1)^2."""
    return jnp.sum(jnp.square(jnp.diagonal(covariance) - 1.0))


# Permutation


def permute_dimensions(z: Float[Array, "n dim"], weight: Float[Array, "n"], key: Array) -> Float[Array, "n dim"]:
    """Each dimension permuted across the examples by a permutation of its own: samples of prod_d q(z_d) from those of q(z).

    Only examples of positive weight change places. (Kim & Mnih 2018, algorithm 1.)
    """
    valid = weight > 0
    places = jnp.argsort(~valid)

    def one(column, key):
        order = jnp.argsort(jnp.where(valid, jax.random.uniform(key, valid.shape), 2.0))
        return jnp.zeros_like(column).at[places].set(column[order])

    return jax.vmap(one, in_axes=(1, 0), out_axes=1)(z, jax.random.split(key, z.shape[1]))
