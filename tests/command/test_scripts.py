"""Scripts of a user, outside the repository: trained, resumed, evaluated, sampled and drawn by their one line."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from vae.reports import evaluation

REPOSITORY = Path(__file__).parents[2]
PAPER = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)[1]


def read(path):
    return json.loads(path.read_text())


def figures(workdir):
    return {path.stem for path in (workdir / "figures").glob("*.png")}


def process(folder, *words):
    """`python -m ...` in a fresh process, in a folder outside the repository."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# The paper of the README: conditional, in a module of a user's own


SMALL = ("--smoke", "--no-progress", "--latent-dim", 2, "--test-examples", 40)


@pytest.fixture(scope="module")
def by_class(vae_command, folder):
    (folder / "my_paper.py").write_text(PAPER)
    said = vae_command("train", "my_paper", *SMALL, "--workdir", "by_class")
    assert said.code == 0, said
    return folder / "by_class"


@pytest.mark.slow
def test_a_paper_is_trained_in_a_fresh_process_as_in_this_one(by_class, folder):
    process(folder, "my_paper", *SMALL, "--workdir", "fresh")
    assert figures(folder / "fresh") == figures(by_class)
    assert read(folder / "fresh" / "config.json")["digests"] == read(by_class / "config.json")["digests"]


@pytest.mark.slow
def test_a_paper_is_trained_evaluated_and_drawn(by_class):
    assert {"config.json", "provenance.json", "metrics.jsonl", "checkpoints", "summary.json"} <= {
        p.name for p in by_class.iterdir()
    }
    assert "samples_by_context" in figures(by_class)
    assert read(by_class / "config.json")["origin"]["function"] == "my_paper:experiment"
    assert read(by_class / "summary.json")["step"] == 40


def test_the_same_command_finds_the_finished_run(vae_command, by_class, no_figures):
    before = (by_class / "metrics.jsonl").read_bytes(), read(by_class / "summary.json")["params_sha256"]
    flags = ("--smoke", "--no-progress", "--latent-dim", 2, "--test-examples", 40, "--workdir", by_class)
    assert vae_command("train", "my_paper", "train", *flags).code == 0
    assert before == ((by_class / "metrics.jsonl").read_bytes(), read(by_class / "summary.json")["params_sha256"])


def test_it_is_sampled_by_class(vae_command, by_class):
    said = vae_command("sample", "--workdir", by_class, "--number", 20)
    assert said.code == 0
    with np.load(by_class / "figures" / "samples.npz") as drawn:
        assert (drawn["images"].shape, drawn["latents"].shape) == ((20, 8, 8, 1), (20, 2))
    assert "samples" in figures(by_class)


def test_a_script_that_is_gone_and_data_that_have_changed_are_told(refused, by_class, folder, tmp_path):
    config = read(by_class / "config.json")
    other = {
        "training": config | {"digests": config["digests"] | {"train": "0" * 64}},
        "test": config | {"test_sha256": "0" * 64},
    }
    shutil.copytree(by_class, tmp_path / "other")
    for split, changed in other.items():
        (tmp_path / "other" / "config.json").write_text(json.dumps(changed))
        for command in ("evaluate", "gaps"):
            assert f"the {split} data have changed since the run" in refused(command, "--workdir", tmp_path / "other")
    shutil.move(folder / "my_paper.py", tmp_path)
    try:
        said = refused("evaluate", "--workdir", by_class)
    finally:
        shutil.move(tmp_path / "my_paper.py", folder)
    assert "module my_paper of my_paper:experiment cannot be imported" in said
    assert "run python -m in its folder or set PYTHONPATH" in said


# A script with parts of its own


OWN = ("train", "own_parts", "--smoke", "--no-progress")


@pytest.fixture(scope="module")
def own(vae_command, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "figures_of", lambda *args, **kwargs: {})  # the fresh process draws them
        said = vae_command(*OWN, "--workdir", "own", "--note", "notes/second.txt")
    assert said.code == 0, said
    return folder / "own"


@pytest.mark.slow
def test_a_family_a_kl_and_a_model_of_the_script_are_evaluated_in_a_fresh_process(own, folder):
    before = read(own / "summary.json")
    said = process(folder, "vae", "evaluate", "--workdir", "own", "--samples", 10)
    after = read(own / "summary.json")
    assert "best checkpoint" in said
    assert re.search(rf"│ ink +│ +{after['ink']:.4g} │", said), "a metric of the script's own is a line of the table"
    assert after["ink"] == before["ink"] > 0
    assert after["elbo"] == pytest.approx(before["elbo"], abs=1e-3)
    assert after["kl"] > 0
    assert "samples_prior" in figures(own)


def test_smoke_leaves_what_was_asked_for_and_the_flags_come_back(own):
    origin = read(own / "config.json")["origin"]
    flags = origin["arguments"]
    assert (flags["steps"], flags["batch_size"], flags["layers"]) == (40, 20, {"class": "Layers", "widths": [8]})
    assert (flags["note"], flags["learning_rate"], origin["report"]) == ("notes/second.txt", 1e-3, "own_parts:report")


@pytest.mark.slow
def test_another_run_is_refused_by_the_flag_that_differs_and_may_be_gone_on_with(
    vae_command, refused, own, tmp_path, no_figures
):
    workdir = shutil.copytree(own, tmp_path / "own")
    said = refused(*OWN, "--workdir", workdir, "--layers.widths", 9)
    assert f"{workdir} holds another run: layers.widths is [8] there, [9] now;" in said
    assert "learning_rate is 0.001 there, 0.002 now" in refused(*OWN, "--workdir", workdir, "--learning-rate", 2e-3)
    changed = ("--workdir", workdir, "--learning-rate", 2e-3, "--steps", 50)
    assert vae_command(*OWN, *changed, "--resume", "anyway").code == 0
    again = read(workdir / "provenance.json")["resumed"][-1]
    assert "learning_rate is 0.001" in json.dumps(again)
    assert read(workdir / "summary.json")["step"] == 50


@pytest.mark.slow
def test_a_run_starts_from_anothers_parameters_and_stops_when_it_gets_no_better(vae_command, own, tmp_path, no_figures):
    flags = ("--workdir", tmp_path / "child", "--init-from", own, "--learning-rate", "none")
    said = vae_command(*OWN, *flags, "--steps", 100, "--validate-every", 10, "--patience", 2)
    assert said.code == 0, said
    assert read(tmp_path / "child" / "summary.json")["step"] == 30
    parent = read(tmp_path / "child" / "provenance.json")["parent"]
    assert parent["workdir"] == str(own)
    assert read(tmp_path / "child" / "summary.json")["params_sha256"] == parent["params_sha256"]


def test_presets_of_a_script(refused, vae_command):
    assert "preset is 'wider'; wanted one of default, wide." in refused(*OWN, "--preset", "wider")
    help_text = vae_command("train", "own_parts", "--preset", "wide", "--help").out
    assert "Presets: default, wide." in help_text
    assert "(default: 16 16)" in help_text
    assert "usage: python -m own_parts" in help_text


# Two groups of latent variables


@pytest.mark.slow
def test_two_groups_are_trained_evaluated_sampled_and_drawn(vae_command, folder):
    assert vae_command("train", "two_groups", "--smoke", "--no-progress", "--workdir", "two").code == 0
    two = folder / "two"
    assert {"latent_means_0", "latent_means_1", "kl_per_dimension_0", "kl_per_dimension_1"} <= figures(two)
    summary = read(two / "summary.json")
    assert summary["elbo"] == pytest.approx(summary["log_likelihood"] - summary["kl"], abs=1e-4)
    assert vae_command("sample", "--workdir", two, "--number", 6).code == 0
    with np.load(two / "figures" / "samples.npz") as drawn:
        assert [drawn[name].shape for name in ("images", "latents", "latents_1")] == [(6, 4, 4, 1), (6, 2), (6, 3)]


# Data that are nothing but arrays


@pytest.mark.slow
def test_a_run_of_bare_arrays_is_trained_and_says_that_nothing_is_evaluated(vae_command, folder):
    script = '''
        import numpy as np
        import vae

        def experiment(config: vae.Flags) -> vae.Experiment:
            """No settings, no validation."""
            images = np.random.default_rng(0).random((30, 5)).astype(np.float32)
            model = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[4], likelihood="normal")
            return vae.Experiment(data=images, model=model, steps=config.steps)

        vae.main(experiment, smoke={"steps": 4, "batch_size": 10})
    '''
    (folder / "bare.py").write_text(textwrap.dedent(script))
    said = vae_command("train", "bare", "--smoke", "--no-progress")
    assert said.code == 0, said
    assert "the data have neither a test nor a validation split, so that nothing is evaluated" in said.out
    assert (folder / "runs" / "bare" / "checkpoints").is_dir(), "the default work directory has the script's name"
    child = ("--init-from", "runs/bare", "--workdir", "runs/child")
    assert vae_command("train", "bare", "--smoke", "--no-progress", *child).code == 0
