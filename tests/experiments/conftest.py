"""The scripts as a user calls them, in this process: what they print, and their exit code."""

from pathlib import Path
from typing import NamedTuple

import pytest
import smoke_runs

from experiments import train


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(capfd):
    """call(module, *flags): run a script with these flags."""

    def run(module, *flags) -> Said:
        return Said(smoke_runs.call(module.__name__, *flags), *capfd.readouterr())

    return run


@pytest.fixture
def refused(call):
    """refused(module, *flags): what is said in one sentence."""

    def run(module, *flags) -> str:
        said = call(module, *flags)
        assert said.code not in (0, None)
        assert said.err.count("\n") == 1, said.err
        assert "Traceback" not in said.err
        return said.err

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A finished run on the digits."""
    workdir = tmp_path_factory.mktemp("trained") / "run"
    flags = {"steps": 60, "batch-size": 32, "hidden": 8, "latent-dim": 2, "samples": 3, "log-every": 10, "validate-every": 20}
    given = [word for name, value in {**flags, "workdir": workdir}.items() for word in (f"--{name}", value)]
    assert smoke_runs.call(train.__name__, *given, "--no-progress") == 0
    return workdir
