"""Which codes a model uses: how often each, and how many that comes to."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Integer

from vae.evaluation.aggregate import codebook_perplexity
from vae.evaluation.batches import map_examples
from vae.evaluation.latents import structure_of
from vae.evaluation.rows import checked
from vae.models.group import classes_of
from vae.trained import Trained
from vae.types import Key, PyTree, Trace


class CodeUsage(NamedTuple):
    """How often the codes of one latent group are used.

    counts:     (codes,) over all examples and places.
    perplexity: exp of the entropy of the relative counts, from 1 to the number of codes.
    """

    counts: Integer[np.ndarray, "codes"]
    perplexity: float


def code_usage(trained: Trained, x: PyTree, key: Key, *, context: PyTree = (), batch_size: int = 500) -> dict[int, CodeUsage]:
    """The usage of every group of codes, by the number of the group; {} for a model without one.

        perplexity = exp( - sum_k p_k ln p_k ),    p_k the share of code k over all examples, places and depths

    A group has codes where its values are whole numbers under a prior over classes. Of a posterior that draws, the codes are
    one draw for each example. (van den Oord et al. 2017, section 4; what is lost when a codebook collapses.)
    """
    groups = code_groups(structure_of(trained, x, context))
    if not groups:
        return {}
    drawn = _codes(trained, x, key, context=context, groups=tuple(groups), batch_size=batch_size)
    return {group: usage_of(np.asarray(index), groups[group]) for group, index in zip(groups, drawn, strict=True)}


def usage_of(index: np.ndarray, codes: int) -> CodeUsage:
    """The usage of codes, integers of any shape."""
    return CodeUsage(np.bincount(index.reshape(-1), minlength=codes), codebook_perplexity(index, codes))


@checked
@partial(jax.jit, static_argnames=("groups", "batch_size"))
def _codes(
    trained: Trained, x: PyTree, key: Key, *, context: PyTree, groups: tuple[int, ...], batch_size: int
) -> tuple[Array, ...]:
    def one(key, example):
        latents = trained.infer(*example)(key).latents
        return tuple(latents[group].value for group in groups)

    return map_examples(one, key, (x, context), batch_size)


def code_groups(trace: Trace) -> dict[int, int]:
    """How many codes each group has that has any, by the number of the group; shapes are enough."""
    found = {group: classes_of(latent) for group, latent in enumerate(trace.latents)}
    return {group: codes for group, codes in found.items() if codes is not None}
