"""Watching a run for collapse: a state machine that sees each record of training once."""

from collections.abc import Iterable, Mapping
from itertools import count, takewhile
from typing import Any, NamedTuple

from vae.objectives.monitors import of_group

LENGTHENING = 1.125
"""A window of records closes at this multiple of the step at which the one before it did: an eighth of the steps so far."""

FEWEST = 2
"""Records of a window, at least."""

SHORT, LONG = 3, 5
"""Windows by which a rate is judged: of a deep one, and of one that may be in a trough."""

RISE, FALL = 0.05, 0.15
"""Shares by which a window's mean has to be above the lowest before it to count as a rise, or below the highest as a fall."""

REMEDIES = (
    'Raise the weight of the rate slowly (schedules={"beta": vae.schedules.linear(steps)} or cyclical), give every group free '
    "bits (rate_term=vae.objectives.free_bits(nats)), lower the learning rate, or take aggressive encoder steps "
    "(vae.objectives.aggressive)."
)
"""What helps against a collapse, for whoever says that there is one."""


class Window(NamedTuple):
    """Some records in a row.

    since:   step of the first.
    until:   step of the last.
    records: how many there are.
    sums:    of the whole rate and, where there are several, of each group's rate, in nats per example.
    """

    since: int
    until: int
    records: int
    sums: tuple[float, ...]

    def mean(self, subject: int) -> float:
        """The mean over the records: subject 0 is the whole rate, subject g + 1 that of group g."""
        return self.sums[subject] / self.records


class CollapseWatch(NamedTuple):
    """What is remembered from record to record, and when to speak.

    warmed_up:       step up to which the weight of the rate rises; what happens before is not judged.
    threshold:       nats per example of the whole rate, under which nothing is carried.
    group_threshold: the same for a single group of several.
    closed:          the last `LONG` windows.
    open:            the window that records are still added to.
    said:            subjects that were spoken of; each is spoken of once.
    """

    warmed_up: int = 0
    threshold: float = 0.1
    group_threshold: float = 0.01
    closed: tuple[Window, ...] = ()
    open: Window | None = None
    said: frozenset[int] = frozenset()


def collapse_after(watch: CollapseWatch, record: Mapping[str, Any]) -> tuple[CollapseWatch, str | None]:
    """The watch after a record, and a sentence where it is the first one that shows a collapse; `REMEDIES` says what helps.

    A rate has collapsed where its means over the last two windows of records are under a tenth of the threshold, and the last
    of them is above neither of the two before by more than 5 %, so that it no longer rises:

        b, c < threshold / 10   and   c <= low + 0.05 |low|,   low = min(a, b),   a, b, c the means of the last three windows

    Between that and the threshold it may be in the trough that a KL early in a run falls to before it rises: it has collapsed
    where it stands still, the last of five windows above none of the others by more than 5 % and below none by more than 15 %.
    One that was taken for a collapse and is over twice the threshold later has a sentence that takes it back.

    A window is an eighth as long as the run up to it. So the same rule serves short and long runs; means over windows bear the
    noise of minibatches; a rate that grows with the steps in proportion, or faster, gains an eighth or more from window to
    window and is left alone; one that swings is judged by its average, once its swings are shorter than a window.

    record: with "step", "split" and, where the rate is a KL, "kl" and from the monitor `collapse` "kl/0", "kl/1", ... Nothing
            is said of a validation, nor of a KL of exactly 0, which is that of a model without a latent group.

        watch, sentence = collapse_after(watch, record)
    """
    carried = _carried(record) if record.get("split", "train") == "train" else ()
    if not carried or record["step"] < watch.warmed_up:
        return watch, None
    watch = _seen(watch, record["step"], carried)
    if watch.open is not None or len(watch.closed) < SHORT:
        return watch, None
    fallen = [subject for subject in range(len(carried)) if _has_collapsed(watch, subject)]
    named = fallen[:1] if 0 in fallen else fallen
    news = [subject for subject in named if subject not in watch.said]
    back = [subject for subject in sorted(watch.said) if subject < len(carried) and _has_come_back(watch, subject)]
    sentences = [_sentence(watch, record["step"], news)] if news else []
    sentences += [_taken_back(watch, record["step"])] if back else []
    return watch._replace(said=watch.said.union(fallen) - set(back)), " ".join(sentences) or None


def collapse_after_all(watch: CollapseWatch, records: Iterable[Mapping[str, Any]]) -> CollapseWatch:
    """The watch after all records of before an interruption."""
    for record in records:
        watch, _ = collapse_after(watch, record)
    return watch


def _carried(record: Mapping[str, Any]) -> tuple[float, ...]:
    """The whole rate and those of several groups; () where a record has none."""
    rate = record.get("kl")
    if not rate:
        return ()
    names = takewhile(record.__contains__, (of_group("kl", group) for group in count()))
    groups = tuple(_sum(record[name]) for name in names)
    return (rate, *groups) if len(groups) > 1 else (rate,)


def _sum(value: Any) -> float:
    return float(sum(value)) if isinstance(value, list | tuple) else float(value)


def _seen(watch: CollapseWatch, step: int, carried: tuple[float, ...]) -> CollapseWatch:
    """The watch with a record added to its window, which is closed where it is long enough."""
    if any(len(window.sums) != len(carried) for window in (watch.open, *watch.closed) if window is not None):
        watch = watch._replace(closed=(), open=None)  # resumed with other monitors
    old = watch.open or Window(step, step, 0, (0.0,) * len(carried))
    window = Window(old.since, step, old.records + 1, tuple(a + b for a, b in zip(old.sums, carried, strict=True)))
    start = watch.closed[-1].until if watch.closed else window.since
    if window.records < FEWEST or step < LENGTHENING * start:
        return watch._replace(open=window)
    return watch._replace(closed=(*watch.closed, window)[-LONG:], open=None)


def _has_collapsed(watch: CollapseWatch, subject: int) -> bool:
    """Whether the last windows of a subject are under its threshold and rise no more."""
    threshold = _threshold(watch, subject)
    *others, last = (window.mean(subject) for window in watch.closed[-_looked_back(watch, subject) :])
    low, high = min(others), max(others)
    if last > low + RISE * abs(low):
        return False
    stands = len(watch.closed) == LONG and high < threshold and last >= high - FALL * abs(high)
    return stands or _is_deep(watch, subject)


def _is_deep(watch: CollapseWatch, subject: int) -> bool:
    """Whether the last two windows are under a tenth of the threshold."""
    return max(window.mean(subject) for window in watch.closed[-2:]) < _threshold(watch, subject) / 10


def _looked_back(watch: CollapseWatch, subject: int) -> int:
    """How many windows a subject is judged by."""
    return SHORT if _is_deep(watch, subject) else LONG


def _has_come_back(watch: CollapseWatch, subject: int) -> bool:
    """Whether a subject that was spoken of carries something after all."""
    return watch.closed[-1].mean(subject) > 2 * _threshold(watch, subject)


def _threshold(watch: CollapseWatch, subject: int) -> float:
    """Under which a subject carries nothing."""
    return watch.group_threshold if subject else watch.threshold


def _sentence(watch: CollapseWatch, step: int, subjects: list[int]) -> str:
    """What was seen, in words."""
    names = [f"latent group {subject - 1} carries" if subject else "the latent variables carry" for subject in subjects]
    nats = [watch.closed[-1].mean(subject) for subject in subjects]
    since = min(watch.closed[-_looked_back(watch, subject) :][0].since for subject in subjects)
    what = ", ".join(f"{name} {value:.2g}" for name, value in zip(names, nats, strict=True))
    return (
        f"at step {step} {what} nats per example, and the KL has not risen since step {since}: "
        "the posterior has collapsed onto the prior."
    )


def _taken_back(watch: CollapseWatch, step: int) -> str:
    """That what was taken for a collapse is none."""
    return (
        f"at step {step} the latent variables carry {watch.closed[-1].mean(0):.2g} nats per example, and what was said of a "
        "collapse before no longer holds."
    )
