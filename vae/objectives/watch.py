"""Watching a run for collapse: a state machine that sees each record of training once."""

from collections.abc import Iterable, Mapping
from itertools import count, takewhile
from typing import Any, NamedTuple

from vae.objectives.monitors import of_group


class CollapseWatch(NamedTuple):
    """What is remembered from record to record, and when to speak.

    warmed_up:       step up to which the weight of the rate rises; what happens before is not judged.
    threshold:       nats per example of the whole rate, under which nothing is carried.
    group_threshold: the same for a single group of several.
    warned:          whether the sentence was said; it is said once.
    """

    warmed_up: int = 0
    threshold: float = 0.1
    group_threshold: float = 0.01
    warned: bool = False


def collapse_after(watch: CollapseWatch, record: Mapping[str, Any]) -> tuple[CollapseWatch, str | None]:
    """The watch after a record, and a sentence where it is the first one that shows a collapse.

    record: with "step", "split" and, where the rate is a KL, "kl" and from the monitor `collapse` "kl/0", "kl/1", ... Of a
            validation, or without a KL, it says nothing.

        watch, sentence = collapse_after(watch, record)
    """
    judged = record.get("split", "train") == "train" and record["step"] >= watch.warmed_up
    if watch.warned or not judged or (what := _collapsed(watch, record)) is None:
        return watch, None
    return watch._replace(warned=True), (
        f"at step {record['step']} {what}: the posterior has collapsed onto the prior; raise the weight of the rate slowly "
        '(schedules={"beta": vae.schedules.linear(steps)} or cyclical), give every group free bits '
        "(rate_term=vae.objectives.free_bits(nats)), lower the learning rate, or take aggressive encoder steps "
        "(vae.objectives.aggressive)."
    )


def collapse_after_all(watch: CollapseWatch, records: Iterable[Mapping[str, Any]]) -> CollapseWatch:
    """The watch after all records of before an interruption."""
    for record in records:
        watch, _ = collapse_after(watch, record)
    return watch


def _collapsed(watch: CollapseWatch, record: Mapping[str, Any]) -> str | None:
    """What a record shows of a collapse, in words."""
    rate = record.get("kl")
    if rate is None:
        return None
    if rate < watch.threshold:
        return f"the latent variables carry {rate:.3g} nats per example"
    names = takewhile(record.__contains__, (of_group("kl", group) for group in count()))
    groups = [_sum(record[name]) for name in names]
    idle = ", ".join(str(group) for group, nats in enumerate(groups) if nats < watch.group_threshold)
    return f"latent group {idle} carries under {watch.group_threshold:g} nats per example" if len(groups) > 1 and idle else None


def _sum(value: Any) -> float:
    return float(sum(value)) if isinstance(value, list | tuple) else float(value)
