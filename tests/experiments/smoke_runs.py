"""An experiment's smoke run as the tests want it: compiled in a hurry or not trained at all, and read back."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vae.training.sweep import Swept

from experiments import comparison
from vae.training.state import TrainState, initial_state
from vae.training.step import make_train_step
from vae.types import Batch


def untrained(config, model, objective, data, settings=None, shapes=None, optimiser=comparison.ADAM) -> Swept:
    """In place of `comparison.train`: random parameters, nearly the same for all objectives.

    The train step is traced, so that it is known to fit, but not compiled, which is what takes the time of a smoke run.
    """
    levels = max((len(values) for values in (settings or {}).values()), default=1)
    names = ("learning_rate", *(settings or {}))
    keys = comparison.equal_starts(config, levels)
    state = jax.eval_shape(lambda key: initial_state(model, objective, optimiser, key, dict.fromkeys(names, 1.0)), keys[0])
    batch = Batch(jnp.zeros((8, *data.spec.shape)), (), jnp.ones(8))
    jax.eval_shape(make_train_step(model, objective, optimiser, shapes), state, batch)
    start, step = np.random.default_rng(0), np.random.default_rng(len(repr(objective.summands)))

    def values(leaf):
        shape = (len(keys), *leaf.shape)
        return jnp.asarray(0.1 * start.normal(size=shape) + 0.01 * step.normal(size=shape), jnp.float32)

    empty = dict.fromkeys(TrainState._fields, ())
    params, model_state = jax.tree.map(values, jax.eval_shape(model.init, keys[0]))
    fields = {"step": jnp.zeros(len(keys)), "params": params, "model_state": model_state}
    return Swept(TrainState(**empty | fields), steps=None, metrics={})


def smoke_run(experiment: Any, workdir: Path, *, train: bool = True, **flags: Any) -> dict[str, Any]:
    """The numbers that `main` left behind; with the models `untrained`, where training is not what is tested."""
    name = experiment.__name__.rpartition(".")[2]
    config = dataclasses.replace(experiment.Config(), smoke=True, workdir=workdir, **flags)
    with pytest.MonkeyPatch.context() as patch:
        if not train:
            patch.setattr(comparison, "train", untrained)
        assert experiment.main(config) == 0
    assert (workdir / f"{name}.png").stat().st_size > 1000
    numbers = json.loads((workdir / f"{name}.json").read_text())
    require_finite({part: numbers[part] for part in ("models", "differences")})
    return numbers


def require_finite(value: Any) -> None:
    """Every number is one; `write_json` writes null for NaN and infinities."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            require_finite(item)
    else:
        assert isinstance(value, int | float), value
