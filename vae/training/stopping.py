"""Early stopping: functions of a run's records that say whether to stop."""

from collections.abc import Callable, Sequence

from vae.training.records import Record

Stop = Callable[[Sequence[Record]], bool]


def never(records: Sequence[Record]) -> bool:
    """Train to the last step."""
    return False


def patience(evaluations: int, name: str = "elbo", *, higher_is_better: bool = True) -> Stop:
    """Stop when the best validation value of `name` is `evaluations` evaluations old."""
    if evaluations < 1:
        raise ValueError(f"patience is {evaluations}; wanted at least 1 evaluation.")

    best = max if higher_is_better else min

    def stop(records: Sequence[Record]) -> bool:
        values = [r[name] for r in records if r["split"] == "validation" and r.get(name) is not None]
        return bool(values) and len(values) - 1 - values.index(best(values)) >= evaluations

    return stop
