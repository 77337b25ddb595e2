"""Does a latent sphere say more than a latent Gaussian of as many dimensions?

    python -m experiments.hyperspherical                     10 minutes of processor time; numbers in RESULTS.md
    python -m experiments.hyperspherical --smoke             seconds, on small digits, numbers without meaning
    python -m experiments.hyperspherical --preset paper      d = 2, 5, 10, 20, 40 to convergence; hours

A normal posterior on R^d beside a von Mises-Fisher and a power spherical one on the sphere S^d in R^(d+1), 784-256-128 ReLU,
Adam at 1e-3, batch 64, dynamic binarisation (Davidson et al. 2018, table 1; De Cao & Aziz 2020). Expected: the sphere wins in
few dimensions and loses in many; the paper has, for d = 2, 5, 10, 20, 40, log-likelihoods N -135.73, -110.21, -93.84, -88.90,
-88.93 and S -132.50, -108.43, -93.16, -89.02, -90.87. Default training sees three epochs and two of the dimensions.
"""

from dataclasses import dataclass

import vae
from vae import objectives
from vae.command import ComparisonFlags

NORMAL, SPHERES = "normal", {"von Mises-Fisher": "von_mises_fisher", "power spherical": "power_spherical"}


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    data: str = "mnist"
    hidden: tuple[int, ...] = (256, 128)
    dimensions: tuple[int, ...] = (2, 10)
    """d of R^d and of S^d."""
    learning_rate: float = 1e-3
    batch_size: int = 64
    samples: int = 500


PRESETS = {"paper": Config(preset="paper", dimensions=(2, 5, 10, 20, 40), steps=200 * 890, images=10_000)}
SMOKE = {"data": "digits", "hidden": (16,), "dimensions": (2,), "steps": 20}


def variants(config: Config) -> dict[str, vae.Experiment]:
    """Every posterior in every dimension; a sphere S^d has d + 1 coordinates."""
    shapes = {NORMAL: ("normal", 0)} | {name: (latents, 1) for name, latents in SPHERES.items()}
    return {
        name_of(shape, d): vae.Experiment(
            data=vae.data.image_splits(config.data),
            model=vae.reference_to(vae.models.mlp, latent_dim=d + extra, hidden=config.hidden, latents=latents),
            steps=config.steps,
            objective=objectives.elbo(monitors=()),
            batch_size=config.batch_size,
            settings={"learning_rate": config.learning_rate},
        )
        for d in config.dimensions
        for shape, (latents, extra) in shapes.items()
    }


def name_of(shape: str, dimension: int) -> str:
    """A model's name."""
    return f"{shape}, d = {dimension}"


def pairs(config: Config) -> list[tuple[str, str]]:
    """Each sphere against the normal of as many dimensions."""
    return [(name_of(shape, d), name_of(NORMAL, d)) for d in config.dimensions for shape in SPHERES]


if __name__ == "__main__":
    vae.command.comparison(variants, title="Spheres beside Gaussians", presets=PRESETS, smoke=SMOKE, pairs=pairs)
