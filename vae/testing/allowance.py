"""How the oracles compare and how they fail: a measured number, what it should be, and how far off it may be."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

Report = dict[str, float]


class Allowance:
    """Collects, for one subject, the share of its allowance that each check used; raises at the first that used more than all.

    subject: the name that stands first in every sentence.
    skip:    names of checks that are not made.
    """

    def __init__(self, subject: str, skip: Sequence[str] = ()):
        self.subject = subject
        self.skip = tuple(skip)
        self.used: Report = {}

    def skips(self, *checks: str) -> bool:
        """Whether none of these checks is made."""
        return set(checks) <= set(self.skip)

    def close(self, check: str, got: Any, wanted: Any, allowed: Any, unit: str) -> None:
        """Hold |got - wanted| <= allowed elementwise; NaN never passes."""
        if check in self.skip:
            return
        got, wanted, allowed = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (got, wanted, allowed)))
        same = got == wanted  # infinities of the same sign are equal, though their difference is not a number
        error = np.where(same, 0.0, np.abs(np.where(same, 0.0, got) - np.where(same, 0.0, wanted)))
        share = np.where(same, 0.0, error / np.maximum(allowed, np.finfo(np.float32).tiny))
        worst = np.unravel_index(np.argmax(np.where(np.isnan(share), np.inf, share)), share.shape)
        if not share[worst] <= 1.0:
            where = f" at component {tuple(int(i) for i in worst)}" if got.ndim else ""
            self.fail(
                check,
                f"got {got[worst]:.7g}, wanted {wanted[worst]:.7g}{where}: off by {error[worst]:.3g}, "
                f"{allowed[worst]:.3g} is allowed ({unit})",
            )
        self.used[check] = max(self.used.get(check, 0.0), float(share[worst]))

    def holds(self, check: str, condition: Any, sentence: str) -> None:
        """Hold a condition that has no size."""
        if check in self.skip:
            return
        if not np.all(condition):
            self.fail(check, sentence)
        self.used.setdefault(check, 0.0)

    def fail(self, check: str, sentence: str) -> None:
        """Raise, naming the subject and the check."""
        raise AssertionError(f"{self.subject} fails the check '{check}': {sentence}.")


def free_parameters(distribution: Any, fields: Sequence[str] | None) -> tuple[Array, Callable[[Array], Any]]:
    """The floating-point leaves of the named fields (None: all) as one vector, and the function that puts a vector back."""
    paths, structure = jax.tree_util.tree_flatten_with_path(distribution)
    leaves = [jnp.asarray(leaf) for _, leaf in paths]
    chosen = [
        index
        for index, (path, _) in enumerate(paths)
        if jnp.issubdtype(leaves[index].dtype, jnp.floating) and (fields is None or getattr(path[0], "name", None) in fields)
    ]
    vector, unravel = ravel_pytree([leaves[index] for index in chosen])

    def rebuild(vector: Array) -> Any:
        values = dict(zip(chosen, unravel(vector), strict=True))
        return jax.tree.unflatten(structure, [values.get(index, leaf) for index, leaf in enumerate(leaves)])

    return vector, rebuild
