"""What a model says of a class that is one of its latent groups."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vae.evaluation.batches import map_examples
from vae.evaluation.examples import Examples
from vae.evaluation.rows import checked
from vae.trained import Trained
from vae.types import Key, PyTree


@checked
@partial(jax.jit, static_argnames=("group", "batch_size"))
def most_probable(
    trained: Trained, x: PyTree, key: Key, *, context: PyTree = (), group: int = 0, batch_size: int = 500
) -> Array:
    """argmax_y q(y | x) of every example, of a latent group of classes; one further down at a sampled ancestor.

    Raises ValueError where there is no such group, TypeError where it is not of classes.
    """

    def one(key, example):
        latents = trained.infer(*example)(key).latents
        if group >= len(latents):
            raise ValueError(f"the model has {len(latents)} latent groups; wanted group {group} to be one of them.")
        posterior: Any = latents[group].posterior
        if posterior.data_space != "tokens":
            raise TypeError(
                f"group {group} has the posterior {type(posterior).__name__}, which is not of classes; give the group of the "
                "label."
            )
        return jnp.asarray(posterior.mode)

    return map_examples(one, key, (x, context), batch_size)


def accuracy(trained: Trained, examples: Examples, group: int = 0) -> float:
    """The share of examples whose most probable class is their label: a score for `vae.compare`, a metric for a report.

    Raises ValueError for examples without labels.
    """
    if examples.labels is None:
        raise ValueError("accuracy got examples without labels; wanted data whose test split has them.")
    found: Any = most_probable(trained, examples.x, jax.random.key(0), context=examples.context, group=group)
    return float(np.mean(np.asarray(found) == np.asarray(examples.labels)))
