"""Classes that are drawn from logits, relaxed while training: Gumbel-softmax."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from vae.distributions.categorical import Categorical
from vae.distributions.relaxed_categorical import RelaxedCategorical
from vae.quantisation.base import Assigned, Quantiser, as_vectors, looked_up, unchanged
from vae.quantisation.vector import require_sizes
from vae.settings import Settings
from vae.types import Key


def gumbel_softmax(codes: int, dim: int, temperature: float = 1.0) -> Quantiser:
    """One of K classes drawn from the encoder's logits, by a vector of its own for the decoder; mixed in training:

        training:  y = softmax((l + g) / T),  g_k ~ Gumbel,   the decoder sees sum_k y_k e_k
        otherwise: k ~ Categorical(l),                        the decoder sees e_k

    (Jang et al. 2017, section 2.1; as a code for images Ramesh et al. 2021, section 2.1.)

    codes:       K, the logits at each place.
    dim:         of the vectors.
    temperature: T where the run has no setting "temperature", which a schedule may let fall: the codes go from soft to hard.

    What training charges is the KL of the classes to the prior, `vae.rates.chain_rule`; of mixed codes it gives no bound, which
    `vae.claims` says. Whatever is evaluated has hard codes and is one.
    """
    require_sizes("gumbel_softmax", codes, dim)

    def init(key: Key) -> tuple[PyTree, PyTree]:
        return {"codebook": jax.random.normal(key, (codes, dim)) / jnp.sqrt(dim)}, ()

    def assign(params: PyTree, state: PyTree, vectors: Array, settings: Settings) -> Assigned:
        logits = as_vectors(vectors)[:, None, :]
        if not settings.training:
            return Assigned(Categorical(logits), lambda value: lookup(params, state, value))

        def seen(value: Array) -> Array:
            soft = jnp.issubdtype(value.dtype, jnp.floating)
            return jnp.matmul(value[:, 0], params["codebook"]) if soft else lookup(params, state, value)

        return Assigned(RelaxedCategorical(logits, settings.get("temperature", temperature)), seen)

    def lookup(params: PyTree, state: PyTree, index: Array) -> Float[Array, "places dim"]:
        return looked_up(params["codebook"], index[:, 0])

    return Quantiser(codes, dim, 1, codes, init, assign, lookup, unchanged)
