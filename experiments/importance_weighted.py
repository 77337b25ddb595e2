"""Does training on the importance-weighted bound with k = 50 make a better model than the ELBO, and does DReG help?

    python -m experiments.importance_weighted                10 minutes of processor time; numbers in RESULTS.md
    python -m experiments.importance_weighted --smoke        seconds, on small digits, numbers without meaning
    python -m experiments.importance_weighted --preset gpu   the full setting

784-200-200-50 tanh on dynamically binarised MNIST, four ways with the same steps, starts and data: the ELBO from one sample,
the ELBO from k samples (no noisier than the others), the bound with k samples, and that bound with DReG gradients. Expected
after full training: k samples do little for the ELBO (86.76 to 86.35 nats), the bound lowers the NLL by about 2 nats
(to 84.78), and DReG lowers it a little more. (Burda et al. 2016, table 1; Tucker et al. 2019, section 6.)
"""

from dataclasses import dataclass

import vae
from vae import objectives
from vae.command import ComparisonFlags
from vae.evaluation.comparison import pairs_with_first


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    data: str = "mnist"
    hidden: tuple[int, ...] = (200, 200)
    activation: str = "tanh"
    latent_dim: int = 50
    k: int = 50
    """Samples of the bound in training."""
    learning_rate: float = 3e-3
    """Of Adam, at the start; it falls to zero."""
    steps: int = 2_500
    batch_size: int = 20
    samples: int = 500


PRESETS = {"gpu": Config(preset="gpu", steps=600 * 2_850, images=10_000, samples=5_000)}
SMOKE = {"data": "digits", "hidden": (16,), "latent_dim": 4, "k": 5, "steps": 60}


def variants(config: Config) -> dict[str, vae.Experiment]:
    """The four objectives, the reference first."""
    reference = vae.Experiment(
        data=vae.data.image_splits(config.data),
        model=vae.reference_to(
            vae.models.mlp, latent_dim=config.latent_dim, hidden=config.hidden, activation=config.activation
        ),
        steps=config.steps,
        batch_size=config.batch_size,
        settings={"learning_rate": config.learning_rate},
        schedules={"learning_rate": vae.schedules.cosine(config.steps)},
    )
    tried = [
        objectives.elbo(monitors=()),
        objectives.multiply_importance_weighted(groups=config.k, samples=1, monitors=()),
        objectives.importance_weighted(config.k, monitors=()),
        objectives.importance_weighted(config.k, objectives.doubly_reparameterised, monitors=()),
    ]
    return {name: reference._replace(objective=objective) for name, objective in zip(names(config), tried, strict=True)}


def names(config: Config) -> list[str]:
    """What the variants are called."""
    return ["VAE", f"VAE, {config.k} samples", f"IWAE, k = {config.k}", f"IWAE, k = {config.k}, DReG"]


def pairs(config: Config) -> list[tuple[str, str]]:
    """Each with the reference, and the two gradients of the same bound."""
    *_, iwae, dreg = names(config)
    return [*pairs_with_first(names(config)), (dreg, iwae)]


if __name__ == "__main__":
    title = "The bound that is trained on, and what the model is worth"
    vae.command.comparison(variants, title=title, presets=PRESETS, smoke=SMOKE, pairs=pairs)
