"""KL rows between discrete and sparse distributions. Each is KL(q || p) in nats, unsummed where it factorises."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.autoregressive import Autoregressive
from vae.distributions.bernoulli import Bernoulli
from vae.distributions.categorical import Categorical
from vae.distributions.point_mass import PointMass
from vae.distributions.relaxed_categorical import StraightThroughCategorical
from vae.distributions.spike_and_slab import SpikeAndSlab
from vae.divergences.gaussian import normal_normal
from vae.requirements import require_same_shape
from vae.special.elementary import expm1_minus, sigmoid


def bernoulli_bernoulli(q: Bernoulli, p: Bernoulli) -> Float[Array, "*event"]:
    """Per component, with g = sigmoid(l_q) and a = sigmoid(l_p): g ln(g / a) + (1 - g) ln((1 - g) / (1 - a)).

    The categorical of two classes with logits (l, 0). (Cover & Thomas 2006, section 2.3.)
    """
    return _kl_of_gates(q.logits, p.logits)


def categorical_categorical(q: Categorical, p: Categorical) -> Float[Array, "*event"]:
    """Per component: sum_k q_k ln(q_k / p_k). (Cover & Thomas 2006, section 2.3.) Raises ValueError where the shapes differ."""
    require_same_shape("KL", q=q.logits, p=p.logits)
    return categorical_kl(q.logits, p.logits)


def point_mass_categorical(q: PointMass, p: Categorical) -> Float[Array, "*event"]:
    """Per component: -ln p_k at the class k where q has all its mass; ln K for K equally likely codes.

    (van den Oord et al. 2017, section 3.1.)
    """
    return -p.element_log_prob(q.value)


def point_mass_autoregressive(q: PointMass, p: Autoregressive) -> Float[Array, "*event"]:
    """Per component: -ln p(k_i | k_1 ... k_(i-1)) at the classes where q has all its mass.

    (van den Oord et al. 2017, section 3.3.)
    """
    return -p.element_log_prob(q.value)


def straight_through_straight_through(q: StraightThroughCategorical, p: StraightThroughCategorical) -> Float[Array, "*event"]:
    """That of the categoricals they are; the temperatures only shape the gradient of the sampler. (Jang et al. 2017.)"""
    require_same_shape("KL", q=q.logits, p=p.logits)
    return categorical_kl(q.logits, p.logits)


def spike_and_slab_spike_and_slab(q: SpikeAndSlab, p: SpikeAndSlab) -> Float[Array, "*event"]:
    """Per component, with g and a the probabilities of the slabs (Tonolini et al. 2020, equation 8).

    g [ KL(slab_q || slab_p) + ln(g / a) ] + (1 - g) ln((1 - g) / (1 - a))
    """
    return sigmoid(q.spike_logits) * normal_normal(q.slab, p.slab) + _kl_of_gates(q.spike_logits, p.spike_logits)


def _kl_of_gates(q_logits: Float[Array, "*event"], p_logits: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """KL between Bernoulli variables, as categoricals of two classes."""

    require_same_shape("KL", q=q_logits, p=p_logits)

    def two_classes(logits):
        return jnp.stack([logits, jnp.zeros_like(logits)], axis=-1)

    return categorical_kl(two_classes(q_logits), two_classes(p_logits))


@jax.custom_jvp
def categorical_kl(
    q_logits: Float[Array, "*event classes"], p_logits: Float[Array, "*event classes"]
) -> Float[Array, "*event"]:
    """KL between categoricals along the last axis, as a sum of terms that are all >= 0: with t_k = ln(p_k / q_k),

        sum_k q_k (e^t_k - 1 - t_k)   =   sum_k q_k ln(q_k / p_k),   since sum_k q_k e^t_k = sum_k q_k = 1

    The usual sum has terms of both signs that cancel to the second order in t near q = p, where nothing is left of it.
    """
    q, p, t, *_ = _compare(q_logits, p_logits)
    return jnp.sum(jnp.where(jnp.abs(t) < 1.0, q * expm1_minus(jnp.clip(t, -1.0, 1.0)), p - q - q * t), axis=-1)


@categorical_kl.defjvp
def _categorical_kl_jvp(primals, tangents):
    """d/d q_logits_k = - q_k (t_k + KL), d/d p_logits_k = p_k - q_k.

    Each sums to zero over the classes. The entry of the largest q is set from the others by that: its own formula would be the
    difference of numbers near one.
    """
    compared = _compare(*primals)
    q, p, t = compared.q, compared.p, compared.log_ratio
    kl = categorical_kl(*primals)

    def balanced(gradient):
        others = jnp.where(compared.largest, 0.0, gradient)
        return jnp.where(compared.largest, -jnp.sum(others, axis=-1, keepdims=True), others)

    d_q = balanced(-q * (t + kl[..., None]))
    d_p = balanced(jnp.where(compared.near & (jnp.abs(t) < 1.0), q * jnp.expm1(jnp.clip(t, -1.0, 1.0)), p - q))
    return kl, jnp.sum(d_q * tangents[0] + d_p * tangents[1], axis=-1)


class _Compared(NamedTuple):
    """Two categoricals along the last axis: their probabilities, ln(p / q), where q is largest, whether p is near q."""

    q: Array
    p: Array
    log_ratio: Array
    largest: Array
    near: Array


def _compare(q_logits: Array, p_logits: Array) -> _Compared:
    """ln(p_k / q_k) = d_k - ln sum_j q_j e^d_j with d the difference of logits, both relative to the class where q is largest.

    d is formed in the order of subtractions that rounds less: exactly where the logits are close, however large they are, and
    exactly where they differ by a common shift. The logarithm keeps its digits as ln(1 + sum_j q_j (e^d_j - 1)) where the sum
    is small, whatever becomes of classes without weight; elsewhere it is a difference of two normalisers.
    """
    index = jnp.argmax(q_logits, axis=-1, keepdims=True)
    q_largest, p_there = (jnp.take_along_axis(logits, index, axis=-1) for logits in (q_logits, p_logits))
    q_own, p_own, between, shift = q_logits - q_largest, p_logits - p_there, p_logits - q_logits, p_there - q_largest
    closer = jnp.abs(between) + jnp.abs(shift) < jnp.abs(q_own) + jnp.abs(p_own)
    difference = jnp.where(closer, between - shift, p_own - q_own)
    q = jax.nn.softmax(q_own)
    surplus = jnp.sum(q * jnp.expm1(jnp.minimum(difference, 30.0)), axis=-1, keepdims=True)
    near = (jnp.abs(surplus) < 0.5) & (jnp.max(difference, axis=-1, keepdims=True) < 30.0)
    far = jax.nn.logsumexp(p_own, axis=-1, keepdims=True) - jax.nn.logsumexp(q_own, axis=-1, keepdims=True)
    normaliser = jnp.where(near, jnp.log1p(jnp.where(near, surplus, 0.0)), far)
    largest = jax.lax.broadcasted_iota(index.dtype, q_logits.shape, q_logits.ndim - 1) == index
    return _Compared(q, jax.nn.softmax(p_own), difference - normaliser, largest, near)
