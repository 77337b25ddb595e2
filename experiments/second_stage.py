"""Are samples better when the law of the codes is found after training: second VAE, fitted mixture, regularised autoencoder?

    python -m experiments.second_stage               not timed yet; interrupted, it goes on
    python -m experiments.second_stage --smoke       seconds, on small digits, numbers without meaning

Gray images, a normal likelihood with one learned std. A VAE sampled from N(0, I), from a Gaussian mixture fitted to its codes,
and through a second VAE on them (Dai & Wipf 2019); an autoencoder without noise, small codes and decoder, sampled from a
mixture (RAE-L2, Ghosh et al. 2020). Frechet distances to test images in a digit classifier's features, which had no part of the
last row: no FID, so that no published number stands beside them. Expected: all three come nearer than N(0, I).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import vae
from experiments.laws_of_codes import samples
from vae.command import smoked
from vae.evaluation import features
from vae.evaluation.comparison import numbers_of_models, table_of_models
from vae.evaluation.sample_quality import DistanceAndCoverage, distance_and_coverage

SMOKE = {"data": "digits", "hidden": (16,), "latent_dim": 3, "steps": 30, "components": 2, "samples": 60, "seeds": 2}


@dataclass(frozen=True)
class Config:
    """The flags; beta weighs |z|^2 / 2 of the autoencoder's codes, decay is its decoder's."""

    data: str = "mnist"
    hidden: tuple[int, ...] = (400,)
    latent_dim: int = 16
    steps: int = 3_000
    beta: float = 0.1
    decay: float = 1e-4
    components: int = 10
    samples: int = 5_000
    seeds: int = 3
    workdir: Path = Path("runs/second_stage")
    smoke: bool = False


def main(config: Config) -> None:
    """Train, sample, measure, draw and print."""
    config = smoked(config, Config(), SMOKE) if config.smoke else config
    found, data = [], vae.data.load(config.data)
    train, test = (np.asarray(part.x, np.float32) / 255.0 for part in (data.train, data.test))
    seen = min(10_000, len(train) // 2)
    extract = features.classifier_features(train[:seen], data.train.label[:seen], seed=0).extract
    for seed in range(config.seeds):
        drawn = samples(train, config, seed) | {"training images": train[seen:][: config.samples]}
        found.append({name: distance_and_coverage(extract(test), extract(images)) for name, images in drawn.items()})
    numbers = numbers_of_models(found)
    figure = vae.visualise.samples_by_row([np.clip(of[:10], 0.0, 1.0) for of in drawn.values()], row_names=list(drawn))
    table = table_of_models(numbers, {of: (of, 3) for of in DistanceAndCoverage._fields})
    vae.reports.write_results(config.workdir, "second_stage", numbers, table, figure, config, data.sha256)


if __name__ == "__main__":
    vae.command.run(main, Config)
