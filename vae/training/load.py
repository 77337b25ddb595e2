"""A finished or running run, read back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from vae.reference import Reference, resolve
from vae.training import workdir as files
from vae.training.checkpoint import Checkpoints
from vae.types import Data, Model, PyTree


class Loaded(NamedTuple):
    """A model and its parameters.

    model:       built again from the reference in the run's configuration.
    params:      the parameters; their moving average where the run keeps one.
    model_state: what the model carries.
    step:        the step of the checkpoint.
    which:       "best" or "latest", as asked for.
    data:        shape and space of the data it was trained on.
    config:      the run's configuration.
    """

    model: Model
    params: PyTree
    model_state: PyTree
    step: int
    which: str
    data: Data
    config: Mapping[str, Any]


def load(workdir: str | Path, which: Literal["best", "latest"] = "best", model: Model | None = None) -> Loaded:
    """Give a notebook the model of a run and its parameters back; also in a fresh process, also while the run goes on.

    which: "best" by validation ELBO, or "latest"; a run without validation has no best.
    model: needed where the run was fitted with a model instead of a reference to one.

    Raises RunError for a directory that is not a run, CheckpointError where there is nothing to load.
    """
    if which not in ("best", "latest"):
        raise ValueError(f"which is {which!r}; wanted 'best' or 'latest'.")
    config = files.read_config(workdir)
    data = Data(shape=tuple(config["data"]["shape"]), space=config["data"]["space"])
    if model is None:
        model = resolve(_reference(workdir, config), data)
    params, model_state = jax.eval_shape(model.init, jax.random.key(0))
    averaged = config["fit"]["average_decay"] is not None
    template = {"average" if averaged else "params": params, "model_state": model_state}
    with Checkpoints(Path(workdir) / files.CHECKPOINTS, read_only=True) as checkpoints:
        restored = checkpoints.restore(template, which, partial=True)
    params = restored.state["average" if averaged else "params"]
    return Loaded(model, params, restored.state["model_state"], restored.step, which, data, config)


def _reference(workdir: str | Path, config: Mapping[str, Any]) -> Reference:
    if config.get("model") is None:
        raise files.RunError(
            f"the run in {workdir} was fitted with a model object, which no file can hold; pass it as model=, "
            "or fit with vae.reference_to(your_function, ...)."
        )
    return Reference(**config["model"])
