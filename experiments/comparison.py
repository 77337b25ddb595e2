"""What the scripts that compare models share: equal starts, the same test images and noise, differences in pairs.

Two kinds of error are kept apart everywhere: `se_images`, the standard error over test images of the mean over seeds, says
what other test images would change; `sd_seeds`, the standard deviation over seeds, what another start of training would.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from vae.data.feed import Feed
from vae.training.sweep import Swept, run_of, sweep

from experiments import command_line
from vae import schedules, visualise
from vae.data.dataset import Dataset
from vae.data.view import evaluation_images, training_feed
from vae.evaluation.comparison import (
    COLUMNS,
    NOISE_SEED,
    Measured,
    by_level,
    compared,
    figure_of_models,
    pairs_with_first,
    table_of_models,
)
from vae.evaluation.comparison import measure as measure_runs
from vae.evaluation.examples import Examples
from vae.training.provenance import provenance, write_json
from vae.training.state import TrainState, usable_params
from vae.types import Key, Model, Objective, Trained

__all__ = ["COLUMNS", "NOISE_SEED", "by_level", "compared", "figure_of_models", "pairs_with_first", "table_of_models"]
"""The statistics, under the name by which the scripts know them."""

ADAM = optax.adam(1.0)  # the learning rate is a setting, which a schedule multiplies


class Flags(Protocol):
    """The flags that every comparison has."""

    @property
    def seed(self) -> int:
        """Of the first key."""
        ...

    @property
    def seeds(self) -> int:
        """How many runs of each model."""
        ...

    @property
    def steps(self) -> int:
        """Of training."""
        ...

    @property
    def batch_size(self) -> int:
        """Images per step."""
        ...

    @property
    def learning_rate(self) -> float:
        """Of Adam, at the start."""
        ...

    @property
    def workdir(self) -> Path:
        """Where everything goes."""
        ...


class Shown(NamedTuple):
    """A data set as a comparison sees it.

    feed:   the training split, binarised afresh at every step.
    x:      the test images, in one fixed binarisation that no seed changes.
    sha256: digest of the data set.
    """

    feed: Feed
    x: jax.Array
    sha256: str


def shown(dataset: Dataset, images: int) -> Shown:
    """The training split and the first test images."""
    x, _ = evaluation_images(dataset, "test", "dynamic", images)
    return Shown(training_feed(dataset, "dynamic"), jnp.asarray(x), dataset.sha256)


def equal_starts(config: Flags, levels: int = 1) -> Key:
    """(levels * seeds,) keys, the seeds innermost: a seed has the same start, order of data and noise at every level."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    return keys[jnp.arange(levels * config.seeds) % config.seeds]


def train(
    config: Flags,
    model: Model,
    objective: Objective,
    data: Feed,
    settings: Mapping[str, Sequence[float]] | None = None,
    shapes: Mapping[str, Callable] | None = None,
    optimiser: optax.GradientTransformation = ADAM,
) -> Swept:
    """Every seed at every level, the seeds innermost; the learning rate falls to zero by a cosine.

    settings: levels by name, as many of each.
    shapes:   further schedules.
    """
    given = {name: np.repeat(np.asarray(values, np.float32), config.seeds) for name, values in (settings or {}).items()}
    keys = equal_starts(config, max((len(values) for values in given.values()), default=config.seeds) // config.seeds)
    return sweep(
        model,
        objective,
        optimiser,
        data,
        keys,
        steps=config.steps,
        batch_size=config.batch_size,
        settings={"learning_rate": jnp.full(len(keys), config.learning_rate), **given},
        schedules={"learning_rate": schedules.cosine(config.steps), **(shapes or {})},
    )


def measure(model: Model, states: TrainState, x: jax.Array, samples: int) -> Measured:
    """Every run of a sweep on the same images, with the same noise for each image; `samples` importance samples."""
    runs = each_run(states, lambda s: Trained(model, usable_params(s), s.model_state))
    return measure_runs(runs, Examples(x), samples=samples)


def each_run(states: TrainState, function: Callable[[TrainState], Any]) -> list:
    """A function of every run of a sweep."""
    return [function(run_of(states, i)) for i in range(len(states.step))]


def write(config: Flags, name: str, numbers: Mapping[str, Any], text: str, figure: Any, data_sha256: str) -> None:
    """Print the table; write the numbers, their origin, the table and the figure into the work directory."""
    config.workdir.mkdir(parents=True, exist_ok=True)
    origin = provenance(sys.argv, data_sha256)
    write_json(config.workdir / f"{name}.json", {"config": command_line.as_json(config), **numbers, "provenance": origin})
    (config.workdir / f"{name}.md").write_text(text, encoding="utf-8")
    visualise.save(figure, config.workdir / f"{name}.png")
    print(text + f"written: {config.workdir / name}.json, .md and .png")
