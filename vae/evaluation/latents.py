"""The state of the latent variables: posterior means, and which units carry information."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vae.discrepancies import ACTIVE_VARIANCE
from vae.evaluation.batches import map_examples
from vae.evaluation.rows import checked
from vae.types import Key, PyTree, Trained


@checked
@partial(jax.jit, static_argnames="batch_size")
def encode(trained: Trained, x: PyTree, key: Key, *, context: PyTree = (), batch_size: int = 500):
    """Posterior means E_q[z | x], a tuple with one (examples, ...) array per group; deeper groups at a sampled ancestor.

    A family without a closed-form mean is represented by its sample.
    """

    def one(key, example):
        x, context = example
        latents = trained.infer(x, context)(key).latents
        return tuple(getattr(latent.posterior, "mean", latent.value) for latent in latents)

    return map_examples(one, key, (x, context), batch_size)


def active_units(
    means: Float[Array | np.ndarray, "examples *latent"], threshold: float = ACTIVE_VARIANCE
) -> Bool[Array, "*latent"]:
    """Whether Var_x E_q[z | x] exceeds the threshold, per dimension. (Burda et al. 2016, section 5.)"""
    return jnp.var(means, axis=0) > threshold
