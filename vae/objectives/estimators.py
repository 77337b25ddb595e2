"""Gradient estimators of bounds made of several samples.

An estimator maps (bound, draw, frozen_draw, keys) to the bound's value and its `Scored` samples with a leading axis, one per
key; `bound` maps their log weights to a number. All of them give the same value; how a gradient flows through it is what
differs. `draw` scores with the posterior's parameters, `frozen_draw` with all parameters stopped in log q: only the parameters,
since a deeper group's density still depends on the sampled value of its ancestor (stopping whole distributions biases the
gradient); and those of every player, since a posterior may read generative ones (a ladder's is built on its prior).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.objectives.core import log_weight, require_path, terms_of
from vae.rates import log_ratio
from vae.types import PRIOR_ENCODER, Key, Params, PyTree, Terms, Trace

ROWS_IN_FLIGHT = 1000
"""Rows of a batch of examples, each with several samples, that a network sees at once on a CPU."""


class Scored(NamedTuple):
    """One sample of the latent variables and its numbers.

    log_weight: log p(x, z) / q(z | x), in nats.
    log_q:      log q(z | x), summed over the groups, in nats.
    values:     the sampled groups.
    terms:      the terms of the ELBO at this sample.
    statistics: the model's statistics.
    """

    log_weight: Float[Array, "*samples"]
    log_q: Float[Array, "*samples"]
    values: tuple
    terms: Terms
    statistics: PyTree


Draw = Callable[..., Scored]
Bound = Callable[[Float[Array, "samples"]], Float[Array, ""]]
Estimator = Callable[[Bound, Draw, Draw, Array], tuple[Float[Array, ""], Scored]]


def frozen_posterior(params: Params) -> Params:
    """The parameters with those of the posterior stopped, but where a prior is made of it: see `PRIOR_ENCODER`."""
    return params | {"posterior": jax.lax.stop_gradient(params["posterior"]), PRIOR_ENCODER: params["posterior"]}


def frozen(infer: Callable[[Params], Callable[..., Trace]], params: Params) -> Callable[..., Trace]:
    """A model's draw with the parameters of p as they are and all of q stopped:

        log w = log p(x, z; theta) - log q(z | x; stop(phi), stop(theta))

    infer: parameters -> draw. The encoder is passed once more where such a draw is used, which a compiler sees to be the same.

    The draw is of given values, through which the path goes; what it draws itself would have none in log q.
    """

    def draw(key: Key, values: tuple = ()) -> Trace:
        trace = infer(frozen_posterior(params))(key, values)
        stopped = infer(jax.lax.stop_gradient(params))(key, values)
        pairs = zip(trace.latents, stopped.latents, strict=True)
        return trace._replace(latents=tuple(own._replace(log_q=other.log_q) for own, other in pairs))

    return draw


def scored(draw: Callable, x: PyTree) -> Draw:
    """A model's draw, reduced to numbers at once: what holds parameters must not be copied per sample.

    Its draws raise TypeError for a family whose samples pass no gradient back, unless told that no `path` is needed.
    """

    def score(key: Key, values: tuple = (), *, path: bool = True) -> Scored:
        trace = draw(key, values)
        if path and not values:
            require_path(trace.latents)
        return Scored(
            log_weight=log_weight(trace, x),
            log_q=sum((latent.log_q for latent in trace.latents), jnp.zeros(())),
            values=tuple(latent.value for latent in trace.latents),
            terms=terms_of(trace, x, log_ratio, key),
            statistics=trace.statistics,
        )

    return score


def reparameterised(bound: Bound, draw: Draw, frozen_draw: Draw, keys: Array) -> tuple[Float[Array, ""], Scored]:
    """The total derivative, through the sample and through the density. (Burda et al. 2016, eq. 13.)"""
    samples = keys.shape[0]
    width = samples_at_once(samples)
    drawn = jax.vmap(draw)(keys) if width == samples else jax.lax.map(draw, keys, batch_size=width)
    return bound(drawn.log_weight), drawn


def samples_at_once(samples: int) -> int:
    """How many samples of every example of the batch to draw at once: all, but on a CPU about as many as `ROWS_IN_FLIGHT` says.

    What the decoder multiplies stays in the cache then. A divisor of the samples where one is near, since what remains is
    compiled once more.
    """
    if jax.default_backend() != "cpu":
        return samples
    wanted = max(1, ROWS_IN_FLIGHT // (axis_size("batch") * axis_size("groups")))
    return divisor_near(wanted, samples)


def divisor_near(wanted: int, total: int) -> int:
    """The largest divisor of a total between half the wanted number and once and a half; the wanted number if there is none.

    At most the total.
    """
    wanted = min(wanted, total)
    near = range(min(total, wanted + wanted // 2), (wanted - 1) // 2, -1)
    return next((number for number in near if total % number == 0), wanted)


def axis_size(name: str) -> int:
    """The size of a mapped axis, 1 outside of it."""
    try:
        return jax.lax.axis_size(name)
    except NameError:
        return 1


def sticking_the_landing(bound: Bound, draw: Draw, frozen_draw: Draw, keys: Array) -> tuple[Float[Array, ""], Scored]:
    """The path through the sample alone; the score of the posterior, which has mean zero for one sample, is left out.

    Its variance vanishes where the posterior is exact. With more than one sample what is left out no longer has mean zero;
    `doubly_reparameterised` is unbiased. (Roeder et al. 2017, eq. 7.)
    """
    drawn = jax.vmap(frozen_draw)(keys, jax.vmap(draw)(keys).values)
    return bound(drawn.log_weight), drawn


def doubly_reparameterised(bound: Bound, draw: Draw, frozen_draw: Draw, keys: Array) -> tuple[Float[Array, ""], Scored]:
    """The score of the posterior, reparameterised once more. With c_k = d bound / d log w_k the gradient through q is

        sum_k [ c_k - d c_k / d log w_k ] (d log w_k / d z_k) (d z_k / d phi)

    which is unbiased for every bound; for IWAE c_k = softmax(log w)_k and the bracket is c_k^2 (Tucker et al. 2019, eq. 8), so
    that the signal-to-noise ratio does not fall with the number of samples. phi are all parameters that q reads; those of p get
    the usual gradient in p. The second derivatives take K^2 numbers per example.
    """
    first = jax.vmap(draw)(keys)
    factors = path_factors(bound, jax.lax.stop_gradient(first.log_weight))
    drawn = jax.vmap(frozen_draw)(keys, jax.vmap(scale_gradient)(first.values, factors))
    return bound(drawn.log_weight), drawn


def path_factors(bound: Bound, log_weights: Float[Array, "samples"]) -> Float[Array, "samples"]:
    """1 - (d c_k / d log w_k) / c_k: by what the path through sample k is to be multiplied, c_k = d bound / d log w_k.

    Zero where c_k is: what carries no weight has no gradient to scale.
    """
    slopes = jax.grad(bound)(log_weights)
    bends = jnp.diagonal(jax.jacfwd(jax.grad(bound))(log_weights))
    carried = slopes != 0
    return jnp.where(carried, 1.0 - bends / jnp.where(carried, slopes, 1.0), 0.0)


def score_function(bound: Bound, draw: Draw, frozen_draw: Draw, keys: Array) -> tuple[Float[Array, ""], Scored]:
    """No path through the sample: the score times a learning signal of each sample's own (VIMCO), for discrete latents too.

        sum_k [ bound - bound_(-k) ] d log q(z_k) / d phi  +  d bound / d phi at the samples held fixed

    bound_(-k) is the bound with log w_k replaced by the mean of the others, which does not depend on z_k: the gradient stays
    unbiased and loses most of its variance. (Mnih & Rezende 2016.)

    Raises ValueError for a single sample, which leaves no other to take the baseline from.
    """
    samples = keys.shape[0]
    if samples < 2:
        raise ValueError("score_function got 1 sample; wanted at least 2, since the baseline of each is made of the others.")
    values = jax.lax.stop_gradient(jax.vmap(lambda key: draw(key, path=False))(keys).values)
    drawn = jax.vmap(draw)(keys, values)
    value = bound(drawn.log_weight)
    signal = jax.lax.stop_gradient(value - leave_one_out(bound, drawn.log_weight))
    score = drawn.log_q - jax.lax.stop_gradient(drawn.log_q)
    return value + jnp.sum(signal * score), drawn


def leave_one_out(bound: Bound, log_weights: Float[Array, "samples"]) -> Float[Array, "samples"]:
    """The bound with each log weight in turn replaced by the mean of the others."""
    samples = log_weights.shape[0]
    own, rows = jnp.eye(samples, dtype=bool), jnp.broadcast_to(log_weights, (samples, samples))
    others = jnp.sum(jnp.where(own, 0.0, rows), axis=1) / (samples - 1)
    return jax.vmap(bound)(jnp.where(own, others[:, None], rows))


@jax.custom_vjp
def scale_gradient(values: PyTree, scale: Float[Array, ""]) -> PyTree:
    """The values unchanged; their gradient times `scale`."""
    return values


def _scale_forward(values, scale):
    return values, scale


def _scale_backward(scale, cotangents):
    scaled = jax.tree.map(lambda g: g * scale if jnp.issubdtype(g.dtype, jnp.floating) else g, cotangents)
    return scaled, jnp.zeros_like(scale)


scale_gradient.defvjp(_scale_forward, _scale_backward)
