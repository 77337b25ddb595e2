"""What a model draws: reconstructions, samples, traversals and interpolations, as arrays for `vae.visualise`.

Images are the means of the decoded distributions. Every function takes its examples with a leading axis.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae.evaluation.latents import encode
from vae.types import Key, PyTree, Trained


@jax.jit
def decode_means(trained: Trained, values: tuple, context: PyTree = ()) -> Array:
    """E[x | z] for every row of the latent values, a tuple with one array per group."""
    return jax.vmap(lambda v, c: _mean(trained.decode(v, c)))(values, context)


@partial(jax.jit, static_argnames="number")
def sample_prior(trained: Trained, key: Key, number: int, temperature=1.0, context: PyTree = ()) -> tuple:
    """`number` ancestral samples of the latent variables from the prior, one array per group."""
    return jax.vmap(lambda k: trained.prior(k, context, temperature=temperature))(jax.random.split(key, number))


@partial(jax.jit, static_argnames="number")
def sample_aggregate(trained: Trained, x: PyTree, key: Key, number: int) -> tuple:
    """`number` samples of q(z) = mean over x of q(z | x): the posterior's sample at examples drawn with replacement."""
    pick_key, draw_key = jax.random.split(key)
    size = jax.tree.leaves(x)[0].shape[0]
    chosen = jax.tree.map(lambda a: a[jax.random.randint(pick_key, (number,), 0, size)], x)

    def one(key, x):
        return tuple(latent.value for latent in trained.infer(x)(key).latents)

    return jax.vmap(one)(jax.random.split(draw_key, number), chosen)


def reconstruct(trained: Trained, x: PyTree, key: Key) -> Array:
    """E[x | z] at the posterior mean of each example."""
    return decode_means(trained, encode(trained, x, key))


def traverse(
    trained: Trained,
    mean: Float[Array, "latent"],
    dimensions: Array | np.ndarray,
    values: Float[Array, "steps"],
) -> Array:
    """(dimensions, steps, ...) images: from one example's code, each dimension in turn set to each value; one latent group."""
    codes = jnp.tile(mean, (len(dimensions), len(values), 1))
    rows = jnp.arange(len(dimensions))[:, None]
    codes = codes.at[rows, jnp.arange(len(values))[None, :], jnp.asarray(dimensions)[:, None]].set(values[None, :])
    images = decode_means(trained, (codes.reshape(-1, mean.shape[-1]),))
    return images.reshape(len(dimensions), len(values), *images.shape[1:])


def interpolate(
    trained: Trained,
    start: Float[Array, "pairs latent"],
    end: Float[Array, "pairs latent"],
    steps: int,
) -> Array:
    """(pairs, steps, ...) images along the straight line between the codes of each pair; one latent group."""
    alphas = jnp.linspace(0.0, 1.0, steps)[None, :, None]
    codes = (1.0 - alphas) * start[:, None] + alphas * end[:, None]
    images = decode_means(trained, (codes.reshape(-1, start.shape[-1]),))
    return images.reshape(len(start), steps, *images.shape[1:])


def _mean(likelihood: Any) -> Array:
    """E[x | z], of a family that has it in closed form."""
    return likelihood.mean
