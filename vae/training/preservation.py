"""Orbax's manager of a directory of checkpoints, and which of them it keeps: the newest, and the best however old they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class BestByScore(NamedTuple):
    """Orbax's `BestN` with the scores that our records carry and verify, in place of its unprotected metrics file.

    kept:   how many.
    scores: of the steps that have one; the owner adds to it as steps are saved.
    """

    kept: int
    scores: dict[int, float]

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Orbax's question: for each checkpoint, whether to keep it."""
        best = ranked([info.step for info in checkpoints], self.scores)[: self.kept]
        return [info.step in best for info in checkpoints]


def ranked(steps: Sequence[int], scores: Mapping[int, float]) -> list[int]:
    """The steps that have a score, the best first and the newer of equals first."""
    return sorted((step for step in steps if step in scores), key=lambda step: (scores[step], step), reverse=True)


class Keep(NamedTuple):
    """Which checkpoints are kept: so many of the newest, and the best beside them."""

    latest: int
    best: BestByScore


def open_manager(directory: Path, keep: Keep, *, asynchronous: bool, read_only: bool) -> Any:
    """Orbax's `CheckpointManager` of a directory that exists; half-written checkpoints in it are removed by a writer."""
    from orbax.checkpoint import checkpoint_managers

    policies = [checkpoint_managers.LatestN(keep.latest), keep.best]
    options = checkpoint_managers.CheckpointManagerOptions(
        preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
        enable_async_checkpointing=asynchronous,
        lightweight_initialize=True,  # the other way reads files that may be damaged, and raises
        cleanup_tmp_directories=not read_only,
        create=False,
        read_only=read_only,
        save_interval_steps=0 if read_only else 1,
    )
    return checkpoint_managers.CheckpointManager(directory, options=options)
