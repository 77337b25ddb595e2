"""A finished or running run, read back; no data are read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from vae.reference import Reference
from vae.spec import Data
from vae.trained import Trained
from vae.training import workdir as files
from vae.training.checkpoint import Checkpoints
from vae.training.experiment import Experiment, Origin
from vae.training.origin import experiment_of
from vae.training.planning import model_of
from vae.training.shapes import spec_from_json
from vae.types import Model

Which = Literal["best", "latest"]


class Loaded(NamedTuple):
    """A run on disk.

    trained: the model with its parameters; their moving average where the run keeps one.
    spec:    what it was built for.
    step:    of the checkpoint.
    which:   "best" or "latest", as asked for.
    config:  the run's configuration, in the present format.
    workdir: where it was found.
    """

    trained: Trained
    spec: Data
    step: int
    which: str
    config: Mapping[str, Any]
    workdir: Path


def load(
    workdir: str | Path, which: Which = "best", experiment: Experiment | None = None, model: Model | None = None
) -> Trained:
    """The model of a run with its parameters; in another process too, and while the run goes on.

    which:             "best" by the metric that the run selects by, or "latest"; a run without validation has no best.
    experiment, model: needed where the run's files cannot name its model: it was fitted in a notebook, with a model object.

    >>> trained = vae.load("runs/mine")
    >>> vae.evaluation.generate.sample_prior(trained, jax.random.key(0), 16)[0].shape
    (16, 2)

    Raises RunError for a directory that is not a run, CheckpointError where there is nothing to load.
    """
    return load_run(workdir, which, experiment, model).trained


def load_run(
    workdir: str | Path, which: Which = "best", experiment: Experiment | None = None, model: Model | None = None
) -> Loaded:
    """`load`, with what else the directory says of the run."""
    if which not in ("best", "latest"):
        raise ValueError(f"which is {which!r}; wanted 'best' or 'latest'.")
    config = files.read_config(workdir)
    spec = spec_from_json(config["data"])
    model = model_of_run(workdir, config, spec, experiment) if model is None else model
    params, model_state = jax.eval_shape(model.init, jax.random.key(0))
    kept = "params" if config["run"]["average_decay"] is None else "average"
    with Checkpoints(Path(workdir) / files.CHECKPOINTS, read_only=True) as checkpoints:
        restored = checkpoints.restore({kept: params, "model_state": model_state}, which, partial=True)
    settings = {n: jnp.float32(v) for n, v in restored.notes.get("settings", config["run"]["settings"]).items()}
    trained = Trained(model, restored.state[kept], restored.state["model_state"], settings, spec)
    return Loaded(trained, spec, restored.step, which, config, Path(workdir))


def model_of_run(workdir: str | Path, config: Mapping[str, Any], spec: Data, experiment: Experiment | None = None) -> Model:
    """The model of a run, built again: from the experiment given, by its reference, or by its script."""
    if experiment is not None:
        return model_of(experiment.model, spec)
    if config["model"] is not None:
        return model_of(Reference(**config["model"]), spec)
    if config["origin"] is not None:
        return model_of(experiment_of(Origin(**config["origin"])).model, spec)
    raise files.RunError(
        f"the run in {workdir} was fitted with a model object, which no file can hold; pass experiment= or model=, "
        "or fit with vae.reference_to(your_function, ...)."
    )
