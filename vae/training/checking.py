"""The numbers of an experiment, refused in one sentence where they cannot be, and in one form where they can.

A NumPy integer is a whole number like any other; what comes out are Python's own, which JSON holds.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vae.data.feeds import each_feed
from vae.schedules import require_within
from vae.trained import Trained
from vae.training.experiment import Experiment, Host
from vae.training.loop import BatchSize, Feeds
from vae.types import Key

RESERVED = ("step", "split", "elbo", "kl", "log_likelihood", "rate", "score")
"""Names in the record of a validation that no metric of a user's may take."""

KIND_OF_KEY = "threefry2x32"
SEEDS = 2**32
"""How many seeds there are: the key of a larger one would be that of a smaller one."""


def checked(experiment: Experiment, train: Feeds) -> Experiment:
    """The experiment with its numbers as Python's own.

    Raises ValueError for numbers that cannot be, TypeError for what is no mapping where one is wanted.
    """
    settings = named_values("settings", experiment.settings)
    schedules = named_values("schedules", experiment.schedules)
    steps = whole("steps", experiment.steps)
    for name, schedule in schedules.items():
        if not callable(schedule):
            raise TypeError(f"the schedule of {name} is {schedule!r}; wanted a function of the step, see vae.schedules.")
        require_within(name, schedule, steps)
    if taken := sorted(set(named_values("metrics", experiment.metrics)) & set(RESERVED)):
        raise ValueError(f"the metrics are called {', '.join(taken)}, as what is recorded anyway; give them other names.")
    if not (experiment.start is None or isinstance(experiment.start, Trained | Mapping)):
        raise TypeError(f"start is a {type(experiment.start).__name__}; wanted a vae.Trained (fitted.trained), or parameters.")
    return experiment._replace(
        steps=steps,
        seed=seed_of(experiment.seed),
        batch_size=batch_sizes(experiment.batch_size, train),
        validate_every=None if experiment.validate_every is None else whole("validate_every", experiment.validate_every),
        average_decay=None if experiment.average_decay is None else share("average_decay", experiment.average_decay),
        settings={name: level_of(name, level) for name, level in settings.items()},
        schedules=schedules,
    )


def checked_host(host: Host | None) -> Host:
    """The host with its periods as Python's own numbers, the default one for None; TypeError where `stop` is no function."""
    host = Host() if host is None else host
    if not callable(host.stop):
        raise TypeError(
            f"stop is {host.stop!r}; wanted a function of the records, such as vae.training.patience(5): leave it out to train "
            "to the last step."
        )
    periods = {name: getattr(host, name) for name in ("log_every", "save_every", "chunk")}
    found: dict[str, Any] = {name: whole(name, period) for name, period in periods.items() if period is not None}
    return host._replace(**found)


def whole(name: str, value: Any) -> int:
    """A whole number of at least one."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} is {value!r}; wanted a whole number.")
    if value < 1:
        raise ValueError(f"{name} is {value}; wanted at least 1.")
    return int(value)


def share(name: str, value: Any) -> float:
    """A number from zero to below one."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 <= number < 1:
        raise ValueError(f"{name} is {value!r}; wanted a number from 0 to below 1, such as 0.999, or None.")
    return number


def level_of(name: str, level: Any) -> Any:
    """The level of a setting: a finite number, also as the float32 that it becomes. An array of one number stays one."""
    try:
        with np.errstate(over="ignore"):
            finite = np.ndim(level) == 0 and not isinstance(level, str) and bool(np.isfinite(np.float32(level)))
    except (TypeError, ValueError):
        finite = False
    if not finite:
        raise ValueError(f"the setting {name} is {level!r}; wanted a finite number.")
    return level if isinstance(level, jax.Array) else float(level)


def seed_of(seed: Any) -> int | Key:
    """A seed from 0 to below 2^32, or one typed key.

    Raises ValueError for what is neither: a key of `jax.random.PRNGKey` too, whose kind is not written in it.
    """
    if isinstance(seed, jax.Array) and jax.dtypes.issubdtype(seed.dtype, jax.dtypes.prng_key):
        if seed.dtype != jax.eval_shape(lambda: jax.random.key(0, impl=KIND_OF_KEY)).dtype:
            raise ValueError(
                f"the seed is a key of the kind {jax.random.key_impl(seed)}; wanted {KIND_OF_KEY}, since the noise of the "
                "examples of a batch is independent only with that."
            )
        if seed.shape:
            raise ValueError(f"the seed is {seed.shape} keys; wanted one: index them, or give them to vae.sweep.")
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise ValueError(f"the seed is {seed!r}; wanted a whole number or a key of jax.random.key.")
    if not 0 <= seed < SEEDS:
        raise ValueError(f"the seed is {seed}; wanted one from 0 to {SEEDS - 1}, so that two seeds are two runs.")
    return int(seed)


def batch_sizes(batch_size: Any, train: Feeds) -> BatchSize:
    """One number, or one for each of several feeds, that the data can fill."""
    several = isinstance(train, Mapping)
    if several != isinstance(batch_size, Mapping) or (several and set(train) != set(batch_size)):  # type: ignore[arg-type]
        wanted = f"one for each of {', '.join(sorted(train))}" if isinstance(train, Mapping) else "a number"
        raise ValueError(f"batch_size is {batch_size!r}; wanted {wanted}.")
    sizes = each_feed(lambda one: one.size, train)
    return each_feed(filled, batch_size, sizes)


def filled(batch_size: Any, size: int) -> int:
    """A batch size that a feed can fill."""
    number = whole("batch_size", batch_size)
    if number > size:
        raise ValueError(f"batch_size is {number}, more than the {size} training examples; choose a smaller one.")
    return number


def named_values(name: str, values: Any) -> dict[str, Any]:
    """A mapping, None for an empty one."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise TypeError(f"{name} is a {type(values).__name__}; wanted a mapping from names, such as a dict.")
    return dict(values)
