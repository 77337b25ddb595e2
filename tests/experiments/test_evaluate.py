"""`python -m experiments.evaluate`: which checkpoint, how many samples, and what it refuses."""

import json
import shutil

import numpy as np
import pytest

from experiments import evaluate
from vae.reports import evaluation
from vae.training.load import load_run


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of the finished run, to be changed."""
    return shutil.copytree(trained, tmp_path / "copy")


def summary(workdir):
    return json.loads((workdir / "summary.json").read_text())


@pytest.mark.parametrize("which", ["best", pytest.param("latest", marks=pytest.mark.slow)])  # an evaluation each
def test_it_says_which_checkpoint_and_writes_what_it_found(call, copy, which):
    before = summary(copy)
    said = call(evaluate, "--workdir", copy, "--samples", 7, "--which", which)
    found = summary(copy)
    step = load_run(copy, which).step
    assert said.code == 0
    assert f"{which} checkpoint (step {step})" in said.out
    assert (found["evaluated"], found["evaluated_step"], found["nll_samples"]) == (which, step, 7)
    for name in ("step", "params_sha256", "images_per_second"):
        assert found[name] == before[name]
    if step == before["evaluated_step"]:
        assert found["elbo"] == before["elbo"], "the noise of the evaluation is fixed"


@pytest.mark.slow
def test_more_samples_tighten_the_bound(call, copy):
    few = summary(copy)
    call(evaluate, "--workdir", copy, "--samples", 60)
    many = summary(copy)
    assert many["nll"] < few["nll"] + 3 * np.hypot(few["nll_se_mc"], many["nll_se_mc"])
    assert many["nll"] < -many["elbo"]
    assert many["nll_se_mc"] < few["nll_se_mc"]
    assert many["nll_se_images"] > 10 * many["nll_se_mc"], "two errors of different kinds"


def test_data_that_have_changed_are_refused(refused, copy):
    config = json.loads((copy / "config.json").read_text())
    config["digests"]["train"] = "0" * 64
    (copy / "config.json").write_text(json.dumps(config))
    before = (copy / "summary.json").read_bytes()
    assert "have changed since the run" in refused(evaluate, "--workdir", copy)
    assert (copy / "summary.json").read_bytes() == before


def test_what_is_not_a_run_is_refused(refused, tmp_path):
    assert "is not a run: it has no config.json" in refused(evaluate, "--workdir", tmp_path)
    assert "is not a run" in refused(evaluate, "--workdir", tmp_path / "nowhere")


def test_a_run_without_a_checkpoint_is_refused(refused, copy):
    shutil.rmtree(copy / "checkpoints")
    assert "there are no checkpoints" in refused(evaluate, "--workdir", copy)


def test_fewer_than_one_sample_is_refused(refused, copy):
    before = (copy / "summary.json").read_bytes()
    assert "samples is 0; wanted at least 1" in refused(evaluate, "--workdir", copy, "--samples", 0)
    assert (copy / "summary.json").read_bytes() == before


def test_a_run_without_a_script_is_asked_for_its_data(refused, copy):
    config = json.loads((copy / "config.json").read_text())
    config["origin"] = None
    (copy / "config.json").write_text(json.dumps(config))
    assert "does not say what it was trained on; give --data NAME" in refused(evaluate, "--workdir", copy)


def test_the_table_says_cross_entropy_where_there_is_no_likelihood(trained):
    numbers = summary(trained)
    assert any(name.startswith("NLL, at most") for name, _ in evaluation.rows(numbers))
    gray = {**numbers, "nll": None, "cross_entropy": 20.0, "bits_per_dim": None}
    names = [name for name, _ in evaluation.rows(gray)]
    assert any(name.startswith("cross-entropy") for name in names)
    assert not any("NLL" in name or "bits" in name for name in names)


def test_the_rate_is_the_median_of_training():
    rates = [{"split": "train", "images_per_second": r} for r in (1.0, 9.0, 5.0)]
    assert evaluation.training_speed([*rates, {"split": "validation", "elbo": 0.0}]) == 5.0
    assert evaluation.training_speed([]) is None
