"""From a script's config to JSON and back, so that a later command can build the experiment of a run again."""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar

from vae.reference import locate, name_of
from vae.training.experiment import Experiment, Origin

T = TypeVar("T")
CLASS = "class"
"""The key under which a nested dataclass says which one it is, among those of a union."""


def origin_of(function: Callable, config: Any, report: Callable | None = None, unseen: Sequence[str] = ()) -> Origin:
    """The origin of function(config): names that a fresh process finds, and the config as JSON; see `Origin`."""
    named_report = None if report is None else name_of(report)
    return Origin(name_of(function), name_of(type(config)), to_json(config), named_report, tuple(unseen))


def experiment_of(origin: Origin) -> Experiment:
    """The experiment that a script made of its flags; its data are not read."""
    return locate(origin.function)(config_of(origin))


def config_of(origin: Origin) -> Any:
    """The script's config, with its flags."""
    return from_json(locate(origin.config), origin.arguments)


def to_json(value: Any) -> Any:
    """Dataclasses, mappings, tuples, paths and enums as JSON has them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {CLASS: type(value).__name__} | {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Enum):
        return value.name
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def flags_as_json(config: Any) -> dict[str, Any]:
    """The flags of a script by name, for people: without the name of their class."""
    return {f.name: to_json(getattr(config, f.name)) for f in dataclasses.fields(config)}


def from_json(kind: Any, value: Any) -> Any:
    """The value of that type from the JSON of it.

    Raises ValueError for what does not fit, naming the field.
    """
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _dataclass(kind, value)
    options = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Annotated:
        return from_json(options[0], value)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return _first_fit(options, value)
    if typing.get_origin(kind) is Literal:
        return _one_of(options, value)
    if typing.get_origin(kind) in (tuple, list) or kind in (tuple, list):
        return _sequence(kind, options, value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind[_one_of(tuple(kind.__members__), value)]
    if isinstance(kind, type) and issubclass(kind, Path):
        return kind(_accepted(kind, value, isinstance(value, str)))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in (bool, int, float, str, type(None)):
        right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        return _accepted(kind, value, right)
    return value


def _dataclass(kind: type[T], value: Any) -> T:
    if not isinstance(value, Mapping) or value.get(CLASS, kind.__name__) != kind.__name__:
        raise ValueError(f"{value!r} is not a {kind.__name__}; write its fields as JSON.")
    hints = typing.get_type_hints(kind, include_extras=True)
    given = {name: item for name, item in value.items() if name != CLASS}
    if unknown := sorted(set(given) - set(hints)):
        raise ValueError(f"{kind.__name__} has no flag {', '.join(unknown)}; wanted some of {', '.join(sorted(hints))}.")
    return kind(**{name: _field(kind, hints, name, item) for name, item in given.items()})


def _field(kind: type, hints: Mapping[str, Any], name: str, value: Any) -> Any:
    try:
        return from_json(hints[name], value)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{name} of {kind.__name__} is {value!r}: {error}") from error


def _first_fit(options: tuple, value: Any) -> Any:
    """The first member of a union that the value fits."""
    for option in options:
        try:
            return from_json(option, value)
        except (ValueError, TypeError):
            continue
    raise ValueError(f"{value!r} fits none of {', '.join(getattr(o, '__name__', str(o)) for o in options)}.")


def _sequence(kind: Any, options: tuple, value: Any) -> Any:
    container = typing.get_origin(kind) or kind
    _accepted(kind, value, isinstance(value, list | tuple))
    if container is tuple and options and options[-1] is not Ellipsis:
        _accepted(kind, value, len(value) == len(options))
        return tuple(from_json(option, item) for option, item in zip(options, value, strict=True))
    return container(from_json(options[0] if options else Any, item) for item in value)


def _one_of(options: tuple, value: Any) -> Any:
    if value not in options:
        raise ValueError(f"{value!r} is none of {', '.join(map(repr, options))}.")
    return value


def _accepted(kind: Any, value: Any, condition: bool) -> Any:
    if not condition:
        raise ValueError(f"{value!r} is no {getattr(kind, '__name__', kind)}.")
    return value
