"""The state of the latent variables: posterior means, and which units carry information."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vae.discrepancies import ACTIVE_VARIANCE
from vae.distributions.base import is_continuous
from vae.evaluation.batches import map_examples
from vae.evaluation.examples import Examples
from vae.evaluation.rows import checked
from vae.trained import Trained
from vae.types import Key, PyTree, Trace


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


def of_means(metric: Callable[[np.ndarray, Any], Any]) -> Callable[[Trained, Examples], Any]:
    """metric(codes, labels) as a score of a trained model on examples, where the codes are its posterior means.

    >>> scores = {"mig": of_means(vae.evaluation.disentanglement.mig)}

    Raises ValueError for a model that has another number of latent groups than one.
    """

    def score(trained: Trained, examples: Examples) -> Any:
        groups = encode(trained, examples.x, jax.random.key(0), context=examples.context)
        if len(groups) != 1:
            raise ValueError(f"the model has {len(groups)} latent groups; wanted one, whose means are the codes.")
        return metric(np.asarray(groups[0]), examples.labels)

    return score


def active_units(
    means: Float[Array | np.ndarray, "examples *latent"], threshold: float = ACTIVE_VARIANCE
) -> Bool[Array, "*latent"]:
    """Whether Var_x E_q[z | x] exceeds the threshold, per dimension. (Burda et al. 2016, section 5.)"""
    return jnp.var(means, axis=0) > threshold


def structure_of(trained: Trained, x: PyTree, context: PyTree) -> Trace:
    """What one pass through the model gives of one example, without its numbers: found without computing anything."""
    first = jax.tree.map(lambda leaf: leaf[0], (x, context))
    return jax.eval_shape(lambda trained, example: trained.infer(*example)(jax.random.key(0)), trained, first)


def unit_groups(trace: Trace) -> list[int]:
    """The groups whose dimensions are units: those of real numbers, not classes and codes."""
    return [group for group, latent in enumerate(trace.latents) if is_continuous(latent.posterior)]
