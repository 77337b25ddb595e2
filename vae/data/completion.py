"""Data of which a part is to be predicted from the rest: the hidden entries are x, the others what is conditioned on."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from vae.data.feeds import Feed, Splits, feed
from vae.requirements import require
from vae.spec import GIVEN, OBSERVED
from vae.types import Key, PyTree


def completion_splits(splits: Splits, hidden: np.ndarray) -> Splits:
    """Data with the entries that `hidden` marks as x, to be predicted from the others: p(x_hidden | x_shown).

    splits: of single arrays without missing entries, such as `image_splits("mnist")`.
    hidden: which entries of an example are predicted, booleans of its shape.

    The context is {"observed": hidden, "given": the shown entries, and 0 in the place of the others}: of the likelihood, the
    hidden entries alone are scored. What examples were conditioned on before stands beside the shown entries.

    >>> rows = vae.data.Splits(train=vae.data.feed(np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)))
    >>> vae.data.completion_splits(rows, np.array([True, False, True])).train.spec.context["given"].shape
    (3,)

    Raises ValueError for a mask of another shape, one that hides nothing or all, and for data with missing entries.
    """
    return Splits(*(None if part is None else of_feeds(part, hidden) for part in splits))  # type: ignore[arg-type]


def of_feeds(part: Any, hidden: np.ndarray) -> Any:
    """One feed, or one for each name."""
    if not isinstance(part, Feed):
        return {name: of_feeds(each, hidden) for name, each in part.items()}
    shape = part.spec.shape
    require(
        np.shape(hidden) == tuple(shape) and np.asarray(hidden).dtype == bool and bool(np.any(hidden)) and not np.all(hidden),
        f"hidden is an array of {np.asarray(hidden).dtype} of shape {np.shape(hidden)}; wanted booleans of the shape {shape} "
        "of an example, some of them true and some false.",
    )
    require(
        not (isinstance(part.spec.context, dict) and OBSERVED in part.spec.context),
        "completion_splits got data with missing entries; wanted whole examples, of which it hides a part.",
    )
    prepare = partial(hide, part.prepare, np.asarray(hidden))
    return feed(
        part.arrays,
        prepare,
        spec=part.spec,
        resident=part.resident,
        labels=part.labels,
        label_names=part.label_names,
    )


def hide(prepare: Callable, hidden: np.ndarray, key: Key, stored: PyTree) -> tuple:
    """x with 0 in the place of what is shown, and the context; values of latent groups stay."""
    x, context, *values = prepare(key, stored)
    mask = jnp.broadcast_to(hidden, x.shape)
    shown = jnp.where(mask, 0, x).astype(x.dtype)
    given = shown if isinstance(context, tuple) and context == () else (shown, context)
    return jnp.where(mask, x, 0).astype(x.dtype), {OBSERVED: mask, GIVEN: given}, *values
