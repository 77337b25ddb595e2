"""Train a variational autoencoder on images, evaluate it, draw it.

    python -m experiments.train                                  the embedded digits, about a minute on two cores
    python -m experiments.train --preset mnist                   784-400-20 on MNIST
    python -m experiments.train --preset mnist-tanh              784-200-200-50 tanh on MNIST: test NLL in README.md
    python -m experiments.train --data cifar10 --network conv                bytes, discretised logistic
    python -m experiments.train objective:iwae --objective.samples 50

Run it again with the same flags to resume what was interrupted; the result is the same, bit for bit.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optax

import vae
from experiments.objectives import ChosenObjective, Elbo
from vae import schedules
from vae.command import Flags
from vae.models.choices import ACTIVATIONS, LATENTS, LIKELIHOODS
from vae.objectives import analytic, log_ratio

ELBO = Elbo()
RATES = {"analytic": analytic, "log_ratio": log_ratio}
"""How the KL is charged, by flag."""


@dataclass(frozen=True)
class Config(Flags):
    """The flags of a training run."""

    data: str = "digits"
    """digits, sprites, any TensorFlow Datasets image set, a path (IDX, .npz, folder, .zip) or module:function."""
    binarisation: Literal["dynamic", "static", "none", "uint8"] | None = None
    """Fresh draws every step, one fixed draw, gray in [0, 1], or the 256 values; default: dynamic for gray images, uint8 for
    colour."""
    conditional: bool = False
    """Whether the data's labels are given to encoder and decoder."""
    network: Literal["mlp", "conv"] = "mlp"
    """Fully connected or convolutional encoder and decoder."""
    hidden: tuple[int, ...] = (256,)
    """Widths of the fully connected layers."""
    widths: tuple[int, ...] = (32, 64)
    """Channels of the convolutional layers; each halves the image."""
    activation: Literal[tuple(ACTIVATIONS)] = "relu"  # type: ignore[valid-type]
    """Between the layers."""
    likelihood: Literal[tuple(LIKELIHOODS)] | None = None  # type: ignore[valid-type]
    """Of the pixels; default: bernoulli for binary ones, continuous_bernoulli for those in [0, 1], discretised_logistic for
    uint8."""
    std: float | None = None
    """Of the likelihoods normal and laplace; the others of the kind learn it."""
    latent_dim: int = 10
    """Dimensions of the latent code."""
    latents: Literal[tuple(LATENTS)] = "normal"  # type: ignore[valid-type]
    """Posterior and prior; inverse_autoregressive and those whose prior is learned (mixture, vamp, flow) need --rate log_ratio,
    deterministic has no rate at all: objective:mmd."""
    rate: Literal["analytic", "log_ratio"] = "analytic"
    """The KL in closed form, or the log ratio at the sample, which a mixture or flow prior needs."""
    beta: float = 1.0
    """Weight of the KL; 1 is the evidence lower bound."""
    beta_warm_up: int = 0
    """Steps over which beta rises from 0 in a straight line."""
    learning_rate: float = 1e-3
    """Of Adam."""
    schedule: Literal["constant", "cosine", "step"] = "constant"
    """Of the learning rate: constant, cosine to zero at the last step, or a tenth at 60 % and at 85 % of the steps."""
    warm_up: int = 0
    """Steps over which the learning rate rises."""
    weight_decay: float = 0.0
    """Of AdamW; 0 is Adam."""
    clip: float | None = None
    """Largest global norm of the gradient."""
    objective: ChosenObjective = ELBO
    """What is minimised; `objective:NAME --help` shows its numbers."""


MNIST = Config(data="mnist", hidden=(400,), latent_dim=20, steps=445 * 50)
PRESETS = {
    "mnist": dataclasses.replace(MNIST, preset="mnist"),
    "mnist-tanh": dataclasses.replace(
        MNIST,
        preset="mnist-tanh",
        hidden=(200, 200),
        activation="tanh",
        latent_dim=50,
        steps=445 * 600,
        schedule="cosine",
        log_every=445,
        samples=1000,
    ),
    "mnist-conv": dataclasses.replace(MNIST, preset="mnist-conv", network="conv", latent_dim=16, steps=445 * 10),
    "sprites": Config(preset="sprites", data="sprites", network="conv", widths=(32, 32, 64, 64), hidden=(256,), latent_dim=10),
}


def experiment(config: Config) -> vae.Experiment:
    """The experiment that the flags describe."""
    require_usable(config)
    return vae.Experiment(
        data=lambda: vae.data.image_splits(config.data, config.binarisation, conditional=config.conditional),
        model=model_of(config),
        steps=config.steps,
        objective=config.objective.build(RATES[config.rate], config.latent_dim),
        optimiser=optimiser_of(config),
        settings=settings_of(config),
        schedules=schedules_of(config),
    )


def model_of(config: Config) -> vae.Reference:
    """The model that the flags describe, by reference."""
    common: dict[str, Any] = {
        "latent_dim": config.latent_dim,
        "hidden": config.hidden,
        "activation": config.activation,
        "likelihood": config.likelihood,
        "latents": config.latents,
        "std": config.std,
    }
    if config.network == "mlp":
        return vae.reference_to(vae.models.mlp, **common)
    return vae.reference_to(vae.models.convolutional, widths=config.widths, **common)


def optimiser_of(config: Config) -> optax.GradientTransformation:
    """Adam or AdamW at unit rate (the learning rate is a setting), behind a clip of the gradient's norm."""
    clip = optax.clip_by_global_norm(config.clip) if config.clip else optax.identity()
    adam = optax.adamw(1.0, weight_decay=config.weight_decay) if config.weight_decay else optax.adam(1.0)
    return optax.chain(clip, adam)


def settings_of(config: Config) -> dict[str, float]:
    """The levels of what is scheduled; an importance-weighted bound has no beta, which is refused where one was asked for."""
    asked = config.beta != 1.0 or config.beta_warm_up > 0
    beta = {"beta": config.beta} if asked or config.objective.weighed else {}
    return {"learning_rate": config.learning_rate, **beta}


def schedules_of(config: Config) -> dict[str, schedules.Schedule]:
    """The shapes of the learning rate and of beta."""
    horizon = config.steps - config.warm_up
    shape = {
        "constant": lambda: schedules.constant(),
        "cosine": lambda: schedules.cosine(horizon),
        "step": lambda: schedules.step_decay((int(0.6 * horizon), int(0.85 * horizon))),
    }[config.schedule]()
    rate = schedules.warm_up(config.warm_up, shape) if config.warm_up else shape
    warm = {"beta": schedules.linear(config.beta_warm_up)} if config.beta_warm_up else {}
    return {"learning_rate": rate, **warm}


def workdir(config: Config) -> Path:
    """The default work directory."""
    return Path("runs") / Path(config.data.partition(":")[0]).name


def require_usable(config: Config) -> None:
    """Refuse, before anything is loaded, what would only be found out late or not in one sentence."""
    if config.learning_rate <= 0 or config.beta < 0 or config.weight_decay < 0:
        raise ValueError(
            f"learning_rate is {config.learning_rate}, beta {config.beta} and weight_decay {config.weight_decay}; "
            "wanted a positive learning rate and no negative weight."
        )
    if config.clip is not None and not config.clip > 0:
        raise ValueError(f"clip is {config.clip}; wanted a positive norm, or None.")
    if config.likelihood == "normal" and config.std is None:
        raise ValueError(
            "likelihood normal needs a std, which weighs the squared error against the KL; give one, such as --std 0.1, or let "
            "it be learned by normal_shared_std or normal_learned_std."
        )
    if config.binarisation == "uint8" and config.likelihood in ("bernoulli", "normal"):
        raise ValueError(
            f"binarisation uint8 shows the values 0 to 255, which the likelihood {config.likelihood} is not made for; "
            "choose dynamic, static or none."
        )


if __name__ == "__main__":
    vae.main(experiment, presets=PRESETS, workdir=workdir)
