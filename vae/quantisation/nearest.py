"""The nearest of many vectors."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int32


def nearest_code(vectors: Float[Array, "places dim"], codebook: Float[Array, "codes dim"]) -> Int32[Array, "places"]:
    """Which code is nearest to each vector, the first of several alike:

        argmin_k | v - e_k |^2 = argmax_k [ v.e_k - | e_k |^2 / 2 ]

    by one matrix product: under a vmap over examples the codebook is one operand of one larger product, never a copy for each.
    Both are taken relative to the mean code before, so that a common offset costs no digits; always in float32, at full
    precision on devices that would round the factors.
    """
    centre = jnp.mean(codebook.astype(jnp.float32), axis=0)
    own, codes = vectors.astype(jnp.float32) - centre[None], codebook.astype(jnp.float32) - centre[None]
    products = jnp.matmul(own, codes.T, precision="highest")
    half_norms = 0.5 * jnp.sum(jnp.square(codes), axis=1)
    return jnp.argmax(products - half_norms[None], axis=1).astype(jnp.int32)
