"""Does training on the importance-weighted bound with k = 50 make a better model than the ELBO, and does DReG help?

    python -m experiments.importance_weighted                10 minutes of processor time; numbers in RESULTS.md
    python -m experiments.importance_weighted --smoke        seconds, on small digits, numbers without meaning
    python -m experiments.importance_weighted --preset gpu   the full setting

784-200-200-50 tanh on dynamically binarised MNIST, four ways with the same steps, starts and data: the ELBO from one sample,
the ELBO from k samples (no noisier than the others), the bound with k samples, and that bound with DReG gradients. Expected
after full training: k samples do little for the ELBO (86.76 to 86.35 nats), the bound lowers the NLL by about 2 nats
(to 84.78), and DReG lowers it a little more. (Burda et al. 2016, table 1; Tucker et al. 2019, section 6.)
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import vae
from experiments import command_line, comparison
from vae import objectives
from vae.types import Objective


@dataclass(frozen=True)
class Config:
    """The flags of the experiment."""

    preset: str = "default"
    """default or gpu; the other flags change it."""
    data: str = "mnist"
    hidden: tuple[int, ...] = (200, 200)
    activation: str = "tanh"
    latent_dim: int = 50
    k: int = 50
    """Samples of the bound in training."""
    steps: int = 2_500
    batch_size: int = 20
    learning_rate: float = 3e-3
    """Of Adam, at the start; it falls to zero."""
    seeds: int = 3
    seed: int = 0
    images: int = 1_000
    """Of the test set, from its start."""
    samples: int = 500
    """Importance samples of the test NLL."""
    workdir: Path = Path("runs/importance_weighted")
    smoke: bool = False
    """Small digits and a few steps, to see that everything works."""


PRESETS = {
    "default": Config(),
    "gpu": Config(preset="gpu", steps=600 * 2_850, images=10_000, samples=5_000),
}


def main(config: Config) -> int:
    """Train, measure, print, draw; return the exit code."""
    if config.smoke:
        config = dataclasses.replace(
            config, data="digits", hidden=(16,), latent_dim=4, k=5, steps=60, seeds=2, images=40, samples=20
        )
    data = comparison.shown(vae.data.load(config.data), config.images)
    model = vae.models.mlp(data.feed.spec, config.latent_dim, config.hidden, config.activation)
    measured = {}
    for name, objective in methods(config.k).items():
        states = comparison.train(config, model, objective, data.feed).states
        measured[name] = comparison.measure(model, states, data.x, config.samples)
        print(f"{name}: NLL at most {measured[name].nll.mean():.2f}", flush=True)
    *_, iwae, dreg = measured
    numbers = comparison.compared(measured, [*comparison.pairs_with_first(measured), (dreg, iwae)])
    figure = comparison.figure_of_models(numbers, "The bound that is trained on, and what the model is worth")
    text = comparison.table_of_models(numbers)
    comparison.write(config, "importance_weighted", numbers, text, figure, data.sha256)
    return 0


def methods(k: int) -> dict[str, Objective]:
    """The objectives by name, the reference first and the two of the k-sample bound last."""
    return {
        "VAE": objectives.elbo(monitors=()),
        f"VAE, {k} samples": objectives.multiply_importance_weighted(groups=k, samples=1, monitors=()),
        f"IWAE, k = {k}": objectives.importance_weighted(k, monitors=()),
        f"IWAE, k = {k}, DReG": objectives.importance_weighted(k, objectives.doubly_reparameterised, monitors=()),
    }


if __name__ == "__main__":
    command_line.run(main, Config, PRESETS)
