"""The console command in this process, from a folder outside the repository that holds scripts."""

import contextlib
import io
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from vae.command import console, line
from vae.reports import evaluation

SCRIPTS = Path(__file__).parent / "scripts"


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a user's scripts lie."""
    return Path(shutil.copytree(SCRIPTS, tmp_path_factory.mktemp("user") / "project"))


@pytest.fixture(scope="module")
def vae_command(folder):
    """vae_command(*words) -> exit code, stdout, stderr; modules are imported afresh, as in a process of its own."""

    def call(*words) -> Said:
        out, err = io.StringIO(), io.StringIO()
        streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
        with pytest.MonkeyPatch.context() as patch, streams[0], streams[1]:
            patch.chdir(folder)
            patch.setattr(sys, "path", list(sys.path))
            patch.setattr(sys, "argv", ["vae", *map(str, words)])
            patch.setattr(line, "use_compilation_cache", lambda: None)  # the tests have set their own
            if words[:1] == ("train",) and len(words) > 1:
                patch.delitem(sys.modules, words[1], raising=False)
            with pytest.raises(SystemExit) as end:
                console.main()
            for path in folder.glob("*.py"):
                sys.modules.pop(path.stem, None)
            return Said(end.value.code or 0, out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def no_figures(monkeypatch):
    """Where figures are not what is tested: they take most of the time."""
    monkeypatch.setattr(evaluation, "figures_of", lambda *args, **kwargs: {})


@pytest.fixture
def refused(vae_command):
    """refused(*words): what is said in one sentence, with exit code 1."""

    def call(*words) -> str:
        said = vae_command(*words)
        assert (said.code, said.err.count("\n")) == (1, 1), said
        assert said.err.startswith("error: ")
        return said.err

    return call
