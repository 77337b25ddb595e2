"""From the words of a command line to a run: parsing, presets, one sentence for an error, and exit codes."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import pytest

from vae import command
from vae.command import line, sampling
from vae.command.flags import name_of_module, smoked
from vae.training.origin import flags_as_json


@dataclass(frozen=True)
class Config:
    """The flags of a script in small."""

    preset: str = "default"
    number: int = 1
    widths: tuple[int, ...] = (4, 8)
    path: Path | None = None


PRESETS = {"default": Config(), "large": Config(preset="large", number=100, widths=(64,))}


@pytest.fixture
def run(monkeypatch, capsys):
    """run(main, *flags) -> exit code, stdout, stderr."""
    monkeypatch.setattr(line, "use_compilation_cache", lambda: None)

    def call(main, *flags):
        monkeypatch.setattr(sys, "argv", ["script", *flags])
        with pytest.raises(SystemExit) as end:
            command.run(main, Config, PRESETS)
        return (end.value.code, *capsys.readouterr())

    return call


def parsed(run, *flags):
    seen = []

    def main(config):
        seen.append(config)

    assert run(main, *flags)[0] == 0
    return seen[0]


@pytest.mark.parametrize("flags", [("--preset", "large"), ("--preset=large",)])
def test_a_preset_is_where_the_flags_start_from(run, flags):
    assert parsed(run, *flags) == PRESETS["large"]
    assert parsed(run, *flags, "--number", "3") == dataclasses.replace(PRESETS["large"], number=3)
    assert parsed(run, "--number", "3", *flags) == dataclasses.replace(PRESETS["large"], number=3)
    assert parsed(run) == Config()


@pytest.mark.parametrize("flags", [("--preset", "larger"), ("--preset=",), ("--preset",)])
def test_an_unknown_preset_names_the_known_ones(run, flags):
    code, out, err = run(lambda config: None, *flags)
    assert code == 1
    assert "wanted one of default, large." in err
    assert (out, err.count("\n")) == ("", 1)


def raising(error):
    def main(config):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("steps is 0;\n   wanted more."), 1, "error: steps is 0; wanted more.\n"),
        (PermissionError(13, "Permission denied", "/a/b"), 1, "error: /a/b: Permission denied; check the path"),
        (FileNotFoundError("there is no file x"), 1, "error: there is no file x\n"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command to go on.\n"),
    ],
)
def test_what_a_user_did_is_said_in_one_sentence(run, error, code, said):
    found = run(raising(error))
    assert found[:2] == (code, "")
    assert found[2].startswith(said)
    assert found[2].count("\n") == 1


def test_a_defect_of_ours_keeps_its_traceback(run):
    with pytest.raises(ZeroDivisionError):
        run(raising(ZeroDivisionError("ours")))


def test_the_traceback_may_be_asked_for(run, monkeypatch):
    monkeypatch.setenv("VAE_DEBUG", "1")
    with pytest.raises(ValueError, match="steps is 0"):
        run(raising(ValueError("steps is 0")))


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (143, 143)])
def test_the_exit_code_is_what_main_returns(run, returned, code):
    assert run(lambda config: returned)[0] == code


def test_help_tells_what_it_is_and_every_flag(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as end:
        command.run(sampling.main, sampling.Config, arguments=["--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert "vae sample --workdir" in out
    assert all(f"--{f.name.replace('_', '-')}" in out for f in dataclasses.fields(sampling.Config))


def test_smoke_leaves_what_was_asked_for():
    large = PRESETS["large"]
    assert smoked(large, large, {"number": 2, "widths": (1,)}) == dataclasses.replace(large, number=2, widths=(1,))
    asked = dataclasses.replace(large, number=3)
    assert smoked(asked, large, {"number": 2, "widths": (1,)}) == dataclasses.replace(large, number=3, widths=(1,))


def test_files_are_called_as_the_module_of_the_script():
    assert name_of_module(sampling.main) == "sampling"


def test_flags_as_json():
    config = Config(path=Path("a/b"))
    assert flags_as_json(config) == {"preset": "default", "number": 1, "widths": [4, 8], "path": "a/b"}


def test_the_compilation_cache_lies_where_the_data_cache_does(tmp_path, monkeypatch):
    before = {name: getattr(jax.config, name) for name in ("jax_compilation_cache_dir",)}
    monkeypatch.setenv("VAE_CACHE_DIR", str(tmp_path / "cache"))
    try:
        line.use_compilation_cache()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "cache" / "xla")
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("VAE_CACHE_DIR", str(tmp_path / "file" / "below"))
        line.use_compilation_cache()  # a cache that cannot be made is done without
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "cache" / "xla")
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
