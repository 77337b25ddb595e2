"""What does the weight beta of the KL buy: how do rate and distortion trade, and which beta has the best likelihood?

    python -m experiments.rate_distortion                8 minutes of processor time; numbers in RESULTS.md
    python -m experiments.rate_distortion --smoke        seconds, on small digits, numbers without meaning
    python -m experiments.rate_distortion --preset gpu   the full setting

784-400-20 on dynamically binarised MNIST; every beta and seed is a run of one compiled program. Expected: distortion against
rate is a convex curve of slope -beta, the ELBO is best at beta 1, and latent dimensions fall silent as beta grows.
(Alemi et al. 2018, section 3 and figure 1; Higgins et al. 2017, eq. 4.)
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vae
from experiments import command_line, comparison
from vae import visualise

COLUMNS = {"elbo": ("ELBO", 2), **comparison.COLUMNS}


@dataclass(frozen=True)
class Config:
    """The flags of the experiment."""

    preset: str = "default"
    """default or gpu; the other flags change it."""
    data: str = "mnist"
    hidden: tuple[int, ...] = (400,)
    latent_dim: int = 20
    betas: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    """Weights of the KL, 1 among them."""
    steps: int = 3_000
    batch_size: int = 128
    learning_rate: float = 2e-3
    """Of Adam, at the start; it falls to zero."""
    seeds: int = 3
    seed: int = 0
    images: int = 1_000
    """Of the test set, from its start."""
    samples: int = 200
    """Importance samples of the test NLL."""
    workdir: Path = Path("runs/rate_distortion")
    smoke: bool = False
    """Small digits and a few steps, to see that everything works."""


PRESETS = {"default": Config(), "gpu": Config(preset="gpu", steps=600 * 445, images=10_000, samples=5_000)}


def main(config: Config) -> int:
    """Train, measure, print, draw; return the exit code."""
    if config.smoke:
        config = dataclasses.replace(
            config, data="digits", hidden=(16,), latent_dim=4, steps=100, seeds=2, images=40, samples=20
        )
    if 1.0 not in config.betas:
        raise ValueError(f"betas are {config.betas}; wanted 1 among them, with which the others are compared: add it.")
    data = comparison.shown(vae.data.load(config.data), config.images)
    model = vae.models.mlp(data.feed.spec, config.latent_dim, config.hidden)
    swept = comparison.train(config, model, vae.elbo(monitors=()), data.feed, {"beta": config.betas})
    measured = comparison.measure(model, swept.states, data.x, config.samples)
    names = [name_of(beta) for beta in config.betas]
    pairs = [(name, name_of(1.0)) for name in names if name != name_of(1.0)]
    numbers = comparison.compared(dict(zip(names, comparison.by_level(measured, config.seeds), strict=True)), pairs)
    text = comparison.table_of_models(numbers, COLUMNS)
    comparison.write(config, "rate_distortion", numbers, text, as_figure(numbers), data.sha256)
    return 0


def name_of(beta: float) -> str:
    """A model's name."""
    return f"beta {beta:g}"


def as_figure(numbers: Mapping[str, Any]):
    """The rate-distortion curve."""
    return visualise.rate_distortion({"784-400-20": [point_of(name, of) for name, of in numbers["models"].items()]})


def point_of(label: str, of: dict) -> visualise.RateDistortion:
    """A model's mean over seeds, with standard errors over test images."""
    rate, distortion = of["rate"], of["distortion"]
    return visualise.RateDistortion(label, rate["mean"], distortion["mean"], rate["se_images"], distortion["se_images"])


if __name__ == "__main__":
    command_line.run(main, Config, PRESETS)
