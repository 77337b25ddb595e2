"""`sample`: examples drawn from a trained run; by context where it is conditional.

    vae sample --workdir runs/digits --number 64 --temperature 0.8

Writes `samples.npz` into the run's figures, or where `--output` says: the latent values of every group, and what is decoded of
them. That is, where the data are images, the means (`images`), drawn in `samples.png` beside it; else draws from p(x | z)
(`draws`), of a table also as `samples.csv` with the names of its columns and categories, and, where no entry is a class, the
means (`means`). Where entries of the data may be missing, none is in samples.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vae.command.runs import RunFlags, experiment_of_run, loaded_run
from vae.data import as_columns
from vae.evaluation import generate
from vae.models import all_observed
from vae.reports.evaluation import examples_of
from vae.reports.figures import distinct_contexts
from vae.reports.pictures import as_picture, is_picture
from vae.spec import given_of, may_be_missing
from vae.training import workdir as files
from vae.training.load import Loaded
from vae.training.planning import splits_of
from vae.types import Key


@dataclass(frozen=True)
class Config(RunFlags):
    """The flags of sampling."""

    number: int = 64
    """How many; where the run is conditional, shared out over the contexts of its test set."""
    temperature: tuple[float, ...] = (1.0,)
    """Scale of the prior's standard deviation; of a model with several latent groups also one for each, from the top down."""
    seed: int = 0
    output: Path | None = None
    """PNG to write; an .npz of the same name goes beside it, and a .csv for a table."""


def main(config: Config) -> int:
    """Sample and save."""
    if config.number < 1:
        raise ValueError(f"number is {config.number}; wanted at least 1.")
    if not config.temperature or not all(temperature >= 0 for temperature in config.temperature):
        raise ValueError(f"temperature is {listed(config)}; wanted 0 or more, for all groups or for each.")
    output = config.output or config.workdir / files.FIGURES / "samples.png"
    if output.suffix != ".png":
        raise ValueError(f"output is {output}; wanted a name that ends in .png.")
    loaded = loaded_run(config.workdir, config.which)
    context, names = contexts_for(loaded, config)
    prior_key, draw_key = jax.random.split(jax.random.key(config.seed))
    rows: dict[str, Any] = {"context": context} if jax.tree.leaves(context) else {"number": config.number}
    temperature = config.temperature if len(config.temperature) > 1 else config.temperature[0]
    values = generate.sample_prior(loaded.trained, prior_key, **rows, temperature=temperature)
    found = decoded(loaded, values, context, draw_key)
    groups = {"latents" if i == 0 else f"latents_{i}": np.asarray(value) for i, value in enumerate(values)}
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(given_of(context))]
    arrays: dict[str, Any] = {**found, **groups, **({"context": leaves[0]} if len(leaves) == 1 else {})}
    output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(output.with_suffix(".npz"), **arrays)
    written = [output.with_suffix(".npz")]
    if "images" in found:
        draw(loaded, found["images"], names, config, output)
        written.insert(0, output)
    if "draws" in found and loaded.spec.columns:
        written.insert(0, output.with_suffix(".csv"))
        write_rows(written[0], as_columns(found["draws"], loaded.spec.columns))
    print(f"written: {', '.join(map(str, written))} ({loaded.which} checkpoint, step {loaded.step})")
    return 0


def listed(config: Config) -> str:
    """The temperatures in words."""
    return ", ".join(f"{temperature:g}" for temperature in config.temperature)


def decoded(loaded: Loaded, values: tuple, context: Any, key: Key) -> dict[str, np.ndarray]:
    """What is decoded, by a name that is true of it: the means of images; else draws, and means where no entry is a class."""
    spec = loaded.spec
    classes = spec.space == "tokens" or any(column.space == "tokens" for column in spec.columns)
    means = {} if classes else {"means": np.asarray(generate.decode_means(loaded.trained, values, context=context))}
    if means and is_picture(spec, means["means"]):
        return {"images": means["means"]}
    try:
        draws = generate.sample_likelihood(loaded.trained, values, key, context=context)
    except TypeError:  # how a family says that it has no draws of its own
        return means
    return {"draws": np.asarray(draws), **means}


def write_rows(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """A `.csv` with a header; numbers in as many digits as their type has."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(zip(*(map(str, column) for column in columns.values()), strict=True))


def contexts_for(loaded: Loaded, config: Config) -> tuple[Any, tuple[str, ...]]:
    """A context for each sample and what they are called; () for a plain model. No sample lacks an entry."""
    spec = loaded.spec
    given, names = given_for(loaded, config) if jax.tree.leaves(given_of(spec.context)) else ((), ())
    return (all_observed(spec, config.number, given) if may_be_missing(spec.context) else given), names


def given_for(loaded: Loaded, config: Config) -> tuple[Any, tuple[str, ...]]:
    """What each sample is conditioned on, the same number of each distinct case in the test set, and what they are called."""
    examples = examples_of(splits_of(experiment_of_run(loaded, config.data).data))
    examples = examples._replace(context=given_of(examples.context))
    rows, names = distinct_contexts(examples)
    chosen = np.asarray(rows)[np.arange(config.number) * len(rows) // config.number]
    return jax.tree.map(lambda leaf: leaf[chosen], examples.context), tuple(names)


def draw(loaded: Loaded, means: np.ndarray, names: tuple[str, ...], config: Config, output: Path) -> None:
    """Draw the samples, which are images, as a grid: a row for each context, where all have as many."""
    from vae import visualise

    title = f"{config.number} samples from the prior{' by context' if names else ''}: decoder means, T = {listed(config)}"
    rows = len(names) if names and config.number % len(names) == 0 else 0
    columns = config.number // rows if rows else None
    images = as_picture(means, loaded.spec.space)
    visualise.save(visualise.image_grid(images, columns, title, row_names=names if rows else ()), output)
