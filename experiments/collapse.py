"""Which remedy keeps a strong decoder from ignoring its code, and what is the model worth then?

    python -m experiments.collapse                8 minutes of processor time; numbers in RESULTS.md
    python -m experiments.collapse --smoke        seconds, on small digits, numbers without meaning
    python -m experiments.collapse --preset gpu   the full setting

A VAE on dynamically binarised MNIST whose pixels also see the pixels before them (`strong_decoder.py`), so that most of an
image can be told without a code. Expected: the plain ELBO loses many units; annealing, free bits, a controlled rate and
aggressive encoder steps keep more of them. Whether the likelihood gains is the question. (Bowman et al. 2016; Fu et al. 2019;
Kingma et al. 2016, appendix C.8; Shao et al. 2020; He et al. 2019. They measured other data, so no number stands beside ours.)
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import optax

import vae
from experiments import command_line, comparison
from experiments.comparison import ADAM
from experiments.strong_decoder import strengthened
from vae import objectives, schedules
from vae.training.optimisers import by_player
from vae.types import Objective


@dataclass(frozen=True)
class Config:
    """The flags of the experiment."""

    preset: str = "default"
    """default or gpu; the other flags change it."""
    data: str = "mnist"
    hidden: tuple[int, ...] = (200,)
    latent_dim: int = 50
    free_nats: float = 0.3
    """Of each latent dimension."""
    target_rate: float = 15.0
    """Nats that the controller aims at."""
    encoder_steps: int = 3
    """Of the aggressive encoder, between two steps of the decoder."""
    window: int = 100
    """Steps over which its mutual information is averaged."""
    steps: int = 3_000
    batch_size: int = 128
    learning_rate: float = 5e-3
    """Of Adam, at the start; it falls to zero. So high a one is what makes the plain ELBO collapse."""
    seeds: int = 3
    seed: int = 0
    images: int = 1_000
    """Of the test set, from its start."""
    samples: int = 200
    """Importance samples of the test NLL."""
    workdir: Path = Path("runs/collapse")
    smoke: bool = False
    """Small digits and a few steps, to see that everything works."""


PRESETS = {"default": Config(), "gpu": Config(preset="gpu", steps=600 * 445, images=10_000, samples=5_000)}


class Remedy(NamedTuple):
    """What is changed against collapse: the objective, the shape of beta, or the optimiser."""

    objective: Objective
    shapes: Mapping[str, Callable] = {}
    optimiser: optax.GradientTransformation = ADAM


def main(config: Config) -> int:
    """Train, measure, print, draw; return the exit code."""
    if config.smoke:
        config = dataclasses.replace(
            config, data="digits", hidden=(16,), latent_dim=4, steps=40, window=10, seeds=2, images=40, samples=20
        )
    data = comparison.shown(vae.data.load(config.data), config.images)
    spec = data.feed.spec
    model = strengthened(vae.models.mlp(spec, config.latent_dim, config.hidden), math.prod(spec.shape))
    measured = {}
    for name, remedy in remedies(config).items():
        states = comparison.train(
            config, model, remedy.objective, data.feed, {"beta": (1.0,)}, remedy.shapes, remedy.optimiser
        ).states
        measured[name] = comparison.measure(model, states, data.x, config.samples)
        print(f"{name}: NLL at most {measured[name].nll.mean():.2f}, rate {measured[name].rate.mean():.2f}", flush=True)
    numbers = comparison.compared(measured, comparison.pairs_with_first(measured))
    figure = comparison.figure_of_models(numbers, "Remedies against collapse, with a decoder that sees earlier pixels")
    comparison.write(config, "collapse", numbers, comparison.table_of_models(numbers), figure, data.sha256)
    return 0


def remedies(config: Config) -> dict[str, Remedy]:
    """By name; the first is no remedy."""
    elbo = objectives.elbo(monitors=())
    free = objectives.elbo(rate_term=objectives.free_bits_per_dimension(config.free_nats), monitors=())
    controlled = objectives.elbo(rate_term=objectives.controlled(config.target_rate), monitors=())
    waiting = by_player({"posterior": ADAM, "generative": objectives.hold_at_zero_gradient(ADAM)})
    return {
        "none": Remedy(elbo),
        "linear annealing": Remedy(elbo, {"beta": schedules.linear(config.steps // 2)}),
        "cyclical annealing": Remedy(elbo, {"beta": schedules.cyclical(config.steps)}),
        "free bits": Remedy(free),
        "PI control": Remedy(controlled),
        "aggressive encoder": Remedy(
            objectives.aggressive(objectives.elbo(), config.encoder_steps, config.window), optimiser=waiting
        ),
    }


if __name__ == "__main__":
    command_line.run(main, Config, PRESETS)
