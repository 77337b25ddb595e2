"""`sample`: examples drawn from a trained run; by context where it is conditional.

    vae sample --workdir runs/digits --number 64 --temperature 0.8

Writes `samples.npz` (the means of what is decoded, and the latent values of every group) into the run's figures, or where
`--output` says, and `samples.png` beside it where the data are images.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vae.command.runs import RunFlags, experiment_of_run, loaded_run
from vae.evaluation import generate
from vae.reports.evaluation import examples_of
from vae.reports.figures import distinct_contexts
from vae.reports.pictures import as_picture, is_picture
from vae.training import workdir as files
from vae.training.load import Loaded
from vae.training.planning import splits_of


@dataclass(frozen=True)
class Config(RunFlags):
    """The flags of sampling."""

    number: int = 64
    """How many; where the run is conditional, shared out over the contexts of its test set."""
    temperature: float = 1.0
    """Scale of the prior's standard deviation."""
    seed: int = 0
    output: Path | None = None
    """PNG to write; an .npz of the same name goes beside it."""


def main(config: Config) -> int:
    """Sample and save."""
    if config.number < 1:
        raise ValueError(f"number is {config.number}; wanted at least 1.")
    if not config.temperature >= 0:
        raise ValueError(f"temperature is {config.temperature}; wanted 0 or more.")
    output = config.output or config.workdir / files.FIGURES / "samples.png"
    if output.suffix != ".png":
        raise ValueError(f"output is {output}; wanted a name that ends in .png.")
    loaded = loaded_run(config.workdir, config.which)
    context, names = contexts_for(loaded, config)
    key = jax.random.key(config.seed)
    rows: dict[str, Any] = {"context": context} if jax.tree.leaves(context) else {"number": config.number}
    values = generate.sample_prior(loaded.trained, key, **rows, temperature=config.temperature)
    means = np.asarray(generate.decode_means(loaded.trained, values, context=context))
    groups = {"latents" if i == 0 else f"latents_{i}": np.asarray(value) for i, value in enumerate(values)}
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(context)]
    arrays: dict[str, Any] = {"images": means, **groups, **({"context": leaves[0]} if len(leaves) == 1 else {})}
    output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(output.with_suffix(".npz"), **arrays)
    drawn = draw(loaded, means, names, config, output)
    written = [str(output)] if drawn else []
    print(f"written: {', '.join([*written, str(output.with_suffix('.npz'))])} ({loaded.which} checkpoint, step {loaded.step})")
    return 0


def contexts_for(loaded: Loaded, config: Config) -> tuple[Any, tuple[str, ...]]:
    """A context for each sample, the same number of each distinct one, and what they are called; () for a plain model."""
    if not jax.tree.leaves(loaded.spec.context):
        return (), ()
    splits = splits_of(experiment_of_run(loaded, config.data).data)
    examples = examples_of(splits)
    rows, names = distinct_contexts(examples)
    chosen = np.asarray(rows)[np.arange(config.number) * len(rows) // config.number]
    return jax.tree.map(lambda leaf: leaf[chosen], examples.context), tuple(names)


def draw(loaded: Loaded, means: np.ndarray, names: tuple[str, ...], config: Config, output: Path) -> bool:
    """Draw the samples as a grid, where they are images: a row for each context, where all have as many."""
    from vae import visualise

    if not is_picture(loaded.spec, means):
        return False
    title = f"{config.number} samples from the prior{' by context' if names else ''}: decoder means, T = {config.temperature:g}"
    rows = len(names) if names and config.number % len(names) == 0 else 0
    columns = config.number // rows if rows else None
    images = as_picture(means, loaded.spec.space)
    visualise.save(visualise.image_grid(images, columns, title, row_names=names if rows else ()), output)
    return True
