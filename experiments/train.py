"""Train a variational autoencoder on images, evaluate it, draw it.

    python -m experiments.train                                  the embedded digits, about a minute on two cores
    python -m experiments.train --preset mnist                   784-400-20 on MNIST
    python -m experiments.train --preset mnist-tanh              784-200-200-50 tanh on MNIST: test NLL in README.md
    python -m experiments.train --data cifar10 --network conv --binarisation none --likelihood normal

Run it again with the same flags to resume what was interrupted; the result is the same, bit for bit.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import optax

import vae
from experiments import command_line
from experiments.evaluate import PROTOCOL, RATES, TEST_LIMIT, evaluate_run
from vae import schedules
from vae.data.view import evaluation_images, training_feed
from vae.training.digest import tree_sha256
from vae.training.interrupt import exit_code
from vae.training.records import Writer

VALIDATION_LIMIT = 5_000
NOT_IDENTITY = (
    "preset",
    "workdir",
    "checkpoint_every",
    "log_every",
    "chunk",
    "samples",
    "test_examples",
    "init_from",
    "smoke",
    "wandb",
    "progress",
)


@dataclass(frozen=True)
class Config:
    """The flags of a training run."""

    preset: str = "default"
    """Named starting point; the other flags change it."""
    data: str = "digits"
    """digits, sprites, any TensorFlow Datasets image set, a path (IDX, .npz, folder, .zip) or module:function."""
    binarisation: Literal["dynamic", "static", "none", "uint8"] = "dynamic"
    """Fresh draws every step, one fixed draw, gray in [0, 1], or the 256 values."""
    network: Literal["mlp", "conv"] = "mlp"
    """Fully connected or convolutional encoder and decoder."""
    hidden: tuple[int, ...] = (256,)
    """Widths of the fully connected layers."""
    widths: tuple[int, ...] = (32, 64)
    """Channels of the convolutional layers; each halves the image."""
    activation: str = "relu"
    """relu, tanh, gelu, silu or elu."""
    likelihood: str = "bernoulli"
    """Of the pixels: bernoulli, or normal for gray and colour."""
    latent_dim: int = 10
    """Dimensions of the latent code."""
    latents: str = "normal"
    """Posterior and prior: normal, multivariate_normal, low_rank_normal, laplace, von_mises_fisher, power_spherical,
    spike_and_slab, categorical, inverse_autoregressive, normal_mixture, normal_flow; the last three need --rate log_ratio."""
    rate: Literal["analytic", "log_ratio"] = "analytic"
    """The KL in closed form, or the log ratio at the sample, which a mixture or flow prior needs."""
    beta: float = 1.0
    """Weight of the KL; 1 is the evidence lower bound."""
    beta_warm_up: int = 0
    """Steps over which beta rises from 0 in a straight line."""
    steps: int = 8_000
    """Of training, those before an interruption included; may be raised later where no schedule depends on it."""
    batch_size: int = 128
    """Images per step."""
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
    average_decay: float | None = None
    """Decay of a moving average of the parameters; it is what is evaluated then."""
    seed: int = 0
    """Decides everything random: the same flags give the same run."""
    workdir: Path | None = None
    """Where everything goes; a run that is there is resumed. Default: runs/DATA."""
    init_from: Path | None = None
    """Work directory of a run whose best parameters to start from."""
    checkpoint_every: int | None = None
    """Steps between checkpoints; default: ten in the whole run."""
    log_every: int = 100
    """Steps between records of the training metrics."""
    chunk: int | None = None
    """Steps per compiled program; never shows in the numbers."""
    samples: int = 100
    """Importance samples of the test NLL."""
    test_examples: int = TEST_LIMIT
    """Test images to evaluate, at most."""
    wandb: str | None = None
    """Weights & Biases project to log to as well."""
    smoke: bool = False
    """A few steps and importance samples, where no other flag says how many: to see that everything works."""
    progress: bool = True
    """Draw a progress bar."""


MNIST = Config(data="mnist", hidden=(400,), latent_dim=20, steps=445 * 50)
PRESETS = {
    "default": Config(),
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


def main(config: Config) -> int:
    """Train, evaluate, draw; return the exit code."""
    config = smoke(config) if config.smoke else config
    require_usable(config)
    workdir = config.workdir or Path("runs") / Path(config.data.partition(":")[0]).name
    dataset = vae.data.load(config.data)
    feed = training_feed(dataset, config.binarisation)
    validation, _ = evaluation_images(dataset, "validation", config.binarisation, VALIDATION_LIMIT)
    parent = None if config.init_from is None else vae.load(config.init_from)
    identity = command_line.as_json(config, without=NOT_IDENTITY) | {
        "data_sha256": dataset.sha256,
        "init_from": None if config.init_from is None else str(config.init_from.resolve()),
    }
    objective, levels = vae.elbo(RATES[config.rate]), {"beta": config.beta, "learning_rate": config.learning_rate}
    vae.describe(objective, settings=levels, schedules=schedules_of(config))
    fitted = vae.fit(
        model_of(config),
        objective,
        optimiser_of(config),
        feed,
        jax.random.key(config.seed),
        steps=config.steps,
        batch_size=config.batch_size,
        validation=vae.Batch(x=jnp.asarray(validation), context=(), weight=jnp.ones(len(validation))),
        workdir=workdir,
        settings=levels,
        schedules=schedules_of(config),
        average_decay=config.average_decay,
        rates=RATES[config.rate],
        chunk=config.chunk,
        log_every=config.log_every,
        checkpoint_every=config.checkpoint_every,
        writers=writers_of(config, workdir),
        initial_params=None if parent is None else parent.params,
        experiment=identity,
        provenance={"data_sha256": dataset.sha256, "evaluation_protocol": PROTOCOL, "parent": origin(config.init_from, parent)},
        progress=config.progress,
    )
    if fitted.signal is not None:
        print(f"stopped at step {int(fitted.state.step)} of {config.steps}; run the same command to go on.")
        return exit_code(fitted.signal)
    evaluate_run(
        workdir, samples=config.samples, limit=config.test_examples, dataset=dataset, state=fitted.state, records=fitted.records
    )
    return 0


def model_of(config: Config) -> vae.Reference:
    """The model that the flags describe, by reference."""
    common = {
        "latent_dim": config.latent_dim,
        "hidden": config.hidden,
        "activation": config.activation,
        "likelihood": config.likelihood,
        "latents": config.latents,
    }
    if config.network == "mlp":
        return vae.reference_to(vae.models.mlp, **common)
    return vae.reference_to(vae.models.convolutional, widths=config.widths, **common)


def optimiser_of(config: Config) -> optax.GradientTransformation:
    """Adam or AdamW at unit rate (the learning rate is a setting), behind a clip of the gradient's norm."""
    clip = optax.clip_by_global_norm(config.clip) if config.clip else optax.identity()
    adam = optax.adamw(1.0, weight_decay=config.weight_decay) if config.weight_decay else optax.adam(1.0)
    return optax.chain(clip, adam)


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


def writers_of(config: Config, workdir: Path) -> tuple[Writer, ...]:
    """Weights & Biases, if asked for; JSON lines and TensorBoard are always there."""
    if config.wandb is None:
        return ()
    from vae.training.records import WeightsAndBiases

    return (WeightsAndBiases(config.wandb, workdir.name, command_line.as_json(config)),)


def origin(workdir: Path | None, parent: vae.Loaded | None) -> dict | None:
    """Where the first parameters came from, for the provenance; None for a run that starts afresh."""
    if parent is None:
        return None
    digest = tree_sha256(parent.params)
    return {"workdir": str(workdir), "step": parent.step, "which": parent.which, "params_sha256": digest}


def smoke(config: Config) -> Config:
    """The same run in a few seconds; what differs from the preset was asked for and stays."""
    preset = PRESETS.get(config.preset, PRESETS["default"])
    small = {"steps": 40, "log_every": 10, "samples": 10, "test_examples": 360}
    return dataclasses.replace(config, **{n: v for n, v in small.items() if getattr(config, n) == getattr(preset, n)})


def require_usable(config: Config) -> None:
    """Refuse, before anything is loaded, what would only be found out late or not in one sentence."""
    if config.samples < 1:
        raise ValueError(f"samples is {config.samples}; wanted at least 1 importance sample.")
    if config.learning_rate <= 0 or config.beta < 0 or config.weight_decay < 0:
        raise ValueError(
            f"learning_rate is {config.learning_rate}, beta {config.beta} and weight_decay {config.weight_decay}; "
            "wanted a positive learning rate and no negative weight."
        )
    if config.clip is not None and not config.clip > 0:
        raise ValueError(f"clip is {config.clip}; wanted a positive norm, or None.")
    if config.average_decay is not None and not 0 <= config.average_decay < 1:
        raise ValueError(f"average_decay is {config.average_decay}; wanted a number from 0 to below 1, such as 0.999.")
    if config.binarisation == "uint8" and config.likelihood in ("bernoulli", "normal"):
        raise ValueError(
            f"binarisation uint8 shows the values 0 to 255, which the likelihood {config.likelihood} is not made for; "
            "choose dynamic, static or none."
        )


if __name__ == "__main__":
    command_line.run(main, Config, PRESETS)
