"""An experiment's smoke run as the tests want it: compiled in a hurry, and read back."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax


@contextlib.contextmanager
def hardly_optimised() -> Iterator[None]:
    """Compile in a hurry, where programs run for a few steps only."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)


def smoke_run(experiment: Any, workdir: Path, **flags: Any) -> dict[str, Any]:
    """The numbers that `main` left behind."""
    name = experiment.__name__.rpartition(".")[2]
    config = dataclasses.replace(experiment.Config(), smoke=True, workdir=workdir, **flags)
    with hardly_optimised():
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
