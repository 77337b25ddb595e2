"""What is a learned prior worth, at equal steps: a standard normal, a mixture, a VampPrior and a flow?

    python -m experiments.priors                     5 minutes of processor time; numbers in RESULTS.md
    python -m experiments.priors --others            also other posteriors: 15 minutes
    python -m experiments.priors --smoke             seconds, on small digits, numbers without meaning
    python -m experiments.priors --preset paper      40 latent dimensions, 784-300-300, as Tomczak & Welling 2018

Every variant is charged by its log ratio at the sample, which a learned prior needs, so that none has a gradient of less
variance than another. Expected: the learned priors gain. Anchor: VampPrior, K = 500, 40 dimensions, static: NLL 85.79 with
5,000 samples (pythae; 85.57 in Tomczak & Welling 2018). Default training is short, and shows an order rather than its size.
"""

from dataclasses import dataclass

import vae
from vae import objectives, schedules
from vae.command import ComparisonFlags

PRIORS = {"standard normal": "normal", "mixture": "normal_mixture", "VampPrior": "normal_vamp", "flow": "normal_flow"}
POSTERIORS = {"full covariance": "multivariate_normal", "IAF posterior": "inverse_autoregressive"}


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    data: str = "mnist"
    binarisation: str = "dynamic"
    hidden: tuple[int, ...] = (200,)
    latent_dim: int = 20
    learning_rate: float = 1e-3
    """Of Adam, at the start; it falls to zero."""
    warm_up: float = 0.1
    """Share of the steps over which beta rises to 1."""
    others: bool = False
    """Whether other posteriors stand beside the priors."""
    leapfrog_steps: int = 3
    """Of the Hamiltonian one."""


PAPER = {"hidden": (300, 300), "latent_dim": 40, "binarisation": "static", "batch_size": 100, "others": True}
PRESETS = {"paper": Config(preset="paper", steps=500 * 570, images=10_000, samples=5_000, learning_rate=5e-4, **PAPER)}
SMOKE = {"data": "digits", "hidden": (16,), "latent_dim": 3, "steps": 20}


def variants(config: Config) -> dict[str, vae.Experiment]:
    """The same networks with each prior; with each posterior too where asked."""
    named = PRIORS | (POSTERIORS if config.others else {})
    found = {name: experiment(config, vae.models.mlp, latents=latents) for name, latents in named.items()}
    if config.others:
        found["Hamiltonian posterior"] = experiment(config, vae.models.hamiltonian_mlp, steps=config.leapfrog_steps)
    return found


def experiment(config: Config, model, **arguments) -> vae.Experiment:
    """One model, charged by its log ratio."""
    return vae.Experiment(
        data=vae.data.image_splits(config.data, config.binarisation),
        model=vae.reference_to(model, latent_dim=config.latent_dim, hidden=config.hidden, **arguments),
        steps=config.steps,
        objective=objectives.elbo(objectives.log_ratio, monitors=()),
        batch_size=config.batch_size,
        settings={"learning_rate": config.learning_rate, "beta": 1.0},
        schedules={
            "learning_rate": schedules.cosine(config.steps),
            "beta": schedules.linear(max(1, int(config.warm_up * config.steps))),
        },
    )


if __name__ == "__main__":
    vae.command.comparison(variants, title="Learned priors at equal steps", presets=PRESETS, smoke=SMOKE)
