"""The scripts as a user calls them, in this process: what they print, and their exit code."""

import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from experiments import command_line, train


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch, capfd):
    """call(module, *flags): run a script with these flags."""
    monkeypatch.setattr(command_line, "use_compilation_cache", lambda: None)  # the tests have set their own

    def run(module, *flags) -> Said:
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, flags)])
        with pytest.raises(SystemExit) as end:
            command_line.run(module.main, module.Config, getattr(module, "PRESETS", None))
        return Said(end.value.code or 0, *capfd.readouterr())

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
    config = train.Config(
        steps=60,
        batch_size=32,
        hidden=(8,),
        latent_dim=2,
        samples=3,
        log_every=10,
        checkpoint_every=20,
        progress=False,
        workdir=workdir,
    )
    assert train.main(config) == 0
    return workdir
