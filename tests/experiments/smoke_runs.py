"""A comparison's smoke run as the tests want it: compiled in a hurry or not trained at all, and read back."""

import contextlib
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae.command import line
from vae.reports import comparing
from vae.training.planning import planned
from vae.training.state import TrainState
from vae.training.sweeping import Member, Swept, combinations


def untrained(experiment, seeds, settings=None, zip=None, host=None) -> Swept:
    """In place of `sweep`: random parameters, nearly the same for all objectives.

    What a model carries is positive, since it may be variances. The train step is traced, so that it is known to fit, but not
    compiled, which is what takes the time of a smoke run.
    """
    members = [Member(seed, level, []) for level in combinations(settings or {}, zip or {}) for seed in seeds]
    plan = planned(experiment)
    state, batch = plan.traced_with()
    plan.program.step.trace(state, batch)
    start, step = np.random.default_rng(0), np.random.default_rng(len(repr(plan.objective.summands)))

    def values(leaf):
        shape = (len(members), *leaf.shape)
        return jnp.asarray(0.1 * start.normal(size=shape) + 0.01 * step.normal(size=shape), jnp.float32)

    params, model_state = jax.tree.map(values, (state.params, state.model_state))
    model_state = jax.tree.map(jnp.abs, model_state)
    one_each = {"step": jnp.zeros(len(members)), "settings": {name: jnp.ones(len(members)) for name in state.settings}}
    states = TrainState(**dict.fromkeys(TrainState._fields, ()) | one_each | {"params": params, "model_state": model_state})
    return Swept(members, states, states, plan)


def call(module: str, *flags: Any) -> int:
    """Run a script as `python -m` does, in this process; return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line, "use_compilation_cache", lambda: None)  # the tests have set their own
        patch.setattr(sys, "argv", [module, *map(str, flags)])
        patch.delitem(sys.modules, module, raising=False)
        with pytest.raises(SystemExit) as end:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    return end.value.code or 0


def smoke_run(experiment: Any, workdir: Path, *flags: Any, train: bool = True) -> dict[str, Any]:
    """The numbers that a comparison left behind; with the models `untrained`, where training is not what is tested."""
    name = experiment.__name__.rpartition(".")[2]
    with pytest.MonkeyPatch.context() as patch:
        if not train:
            patch.setattr(comparing, "sweep", untrained)
        with contextlib.redirect_stdout(None):
            assert call(experiment.__name__, "--smoke", "--workdir", workdir, *flags) == 0
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
