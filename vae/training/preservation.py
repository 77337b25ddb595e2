"""Which checkpoints are the best, and so are kept however old they are."""

from collections.abc import Mapping, Sequence
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
