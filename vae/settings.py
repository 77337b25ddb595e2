"""The traced numbers of a step, and which of them were asked for."""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import jax

_ASKED: ContextVar[set[str] | None] = ContextVar("names of settings asked for", default=None)


@contextlib.contextmanager
def settings_asked_for() -> Iterator[set[str]]:
    """The names that any `Settings` is asked for inside the block, those with a default included; for an error's sentence."""
    asked: set[str] = set()
    token = _ASKED.set(asked)
    try:
        yield asked
    finally:
        _ASKED.reset(token)


@jax.tree_util.register_pytree_with_keys_class
class Settings(Mapping):
    """The numbers of one step, by name (`beta`, `temperature`, ...), traced; and `training`, which is structure.

    `training` decides what cannot be decided by a number: whether batch normalisation uses the batch or its running average.
    """

    def __init__(self, values: Mapping[str, Any] | None = None, *, training: bool = False):
        self.values_by_name = dict(values or {})
        self.training = training

    def __getitem__(self, name: str) -> Any:
        if (asked := _ASKED.get()) is not None:
            asked.add(name)
        if name not in self.values_by_name:
            known = ", ".join(sorted(self.values_by_name)) or "none"
            raise KeyError(f"the setting {name!r} was asked for, but the run has {known}; add it to the experiment's settings.")
        return self.values_by_name[name]

    def __iter__(self):
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def __repr__(self) -> str:
        return f"Settings({self.values_by_name}, training={self.training})"

    def tree_flatten_with_keys(self):
        """The values by sorted name; the names and `training` are structure."""
        names = tuple(sorted(self.values_by_name))
        children = tuple((jax.tree_util.DictKey(n), self.values_by_name[n]) for n in names)
        return children, (names, self.training)

    @classmethod
    def tree_unflatten(cls, aux, children):
        """The inverse of `tree_flatten_with_keys`."""
        names, training = aux
        return cls(dict(zip(names, children, strict=True)), training=training)


def as_evaluated(settings: Settings) -> Settings:
    """The same numbers outside of training."""
    return Settings(settings.values_by_name) if settings.training else settings
