"""Figures of walks through the latent space: one dimension at a time, and from one test image to another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from vae import visualise
from vae.evaluation import generate
from vae.evaluation.examples import Examples
from vae.reports.pictures import picture, some_rows
from vae.trained import Trained
from vae.types import Key, PyTree

if TYPE_CHECKING:
    import matplotlib.figure

SHOWN_DIMENSIONS, STEPS, FURTHEST = 12, 9, 2.5
IN_ITS_CONTEXT = "Decoded on the way from the latent code of one test image, A, to that of another, B, all in the context of A."


def traversals(
    trained: Trained, context: PyTree, codes: tuple, group: int, kl: np.ndarray | None, key: Key
) -> "matplotlib.figure.Figure":
    """The dimensions with the most KL, moved between -2.5 and 2.5 around the code of the first example, in its context.

    kl: of each dimension of the group; None where it does not split into dimensions, and those are shown whose codes vary most.
    """
    own = np.asarray(codes[group])
    order = np.argsort(-(own.var(axis=0) if kl is None else kl))[:SHOWN_DIMENSIONS]
    values = np.linspace(-FURTHEST, FURTHEST, STEPS, dtype=np.float32)
    first, held = some_rows((codes, context), 0)
    images = generate.traverse(trained, first, order, jnp.asarray(values), key, group=group, context=held)
    return visualise.latent_traversals(
        picture(images, trained),
        values,
        None if kl is None else kl[order],
        [int(i) for i in order],
        f"Latent traversals{f', group {group}' if len(codes) > 1 else ''}: decoder means",
        f"{what_moves(group, len(codes))} {which_are_shown(len(order), own.shape[1], by_kl=kl is not None)}",
    )


def what_moves(group: int, groups: int) -> str:
    """What a row of traversals holds fixed, in words."""
    still = "In each row one latent dimension moves and the others" + (" of its group" if groups > 1 else "")
    still = f"{still} stay at the code of the first test image"
    if group == groups - 1:
        return f"{still}."
    return f"{still}; the groups after it are drawn from the prior given it, with the same noise in every image."


def which_are_shown(shown: int, dimensions: int, *, by_kl: bool) -> str:
    """How many of the dimensions are shown, in words, and which these are."""
    if shown == dimensions:
        return f"All {dimensions} dimensions, sorted by {'their KL' if by_kl else 'the variance of their codes'}."
    return (
        f"Shown are {shown} of {dimensions} dimensions, those {'with the most KL' if by_kl else 'whose codes vary the most'}."
    )


def interpolation(trained: Trained, examples: Examples, codes: Sequence) -> "matplotlib.figure.Figure":
    """Straight lines between the codes of pairs of test images, in the context of the first of each."""
    ends = 2 * min(3, len(codes[0]) // 2)
    start, stop = some_rows(codes, slice(0, ends, 2)), some_rows(codes, slice(1, ends, 2))
    context = some_rows(examples.context, slice(0, ends, 2))
    images = picture(generate.interpolate(trained, start, stop, STEPS, context=context), trained)
    originals = picture(some_rows(examples.x, slice(ends)), trained)
    title = "Interpolation between two test images: decoder means"
    note = IN_ITS_CONTEXT if jax.tree.leaves(context) else ""
    pairs = originals.reshape(-1, 2, *originals.shape[1:])
    return visualise.interpolation(images, originals=pairs, title=title, note=note)
