"""The flags that every training script has; a script's own dataclass adds to them."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from vae.command.runs import loaded_run
from vae.data.view import TEST_LIMIT
from vae.reference import name_of
from vae.training.experiment import Experiment, Host, Origin
from vae.training.planning import planned
from vae.training.records import WeightsAndBiases, Writer
from vae.training.stopping import Stop, never, patience

SMOKE = {"steps": 40, "log_every": 10, "samples": 10, "test_examples": 360}
"""What `--smoke` makes of the common flags."""

UNSEEN = (
    *("preset", "workdir", "save_every", "patience", "log_every", "chunk", "samples", "test_examples"),
    *("resume", "wandb", "smoke", "progress"),
)
"""The common flags that may differ between two starts of the same run."""


@dataclass(frozen=True)
class Flags:
    """The flags of a training run that do not depend on what is trained."""

    preset: str = "default"
    """Named starting point; the other flags change it."""
    workdir: Path | None = None
    """Where everything goes; a run that is there is resumed. Default: a folder of the script's under runs/."""
    steps: int = 8_000
    """Of training, those before an interruption included; may be raised later where no schedule depends on it."""
    batch_size: int = 128
    """Examples per step."""
    seed: int = 0
    """Decides everything random: the same flags give the same run."""
    average_decay: float | None = None
    """Decay of a moving average of the parameters; it is what is evaluated then."""
    init_from: Path | None = None
    """Work directory of a run whose best parameters to start from."""
    validate_every: Annotated[int | None, tyro.conf.arg(aliases=["--checkpoint-every"])] = None
    """Steps between validations, each with a checkpoint; default: ten in the whole run."""
    save_every: int | None = None
    """Steps between further checkpoints; never shows in the numbers."""
    patience: int | None = None
    """Validations without a better one after which training stops; default: never."""
    log_every: int = 100
    """Steps between records of the training metrics."""
    chunk: int | None = None
    """Steps per compiled program; never shows in the numbers."""
    samples: int = 100
    """Importance samples of the test NLL."""
    test_examples: int = TEST_LIMIT
    """Test examples to evaluate, at most."""
    resume: Literal["same", "anyway"] = "same"
    """What to do where the work directory holds another run: refuse, or go on with it anyway."""
    wandb: str | None = None
    """Weights & Biases project to log to as well."""
    smoke: bool = False
    """A few steps and importance samples, where no other flag says how many: to see that everything works."""
    progress: bool = True
    """Draw a progress bar."""


def smoked(config: Any, preset: Any, small: Mapping[str, Any]) -> Any:
    """The same run in a few seconds; what differs from the preset was asked for and stays."""
    unchanged: dict[str, Any] = {n: v for n, v in small.items() if getattr(config, n) == getattr(preset, n)}
    return dataclasses.replace(config, **unchanged)  # type: ignore[type-var]


def name_of_module(function: Callable) -> str:
    """The last part of the name of a script's module: what its files and folders are called."""
    return name_of(function).partition(":")[0].rpartition(".")[2]


def require_usable(config: Flags) -> None:
    """Refuse, before anything is loaded, what would only be found out late."""
    if config.samples < 1:
        raise ValueError(f"samples is {config.samples}; wanted at least 1 importance sample.")
    if config.test_examples < 1:
        raise ValueError(f"test_examples is {config.test_examples}; wanted at least 1.")
    if config.average_decay is not None and not 0 <= config.average_decay < 1:
        raise ValueError(f"average_decay is {config.average_decay}; wanted a number from 0 to below 1, such as 0.999.")
    if config.patience is not None:
        patience(config.patience)


def with_size(experiment: Experiment, config: Any) -> Experiment:
    """The experiment with the steps and the batch size of the flags; a size that cannot be followed is refused."""
    if not isinstance(experiment, Experiment):
        raise TypeError(f"the script returned a {type(experiment).__name__}; wanted a vae.Experiment of its flags.")
    several = isinstance(experiment.batch_size, Mapping)
    followed = several and config.batch_size in experiment.batch_size.values()  # type: ignore[union-attr]
    if several and not followed and config.batch_size != type(config).batch_size:
        raise ValueError(f"batch_size is {config.batch_size}, but this script has a batch size for each feed; leave it out.")
    return experiment._replace(steps=config.steps, batch_size=experiment.batch_size if several else config.batch_size)


def with_flags(experiment: Experiment, config: Flags) -> Experiment:
    """The experiment with what the common flags decide; a flag that cannot be followed is refused."""
    return with_size(experiment, config)._replace(
        seed=config.seed,
        average_decay=config.average_decay,
        validate_every=config.validate_every,
        start=experiment.start if config.init_from is None else loaded_run(config.init_from).trained,
    )


def host_of(config: Flags, workdir: Path, stop: Stop, origin: Origin, provenance: dict[str, Any]) -> Host:
    """How the flags want the run to be watched."""
    return Host(
        log_every=config.log_every,
        save_every=config.save_every,
        chunk=config.chunk,
        stop=stop,
        writers=writers_of(config, workdir),
        progress=config.progress,
        provenance=provenance,
        origin=origin,
    )


def stop_of(config: Flags, experiment: Experiment) -> Stop:
    """When to stop early: after `patience` validations without a better value of what the run selects by."""
    if config.patience is None:
        return never
    select = planned(experiment).select
    if experiment.data.validation is None and select.metric not in experiment.metrics:
        raise ValueError(
            f"patience is {config.patience}, but the data have no validation split to be patient with; leave it out."
        )
    return patience(config.patience, select.metric, higher_is_better=select.higher_is_better)


def writers_of(config: Flags, workdir: Path) -> tuple[Writer, ...]:
    """Weights & Biases, if asked for; JSON lines and TensorBoard are always there."""
    from vae.training.origin import to_json

    return () if config.wandb is None else (WeightsAndBiases(config.wandb, workdir.name, to_json(config)),)
