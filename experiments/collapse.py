"""Which remedy keeps a strong decoder from ignoring its code, and what is the model worth then?

    python -m experiments.collapse                8 minutes of processor time; numbers in RESULTS.md
    python -m experiments.collapse --smoke        seconds, on small digits, numbers without meaning
    python -m experiments.collapse --preset gpu   the full setting

A VAE on dynamically binarised MNIST whose pixels also see the pixels before them (`strong_decoder.py`), so that most of an
image can be told without a code. Expected: the plain ELBO loses many units; annealing, free bits, a controlled rate and
aggressive encoder steps keep more of them. Whether the likelihood gains is the question. (Bowman et al. 2016; Fu et al. 2019;
Kingma et al. 2016, appendix C.8; Shao et al. 2020; He et al. 2019. They measured other data, so no number stands beside ours.)
"""

import math
from dataclasses import dataclass

import optax

import vae
from experiments.strong_decoder import strengthened
from vae import objectives, schedules
from vae.command import ComparisonFlags


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

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
    learning_rate: float = 5e-3
    """Of Adam, at the start; it falls to zero. So high a one is what makes the plain ELBO collapse."""


PRESETS = {"gpu": Config(preset="gpu", steps=600 * 445, images=10_000, samples=5_000)}
SMOKE = {"data": "digits", "hidden": (16,), "latent_dim": 4, "window": 10}


def variants(config: Config) -> dict[str, vae.Experiment]:
    """No remedy, and five."""
    adam = optax.adam(1.0)  # the learning rate multiplies it
    none = vae.Experiment(
        data=vae.data.image_splits(config.data),
        model=lambda spec: strengthened(vae.models.mlp(spec, config.latent_dim, config.hidden), math.prod(spec.shape)),
        steps=config.steps,
        objective=objectives.elbo(monitors=()),
        optimiser=adam,
        batch_size=config.batch_size,
        settings={"learning_rate": config.learning_rate, "beta": 1.0},
        schedules={"learning_rate": schedules.cosine(config.steps)},
    )
    free = objectives.free_bits_per_dimension(config.free_nats)
    return {
        "none": none,
        "linear annealing": annealed(none, schedules.linear(config.steps // 2)),
        "cyclical annealing": annealed(none, schedules.cyclical(config.steps)),
        "free bits": none._replace(objective=objectives.elbo(rate_term=free, monitors=())),
        "PI control": none._replace(
            objective=objectives.elbo(rate_term=objectives.controlled(config.target_rate), monitors=())
        ),
        "aggressive encoder": none._replace(
            objective=objectives.aggressive(objectives.elbo(), config.encoder_steps, config.window),
            optimiser={"posterior": adam, "generative": objectives.hold_at_zero_gradient(adam)},
        ),
    }


def annealed(experiment: vae.Experiment, beta: schedules.Schedule) -> vae.Experiment:
    """The experiment with a shape of beta."""
    return experiment._replace(schedules={**experiment.schedules, "beta": beta})


if __name__ == "__main__":
    title = "Remedies against collapse, with a decoder that sees earlier pixels"
    vae.command.comparison(variants, title=title, presets=PRESETS, smoke=SMOKE)
