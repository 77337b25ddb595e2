"""Draw images from a trained run.

    python -m experiments.sample --workdir runs/digits --number 64 --temperature 0.8

Writes `samples.png` and the images as an array, `samples.npz`, into the run's figures, or where `--output` says.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np

import vae
from experiments import command_line
from vae import visualise
from vae.evaluation import generate
from vae.reports.figures import as_picture
from vae.training import workdir as files


@dataclass(frozen=True)
class Config:
    """The flags of sampling."""

    workdir: Path
    """Work directory of a run."""
    number: int = 64
    temperature: float = 1.0
    """Scale of the prior's standard deviation."""
    seed: int = 0
    which: Literal["best", "latest"] = "best"
    """Checkpoint: the best by validation ELBO, or the latest."""
    output: Path | None = None
    """PNG to write; an .npz of the same name goes beside it."""


def main(config: Config) -> int:
    """Sample and save."""
    if config.number < 1:
        raise ValueError(f"number is {config.number}; wanted at least 1 image.")
    loaded = vae.load(config.workdir, config.which)
    trained = vae.Trained(loaded.model, loaded.params, loaded.model_state, spec=loaded.data)
    values = generate.sample_prior(trained, jax.random.key(config.seed), config.number, temperature=config.temperature)
    images = np.asarray(generate.decode_means(trained, values))
    output = config.output or config.workdir / files.FIGURES / "samples.png"
    title = f"{config.number} samples from the prior, temperature {config.temperature:g}"
    visualise.save(visualise.image_grid(as_picture(images, loaded.data.space), title=title), output)
    np.savez_compressed(output.with_suffix(".npz"), images=images, latents=np.asarray(values[0]))
    print(f"written: {output}, {output.with_suffix('.npz')} ({config.which} checkpoint, step {loaded.step})")
    return 0


if __name__ == "__main__":
    command_line.run(main, Config)
