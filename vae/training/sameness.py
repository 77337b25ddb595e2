"""Whether the run in a work directory is the run that is asked for, and in what words they differ.

What is written of a run in `config.json` has two kinds of entries: numbers that a person gave, compared as they are, and
digests of what is computed (`vae.training.identity`). The digests decide; numbers and flags say what differs.
"""

from collections.abc import Mapping
from typing import Any

PROGRAM = {
    "start": "the first state is made otherwise (networks, initialisers, optimiser)",
    "objective": "the objective computes something else",
    "model": "the model computes something else",
    "optimiser": "the optimiser computes something else",
    "schedules": "the schedules have other shapes",
    "prepare": "the data are prepared otherwise",
    "evaluation": "the validation computes something else",
    "step": "the training step computes something else",
}
"""What is said of a program digest that differs, the most telling first."""

DATA = {"train": "the training data are others, or in another order", "validation": "the validation data are others"}

RENAMED = (("data.space", "real", "unit_interval"), ("data.space", "real", "binary"))
"""(name, value there, value now) of what an earlier version called otherwise; the data's digests are compared as always."""


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """What differs between two configurations: what has to be refused, and what can only be warned of.

    Digests of programs are compared only where the versions of the packages agree: another version traces another text.
    """
    numbers = number_differences(old, new)
    if old.get("digests") is None:
        unknown = "it was begun by an earlier version that kept no digests, so that only its numbers could be compared"
        return numbers, [unknown]
    data = data_differences(old["digests"], new["digests"])
    programs = program_differences(old["digests"], new["digests"])
    versions = [f"{name} was {was} and is {new['versions'].get(name)}" for name, was in old["versions"].items()]
    versions = [text for text, name in zip(versions, old["versions"], strict=True) if is_other(old, new, name)]
    if versions:
        return numbers + data, [*versions, *programs]
    explained = flag_differences(old, new) if data or (programs and not numbers) else []
    found = [*numbers, *(text for text in explained if text not in numbers), *data]
    return found or programs, []


def is_other(old: Mapping[str, Any], new: Mapping[str, Any], package: str) -> bool:
    """Whether a package has another version now."""
    return old["versions"][package] != new["versions"].get(package)


def number_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The numbers that a person gave; `steps` alone may rise, and what an earlier format did not keep is not compared."""
    before, now = (flatten({part: config[part] for part in ("run", "data", "precision")}) for config in (old, new))
    found = []
    for name in [*before, *(n for n in now if n not in before)]:
        was, is_now = before.get(name), now.get(name)
        raised = name == "steps" and int(is_now or 0) >= int(was or 0)
        unknown = old.get("digests") is None and name not in before
        if was != is_now and not raised and not unknown and (name, was, is_now) not in RENAMED:
            found.append(f"{name} is {was!r} there, {is_now!r} now")
    return found


def data_differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The data and the models that a run stands on."""
    found = []
    for name in sorted({*old, *new} - set(PROGRAM)):
        if old.get(name) != new.get(name):
            kind, _, of = name.partition("/")
            words = DATA.get(kind, f"the {kind} is another")
            found.append(f"{words} ({of})" if of else words)
    return found


def program_differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Which programs compute something else: what is likely to be the cause.

    An objective reaches into the model's equations (how many samples are drawn), so the model is not named beside it unless
    its parameters differ too; whatever else differs shows in the step.
    """
    differing = [name for name in PROGRAM if old.get(name) != new.get(name)]
    if "objective" in differing and "start" not in differing:
        differing = [name for name in differing if name != "model"]
    causes = [name for name in differing if name not in ("step", "evaluation")]
    telling = causes or [name for name in differing if name != "step"] or differing
    return [PROGRAM[name] for name in telling]


def flag_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The script's flags that differ; they explain what the digests found."""
    before, now = (flatten((config.get("origin") or {}).get("arguments", {})) for config in (old, new))
    unseen = (new.get("origin") or {}).get("unseen", ())
    changed = [name for name in now if name in before and before[name] != now[name] and name not in unseen]
    return [f"{name} is {before[name]!r} there, {now[name]!r} now" for name in changed]


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"data": {"shape": 1}} -> {"data.shape": 1}, in order; the run's own numbers and settings stand bare, as flags do."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        inner = prefix if name in ("run", "settings") else f"{prefix}{name}."
        flat |= flatten(value, inner) if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
