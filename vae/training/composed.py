"""Whether a model, its latent groups and its data fit together: refused before anything is compiled, naming both sides."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from vae.data.feeds import Feed, Splits, batch_like, prepared
from vae.models import classes_of
from vae.types import Key, Latent, Model, PyTree, Trace


@contextlib.contextmanager
def naming_the_example(x: PyTree, context: PyTree) -> Iterator[None]:
    """Say of what cannot be computed of one example what the example is made of."""
    try:
        yield
    except (TypeError, ValueError) as error:
        conditions = f"a context of shape {shapes(context)}" if jax.tree.leaves(context) else "no context"
        example = f"x of shape {shapes(x)} and {conditions}"
        kind = TypeError if isinstance(error, TypeError) else ValueError  # some of JAX's own are made of more than a message
        raise kind(f"the model does not take an example of the data, {example}: {str(error).rstrip('.')}.") from error


def shapes(tree: PyTree) -> str:
    """The shapes of a tree's leaves, in its structure."""
    return str(jax.tree.map(lambda leaf: tuple(leaf.shape), tree))


def require_chain(trace: Trace, drawn: tuple) -> None:
    """Refuse latent groups that do not fit what they hang together with; shapes are enough.

    drawn: what the model's prior draws; () where it has none.

    Raises ValueError for a group whose values do not fit its prior, and for a prior that draws other groups than a pass has.
    """
    for index, latent in enumerate(trace.latents):
        require_fitting(index, latent)
    if drawn and trace.latents and len(drawn) != len(trace.latents):
        raise ValueError(
            f"the model's prior draws {len(drawn)} latent groups, and a pass through it has {len(trace.latents)}; wanted the "
            "same groups of both, ancestors first."
        )
    for index, (latent, value) in enumerate(zip(trace.latents, drawn)):
        if looks(value) != looks(latent.value):
            raise ValueError(
                f"the model's prior draws latent group {index} as {looks(value)}, and the posterior "
                f"{type(latent.posterior).__name__} as {looks(latent.value)}; wanted the same of both."
            )


def chains(trace: Trace, drawn: tuple) -> bool:
    """Whether a prior draws what a pass has; see `require_chain`."""
    return [looks(latent.value) for latent in trace.latents] == [looks(value) for value in drawn]


def looks(value: PyTree) -> str:
    """Kind and shape of a value, in its structure."""
    return str(jax.tree.map(lambda leaf: f"{np.dtype(leaf.dtype).name}{tuple(leaf.shape)}", value)).replace("'", "")


def require_fitting(index: int, latent: Latent) -> None:
    """Refuse a group whose values its prior cannot score; one without a density scores none."""
    try:
        jax.eval_shape(lambda latent: latent.prior.log_prob(latent.value), latent)
    except ValueError as error:
        raise ValueError(
            f"the values of latent group {index}, {looks(latent.value)} by the posterior {type(latent.posterior).__name__}, do "
            f"not fit its prior {type(latent.prior).__name__}: {str(error).rstrip('.')}."
        ) from error
    except (TypeError, AttributeError, NotImplementedError):  # no density, or no prior
        return


def prior_values(model: Model, params: PyTree, state: PyTree, key: Any, context: PyTree) -> tuple:
    """What the model's prior draws under a context; () where it says that it draws nothing."""
    try:
        return model.prior(params, state, key, context) if callable(model.prior) else ()
    except NotImplementedError:
        return ()


def require_codes(feed: Feed, trace: Trace) -> None:
    """Refuse observed classes that the prior of their group does not have: an index out of range is read as another one.

    Raises ValueError.
    """
    groups = {i: classes for i, latent in enumerate(trace.latents) if (classes := classes_of(latent)) is not None}
    for index, values in enumerate(observed_of(feed, set(groups))):
        if index in groups and values is not None and values.size:
            low, high, classes = int(values.min()), int(values.max()), groups[index]
            if low < 0 or high >= classes:
                raise ValueError(
                    f"latent group {index} is observed as {low if low < 0 else high} in the data, and its prior has the "
                    f"classes 0 to {classes - 1}; number them from 0, or build the model with as many as there are."
                )


def observed_of(feed: Feed, groups: set[int]) -> tuple:
    """The observed values of those groups in all of a feed's data, None where a group is not observed or not asked for."""

    def seen(key: Key, stored: PyTree) -> tuple:
        return prepared(feed, key, stored).values

    looked_at = jax.eval_shape(seen, jax.random.key(0), batch_like(feed.arrays, 1)) if groups else ()
    if not any(value is not None and i in groups for i, value in enumerate(looked_at)):
        return ()

    @jax.jit
    def values(arrays):
        return tuple(value if i in groups else None for i, value in enumerate(seen(jax.random.key(0), arrays)))

    return jax.tree.map(np.asarray, values(feed.arrays))


def require_seen_classes(splits: Splits) -> None:
    """Refuse validation and test data conditioned on a class that no training example has; of one-hot contexts.

    Raises ValueError naming the class.
    """
    train = list(splits.train.values()) if isinstance(splits.train, Mapping) else [splits.train]
    others = {name: split for name, split in (("validation", splits.validation), ("test", splits.test)) if split is not None}
    if not others or not any(leaf.ndim == 1 for leaf in jax.tree.leaves(train[0].spec.context)):
        return
    seen = [contexts_of(feed) for feed in train]
    for name, split in others.items():
        found = contexts_of(split)
        for leaf, *trained in zip(found, *(contexts for contexts in seen if len(contexts) == len(found)), strict=True):
            if all(map(is_one_hot, (leaf, *trained))):
                unseen = leaf.any(axis=0) & ~np.any([part.any(axis=0) for part in trained], axis=0)
                if unseen.any():
                    raise ValueError(
                        f"the {name} data are conditioned on class {int(np.argmax(unseen))}, which no training example has; "
                        "leave its examples out, or split the data so that every class is trained on."
                    )


def contexts_of(feed: Feed) -> list[np.ndarray]:
    """The leaves of the contexts of all of a feed's data."""
    context = jax.jit(lambda arrays: prepared(feed, jax.random.key(0), arrays).context)(feed.arrays)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(context)]


def is_one_hot(rows: np.ndarray) -> bool:
    """Whether every row is 1 in one place and 0 in the others."""
    return rows.ndim == 2 and bool(np.all((rows == 0) | (rows == 1)) and np.all(rows.sum(axis=1) == 1))
