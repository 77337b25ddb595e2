"""The one line at the end of a script that compares models: its flags, its files, and what it refuses."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import toys

import vae
from vae.command import ComparisonFlags, comparing, comparison, line
from vae.reports import durable

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
SPLITS = vae.data.Splits(train=X[:40], test=X[40:])


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of a script in small."""

    heavy: float = 4.0
    batch_size: int = 10


PRESETS = {"heavier": Config(preset="heavier", heavy=8.0, seeds=1)}


def variants(config: Config) -> dict[str, vae.Experiment]:
    plain = vae.Experiment(
        SPLITS, toys.linear_gaussian(), steps=config.steps, batch_size=config.batch_size, settings={"beta": 1.0}
    )
    return {"plain": plain, f"beta {config.heavy:g}": plain._replace(settings={"beta": config.heavy})}


def forgetful(config: Config) -> dict[str, vae.Experiment]:
    return {"plain": vae.Experiment(SPLITS, toys.linear_gaussian(), steps=9, batch_size=9)}


def unannotated(config):
    return {}


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """run(*flags, **arguments) -> exit code, stdout, stderr, in an empty folder."""
    monkeypatch.setattr(line, "use_compilation_cache", lambda: None)
    monkeypatch.chdir(tmp_path)

    def call(*flags, **arguments):
        monkeypatch.setattr(sys, "argv", ["script", *map(str, flags)])
        with pytest.raises(SystemExit) as end:
            comparison(variants, **{"title": "Plain and heavy", "presets": PRESETS, **arguments})
        return (end.value.code or 0, *capfd.readouterr())

    return call


def test_numbers_table_and_figure_are_called_as_the_script(run):
    code, out, _ = run("--smoke", "--steps", 2, "--images", 5, smoke={"heavy": 2.0})
    assert code == 0
    folder = Path("runs/test_comparison_script")
    assert sorted(path.name for path in folder.iterdir()) == [
        f"test_comparison_script.{kind}" for kind in ("json", "md", "png")
    ]
    numbers = json.loads((folder / "test_comparison_script.json").read_text())
    assert list(numbers) == ["config", "models", "differences", "provenance"]
    flags = {"steps": 2, "images": 5, "seeds": 2, "samples": 20, "heavy": 2.0, "workdir": str(folder), "smoke": True}
    assert flags.items() <= numbers["config"].items(), "what was asked for stays, the rest is small"
    assert list(numbers["differences"]) == ["beta 2 minus plain"]
    assert len(numbers["provenance"]["data_sha256"]) == 64
    said = ("\nplain: NLL at most ", "\nbeta 2: NLL at most ", "| NLL, at most")
    assert sorted(said, key=out.index) == list(said)
    assert (folder / "test_comparison_script.md").read_text() in out


@pytest.mark.slow
def test_a_script_may_have_its_own_pairs_scores_columns_and_figure(run, tmp_path, monkeypatch):
    seen = []

    def figure(config, found, title):
        seen.append((config.heavy, title))
        return found.figure(title)

    flags = ("--preset", "heavier", "--steps", 2, "--images", 5, "--samples", 2, "--workdir", tmp_path / "here")
    own = {
        "figure": figure,
        "pairs": lambda config: [("plain", f"beta {config.heavy:g}")],
        "scores": lambda config: {"heavy": lambda trained, examples: config.heavy},
        "columns": {"heavy": ("weight", 1)},
    }
    code, out, _ = run(*flags, **own)
    assert code == 0
    assert seen == [(8.0, "Plain and heavy")]
    assert "| plain minus beta 8 | 0.0    |" in out
    assert (tmp_path / "here" / "test_comparison_script.png").stat().st_size > 1000
    monkeypatch.setattr(durable, "fit", lambda *args: pytest.fail("the same command trained again"))
    assert run(*flags, **own)[1].splitlines() == [said for said in out.splitlines() if not said.startswith("step ")]
    code, _, err = run(*flags, "--batch-size", 20, **own)
    assert (code, err.count("\n")) == (1, 1)
    assert "holds another run: batch_size is 10 there, 20 now; use the old value or another workdir." in err


def test_every_variant_has_the_steps_and_the_batch_size_of_the_flags(monkeypatch):
    seen = {}

    def compare(variants, **how):
        seen.update(variants)
        raise ValueError("enough seen")

    monkeypatch.setattr(comparing, "compare", compare)
    script = comparing.Script(forgetful, "", {"default": Config()}, {}, None, None, None, None, None)
    with pytest.raises(ValueError, match="enough seen"):
        comparing.compare_and_write(script, Config(steps=3, batch_size=5))
    assert (seen["plain"].steps, seen["plain"].batch_size) == (3, 5)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--preset", "light"), "preset is 'light'; wanted one of default, heavier."),
        (("--seeds", 0), "seeds is 0; wanted at least 1."),
        (("--samples", 0), "samples is 0; wanted at least 1."),
        (("--images", 0), "limit is 0; wanted at least 1."),
        (("--batch-size", 41), "batch_size is 41, more than the 40 training examples"),
    ],
)
def test_what_a_user_did_is_said_in_one_sentence(run, flags, said):
    code, out, err = run(*flags)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert said in err


def test_the_flags_extend_those_of_every_comparison(capfd):
    with pytest.raises(SystemExit):
        comparison(unannotated, title="")
    assert "extends ComparisonFlags of vae.command" in capfd.readouterr().err
