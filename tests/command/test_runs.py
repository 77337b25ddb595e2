"""Runs of `vae.fit`, without a script: what later commands make of what their files say."""

import json
import shutil
import warnings

import numpy as np
import pytest

import vae
from experiments import train
from vae.command.runs import conditioning_of, experiment_of_run, rates_of_run
from vae.trained import Trained
from vae.training.digest import tree_sha256
from vae.training.load import load_run

MODEL = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[4])
SETTINGS = {"learning_rate": 1e-3, "beta": 1.0}


def fitted(workdir, data):
    experiment = vae.Experiment(
        data=data,
        model=MODEL,
        steps=2,
        objective=vae.elbo(vae.objectives.log_ratio),
        optimiser=train.optimiser_of(train.Config()),
        settings=SETTINGS,
        batch_size=8,
    )
    vae.fit(experiment, workdir, vae.Host(progress=False))
    return workdir


@pytest.fixture(scope="module")
def referred(tmp_path_factory):
    """A run of data by reference."""
    return fitted(tmp_path_factory.mktemp("referred") / "run", vae.reference_to(vae.data.image_splits, dataset="digits"))


def summary(workdir):
    return json.loads((workdir / "summary.json").read_text())


@pytest.mark.slow
def test_a_run_of_data_by_reference_is_evaluated(vae_command, referred, no_figures):
    said = vae_command("evaluate", "--workdir", referred, "--samples", 2, "--examples", 30)
    assert said.code == 0, said
    assert (summary(referred)["examples"], summary(referred)["step"]) == (30, 2)
    loaded = load_run(referred)
    assert rates_of_run(loaded) is vae.objectives.log_ratio
    assert experiment_of_run(loaded).data.test.size == 359


def test_a_run_of_other_data_is_told_by_name_what_they_are(vae_command, refused, referred, tmp_path, no_figures):
    workdir = shutil.copytree(referred, tmp_path / "run")
    config = json.loads((workdir / "config.json").read_text()) | {"source": None}
    (workdir / "config.json").write_text(json.dumps(config))
    assert "does not say what it was trained on; give --data NAME" in refused("evaluate", "--workdir", workdir)
    assert "known are: digits" in refused("evaluate", "--workdir", workdir, "--data", "no_such_set")
    words = ("evaluate", "--workdir", workdir, "--samples", 2, "--examples", 30)
    assert vae_command(*words, "--data", "digits").code == 0
    assert summary(workdir)["examples"] == 30
    assert vae_command("sample", "--workdir", workdir, "--number", 3).code == 0


@pytest.mark.slow
def test_a_run_of_format_1_loads_evaluates_and_refuses_what_it_cannot(vae_command, refused, referred, tmp_path, no_figures):
    """The work directory of a run by experiments.train as the version before wrote it: format 1, no digests, no script."""
    workdir = shutil.copytree(referred, tmp_path / "old")
    flags = {"data": "digits", "latent_dim": 2, "hidden": [4], "rate": "log_ratio", "steps": 2, "batch_size": 8, "seed": 0}
    run = {"steps": 2, "batch_size": 8, "key": [0, 0], "settings": SETTINGS, "average_decay": None}
    old = {
        "format": 1,
        "experiment": {**flags, "widths": [32, 64], "clip": None, "data_sha256": "0" * 64, "init_from": None},
        "model": MODEL._asdict(),
        "data": {"shape": [8, 8, 1], "space": "binary", "size": 1258},
        "fit": {**run, "schedules": {"learning_rate": "constant(1.0)"}},
    }
    (workdir / "config.json").write_text(json.dumps(old))
    loaded = load_run(workdir)
    assert isinstance(loaded.trained, Trained)
    assert tree_sha256(loaded.trained.params) == tree_sha256(vae.load(referred).params)
    assert vae_command("evaluate", "--workdir", workdir, "--samples", 2, "--examples", 30).code == 0
    assert np.isfinite(summary(workdir)["elbo"])
    resume = ("train", "experiments.train", "--workdir", workdir, "--hidden", 4, "--latent-dim", 2, "--rate", "log_ratio")
    same = (*resume, "--no-progress", "--samples", 2, "--test-examples", 30, "--batch-size", 8)
    assert "seed is 0 there, 1 now" in refused(*same, "--steps", 4, "--seed", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        other = vae_command(*same, "--steps", 4, "--weight-decay", 0.1, "--hidden", 5)
        assert (other.code, json.loads((workdir / "config.json").read_text())) == (1, old), "its checkpoint does not fit"
        said = vae_command(*same, "--steps", 4)
    assert (said.code, said.err.count("\n")) == (0, 1), said
    assert "begun by an earlier version that kept no digests" in said.err
    assert summary(workdir)["step"] == 4
    unknown = old | {"experiment": {**old["experiment"], "depth": 3}}
    (workdir / "config.json").write_text(json.dumps(unknown))
    assert "Config has no flag depth" in refused("evaluate", "--workdir", workdir)


@pytest.mark.slow
def test_data_that_are_arrays_are_sampled_and_evaluated_by_their_owner(vae_command, refused, tmp_path):
    images = np.random.default_rng(0).random((30, 5)).astype(np.float32)
    model = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[4], likelihood="normal")
    vae.fit(vae.Experiment(data=images, model=model, steps=1, batch_size=8), tmp_path / "run", vae.Host(progress=False))
    assert "does not say what it was trained on" in refused("evaluate", "--workdir", tmp_path / "run")
    said = vae_command("sample", "--workdir", tmp_path / "run", "--number", 3)
    assert "(latest checkpoint, step 1)" in said.out, "nothing was validated, so that there is no best one"
    assert not (tmp_path / "run" / "figures" / "samples.png").exists(), "the data are no images"
    with np.load(tmp_path / "run" / "figures" / "samples.npz") as drawn:
        assert {name: drawn[name].shape for name in drawn.files} == {"draws": (3, 5), "means": (3, 5), "latents": (3, 2)}
        residuals = drawn["draws"] - drawn["means"]
    assert 0.4 < residuals.std() < 1.6, "draws of a standard normal about their means: 15, so that 3 errors are 0.55"


RNG = np.random.default_rng(0)
TABLE = {
    "pressure": np.where(np.arange(60) % 9 == 0, np.nan, RNG.normal(120, 10, 60)),
    "visits": RNG.poisson(3, 60),
    "smokes": np.arange(60) % 2,
    "ward": RNG.choice(["north, old", "south", "west"], 60),
    "age": np.where(np.arange(60) % 3, 40.0, 70.0),
}


def table(context=()):
    return vae.data.table_splits(TABLE, kinds={"visits": "count"}, context=context, missing="mask")


@pytest.mark.parametrize(
    "context", [pytest.param((), id="plain", marks=pytest.mark.slow), pytest.param(("age",), id="conditional")]
)  # a column is a context, or one more that is drawn; the model and the files are the same
def test_samples_of_a_table_are_rows_with_the_names_of_their_categories(vae_command, tmp_path, context):
    data = vae.reference_to(table, context=list(context))
    vae.fit(vae.Experiment(data=data, model=MODEL, steps=2, batch_size=8), tmp_path / "run", vae.Host(progress=False))
    said = vae_command("sample", "--workdir", tmp_path / "run", "--number", 40, "--output", tmp_path / "drawn.png")
    assert (said.code, (tmp_path / "drawn.png").exists()) == (0, False), said
    assert f"written: {tmp_path / 'drawn.csv'}, {tmp_path / 'drawn.npz'} (" in said.out
    with np.load(tmp_path / "drawn.npz") as drawn:
        assert set(drawn.files) == {"draws", "latents", *(["context"] if context else [])}, "no mask, and no mean of a class"
        draws = drawn["draws"]
        if context:
            assert sorted(np.unique(drawn["context"], return_counts=True)[1].tolist()) == [20, 20]
    found = vae.data.table_splits(tmp_path / "drawn.csv", kinds={"visits": "count"}).train.spec.columns
    spec = table(context).train.spec
    assert [column[:2] for column in found] == [column[:2] for column in spec.columns]
    assert set(found[3].categories) <= {"north, old", "south", "west"}
    lines = (tmp_path / "drawn.csv").read_text().splitlines()
    assert (lines[0], len(lines)) == (",".join(column.name for column in spec.columns), 41)
    np.testing.assert_array_equal(np.float32([line.split(",")[0] for line in lines[1:]]), draws[:, 0])
    assert len(np.unique(draws[:, 0])) == 40


def tokens():
    return vae.data.array_splits(RNG.integers(0, 5, (40, 6)), space="tokens", lengths=2 + np.arange(40) % 5)


@pytest.mark.slow
def test_samples_of_sequences_of_tokens_are_draws_of_full_length(vae_command, tmp_path):
    experiment = vae.Experiment(data=vae.reference_to(tokens), model=MODEL, steps=2, batch_size=8)
    vae.fit(experiment, tmp_path / "run", vae.Host(progress=False))
    assert vae_command("sample", "--workdir", tmp_path / "run", "--number", 50).code == 0
    with np.load(tmp_path / "run" / "figures" / "samples.npz") as drawn:
        assert set(drawn.files) == {"draws", "latents"}
        assert np.issubdtype(drawn["draws"].dtype, np.integer)
        assert all(np.unique(step).tolist() == [0, 1, 2, 3, 4] for step in drawn["draws"].T), "of every step"


@pytest.mark.parametrize("conditional", [False, True, "integer"])
def test_images_are_conditioned_on_as_the_run_was(conditional):
    spec = vae.data.image_splits("digits", conditional=conditional).train.spec
    assert conditioning_of(spec.context) == conditional
