"""What does the weight beta of the KL buy: how do rate and distortion trade, and which beta has the best likelihood?

    python -m experiments.rate_distortion                8 minutes of processor time; numbers in RESULTS.md
    python -m experiments.rate_distortion --smoke        seconds, on small digits, numbers without meaning
    python -m experiments.rate_distortion --preset gpu   the full setting

784-400-20 on dynamically binarised MNIST; every beta and seed is a run of one compiled program. Expected: distortion against
rate is a convex curve of slope -beta, the ELBO is best at beta 1, and latent dimensions fall silent as beta grows.
(Alemi et al. 2018, section 3 and figure 1; Higgins et al. 2017, eq. 4.)
"""

from dataclasses import dataclass

import vae
from vae import visualise
from vae.command import ComparisonFlags
from vae.evaluation.comparison import COLUMNS


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    data: str = "mnist"
    hidden: tuple[int, ...] = (400,)
    latent_dim: int = 20
    betas: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    """Weights of the KL, 1 among them."""
    learning_rate: float = 2e-3
    """Of Adam, at the start; it falls to zero."""


PRESETS = {"gpu": Config(preset="gpu", steps=600 * 445, images=10_000, samples=5_000)}
SMOKE = {"data": "digits", "hidden": (16,), "latent_dim": 4, "steps": 100}


def variants(config: Config) -> dict[str, vae.Experiment]:
    """A model for each beta."""
    if 1.0 not in config.betas:
        raise ValueError(f"betas are {config.betas}; wanted 1 among them, with which the others are compared: add it.")
    common = vae.Experiment(
        data=vae.data.image_splits(config.data),
        model=vae.reference_to(vae.models.mlp, latent_dim=config.latent_dim, hidden=config.hidden),
        steps=config.steps,
        objective=vae.elbo(monitors=()),
        batch_size=config.batch_size,
        schedules={"learning_rate": vae.schedules.cosine(config.steps)},
    )
    settings = {name_of(beta): {"learning_rate": config.learning_rate, "beta": beta} for beta in config.betas}
    return {name: common._replace(settings=levels) for name, levels in settings.items()}


def name_of(beta: float) -> str:
    """A model's name."""
    return f"beta {beta:g}"


def pairs(config: Config) -> list[tuple[str, str]]:
    """Each with beta 1."""
    return [(name_of(beta), name_of(1.0)) for beta in config.betas if beta != 1.0]


def figure(config: Config, found: vae.Comparison, title: str):
    """The rate-distortion curve."""
    points = [point_of(name, of["rate"], of["distortion"]) for name, of in found.numbers["models"].items()]
    network = "-".join(map(str, (*config.hidden, config.latent_dim)))
    return visualise.rate_distortion({f"{config.data}, {network}": points}, title)


def point_of(label: str, rate: dict, distortion: dict) -> visualise.RateDistortion:
    """A model's mean over seeds, with standard errors over test images."""
    return visualise.RateDistortion(label, rate["mean"], distortion["mean"], rate["se_images"], distortion["se_images"])


if __name__ == "__main__":
    columns = {"elbo": ("ELBO", 2), **COLUMNS}
    title = "Rate against distortion"
    vae.command.comparison(variants, title=title, presets=PRESETS, smoke=SMOKE, columns=columns, figure=figure, pairs=pairs)
