"""What arrays are conditioned on, brought to the types that a device has: whole numbers int32, all others float32."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vae.data.moments import require_varies
from vae.data.values import require_space
from vae.types import PyTree

LARGEST = 2**31 - 1
"""Of int32."""


def contexts_alike(contexts: Mapping[str, PyTree]) -> list[PyTree]:
    """The contexts with every leaf of one type in all splits.

    contexts: by the words for their data, "the train data"; of one structure.
    Raises a ValueError with the row for numbers that the type does not hold.
    """
    structure = jax.tree.structure(next(iter(contexts.values())))
    leaves = [of_one_type(dict(zip(contexts, same))) for same in zip(*map(jax.tree.leaves, contexts.values()))]
    return [jax.tree.unflatten(structure, [same[i] for same in leaves]) for i in range(len(contexts))]


def of_one_type(leaves: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """int32 where all are integers, booleans among them or not; float32 where any are floats, or all booleans."""
    kinds = {leaf.dtype.kind for leaf in leaves.values()}
    if "f" not in kinds and kinds != {"b"}:
        for what, leaf in leaves.items():
            require_int32(what, leaf)
        return [leaf.astype(np.int32) for leaf in leaves.values()]
    for what, leaf in leaves.items():
        require_space(leaf, "real", f"the contexts of {what}")
    require_varies([(leaf, None) for leaf in leaves.values()], lambda entry: f"the entry {entry} of the contexts")
    return [leaf.astype(np.float32) for leaf in leaves.values()]


def require_int32(what: str, leaf: Any) -> None:
    """Refuse whole numbers that int32 does not hold."""
    bad = (leaf > LARGEST) | (leaf < -LARGEST - 1) if leaf.dtype.kind != "b" else np.False_
    if np.any(bad):
        place = tuple(np.argwhere(bad)[0])
        raise ValueError(
            f"the contexts of {what} hold {leaf[place]} in row {place[0] + 1}; wanted whole numbers that int32 holds, up to "
            f"{LARGEST}: number them from 0, or give floats."
        )
