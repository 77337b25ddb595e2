"""`python -m experiments.train`: what it leaves behind, and what it refuses before it does anything."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import vae
from experiments import train
from vae.command.flags import SMOKE, UNSEEN, smoked
from vae.reports import evaluation
from vae.training.digest import tree_sha256
from vae.training.load import load_run
from vae.training.origin import from_json

TINY = (
    *("--batch-size", "32", "--hidden", "8", "--latent-dim", "2", "--samples", "3"),
    *("--log-every", "10", "--checkpoint-every", "20", "--no-progress"),
)
SUMMARY = {
    "step",
    "elbo",
    "log_likelihood",
    "kl",
    "nll",
    "nll_se_images",
    "nll_se_mc",
    "nll_samples",
    "active_units",
    "images_per_second",
    "params_sha256",
}
FIGURES = {
    "reconstructions",
    "samples_prior",
    "samples_aggregate",
    "traversals",
    "interpolation",
    "latent_means",
    "kl_per_dimension",
    "training_curves",
}


def read(path):
    return json.loads(path.read_text())


def snapshot(directory):
    return {str(p): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


# What a run leaves behind


def test_a_work_directory_holds_everything(trained):
    names = {p.name for p in trained.iterdir()}
    assert names >= {"config.json", "provenance.json", "metrics.jsonl", "checkpoints", "figures", "summary.json"}
    assert {p.stem for p in (trained / "figures").glob("*.png")} >= FIGURES
    assert set(read(trained / "summary.json")) >= SUMMARY


def test_the_summary_agrees_with_itself_and_with_the_run(trained):
    summary = read(trained / "summary.json")
    assert summary["elbo"] == pytest.approx(summary["log_likelihood"] - summary["kl"], abs=1e-4)
    assert summary["step"] == 60
    assert summary["params_sha256"] == tree_sha256(vae.load(trained, "latest").params)
    assert summary["nll"] <= -summary["elbo"] + 4 * summary["elbo_se_images"]
    assert (summary["nll_samples"], summary["examples"]) == (3, len(vae.data.load("digits").test.x))


def test_the_provenance_tells_what_ran(trained):
    provenance = read(trained / "provenance.json")
    assert provenance["data_sha256"] == read(trained / "config.json")["digests"]["train"]
    assert provenance["evaluation_protocol"]["split"] == "test"
    assert provenance["parent"] is None
    assert {"commit", "dirty", "packages", "device_kind", "command"} <= set(provenance)


def test_the_model_is_built_from_the_flags_and_learns(trained):
    loaded = load_run(trained)
    assert loaded.spec.shape == (8, 8, 1)
    assert loaded.config["model"]["arguments"]["latent_dim"] == 2
    validations = [
        r["elbo"] for r in map(json.loads, (trained / "metrics.jsonl").read_text().splitlines()) if r["split"] == "validation"
    ]
    assert validations[-1] > validations[0]


# Changed settings


@pytest.mark.parametrize(
    ("flags", "field", "old", "new"),
    [
        (("--beta", 4), "beta", "1.0", "4.0"),
        (("--latent-dim", 3), "latent_dim", "2", "3"),
        pytest.param(("--seed", 1), "seed", "0", "1", marks=pytest.mark.slow),  # numbers, as beta and steps are
        pytest.param(("--batch-size", 16), "batch_size", "32", "16", marks=pytest.mark.slow),
        pytest.param(("--learning-rate", 0.1), "learning_rate", "0.001", "0.1", marks=pytest.mark.slow),
        (("--steps", 40), "steps", "60", "40"),
        (("--binarisation", "static"), "binarisation", "None", "'static'"),
        (("--schedule", "cosine", "--steps", 90), "schedule", "'constant'", "'cosine'"),
    ],
)
def test_a_changed_setting_is_refused_by_name(refused, trained, flags, field, old, new):
    before = snapshot(trained)
    said = refused(train, *TINY, "--steps", 60, "--workdir", trained, *flags)
    assert "holds another run: " in said
    assert f"{field} is {old} there, {new} now" in said
    assert "progress" not in said
    assert snapshot(trained) == before


def test_other_data_are_another_run(refused, trained, tmp_path):
    np.savez(tmp_path / "own.npz", images=np.random.default_rng(0).integers(0, 256, (60, 8, 8)).astype(np.uint8))
    said = refused(train, *TINY, "--steps", 60, "--workdir", trained, "--data", tmp_path / "own.npz")
    assert "data is 'digits' there" in said
    assert "the training data are others" in said


def test_the_flags_of_a_run_are_in_its_files_and_come_back(trained):
    origin = read(trained / "config.json")["origin"]
    fields = {f.name for f in dataclasses.fields(train.Config)}
    assert set(UNSEEN) < fields == set(origin["arguments"]) - {"class"}
    assert (origin["function"], origin["config"]) == ("experiments.train:experiment", "experiments.train:Config")
    config = from_json(train.Config, origin["arguments"])
    assert (config.hidden, config.workdir, config.objective) == ((8,), trained, train.ELBO)


@pytest.mark.slow  # fast: test_identity, where the host does not show
def test_how_often_something_is_written_may_change(call, trained):
    before = (trained / "metrics.jsonl").read_bytes(), read(trained / "summary.json")["params_sha256"]
    flags = (*TINY, "--steps", 60, "--workdir", trained, "--log-every", 7, "--save-every", 11, "--chunk", 1, "--patience", 9)
    assert call(train, *flags).code == 0
    assert before == ((trained / "metrics.jsonl").read_bytes(), read(trained / "summary.json")["params_sha256"])


# Another run's parameters


@pytest.mark.slow
def test_a_run_may_start_from_anothers_parameters(call, refused, trained, tmp_path):
    child = tmp_path / "child"
    flags = (*TINY, "--steps", 1, "--learning-rate", 1e-30, "--seed", 5, "--workdir", child)
    assert call(train, *flags, "--init-from", trained).code == 0
    parent = load_run(trained)
    assert tree_sha256(vae.load(child).params) == tree_sha256(parent.trained.params)
    recorded = read(child / "provenance.json")["parent"]
    assert recorded == {
        "workdir": str(trained),
        "step": parent.step,
        "which": "best",
        "params_sha256": tree_sha256(parent.trained.params),
    }
    assert "init_from is" in refused(train, *flags)


def test_other_networks_cannot_start_from_them(refused, trained, tmp_path):
    said = refused(train, *TINY, "--hidden", 9, "--steps", 2, "--init-from", trained, "--workdir", tmp_path / "child")
    assert "the parameters to start from do not fit" in said
    assert not (tmp_path / "child").exists()
    said = refused(train, *TINY, "--init-from", tmp_path, "--workdir", tmp_path / "child")
    assert "is not a run" in said


# Bad input, one sentence each


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--data", "no_such_set"), "known are: digits, sprites, emoji"),
        (("--preset", "no-such-preset"), "wanted one of default, mnist"),
        (("--latent-dim", 0), "latent_dim is 0"),
        (("--hidden", 0), "hidden widths (0,)"),
        (("--steps", 0), "steps is 0; wanted at least 1"),
        (("--batch-size", 0), "batch_size is 0; wanted at least 1"),
        (("--batch-size", 100_000), "batch_size is 100000, more than the"),
        (("--samples", 0), "samples is 0; wanted at least 1"),
        (("--chunk", 0), "chunk is 0; wanted at least 1"),
        (("--learning-rate", "nan"), "learning_rate is nan"),
        (("--learning-rate", -1), "learning_rate is -1.0"),
        (("--beta", "inf"), "beta is inf"),
        (("--clip", 0), "clip is 0.0"),
        (("--average-decay", 1), "average_decay is 1.0"),
        (("--warm-up", 100, "--steps", 50), "ends at step 100, after training does at step 50"),
        (("--beta-warm-up", 100, "--steps", 50), "schedule of beta ends at step 100"),
        (("--likelihood", "normal"), "likelihood normal needs a std"),
        (("--likelihood", "normal", "--std", -1), "std is -1.0; wanted a positive number"),
        (("--std", 0.1), "std is 0.1, but the likelihood has none to be given"),
        (("--smoke", "--batch-size", 0), "batch_size is 0"),
        (("--smoke", "--steps", 0), "steps is 0"),
    ],
)
def test_bad_flags(refused, tmp_path, flags, message):
    assert message in refused(train, "--no-progress", *flags, "--workdir", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def images(count=40, shape=(6, 6)):
    return np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)


def save_folder(folder):
    import cv2

    folder.mkdir()
    for i, size in enumerate((6, 6, 7)):
        cv2.imwrite(str(folder / f"{i}.png"), images(1, (size, size))[0])
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (save_folder, "sizes"),
        (lambda p: np.savez(p, images=np.where(images() > 250, np.nan, images() / 255)), "NaN"),
        (lambda p: np.savez(p, images=images().astype(np.int32) + 1), "256"),
        (lambda p: np.savez(p, images=images(2)), "split"),
        (lambda p: np.savez(p, images=images(0)), ""),
    ],
    ids=["mixed sizes", "NaN", "out of range", "empty split", "no images"],
)
def test_bad_data(refused, tmp_path, make, message):
    path = tmp_path / ("folder" if make is save_folder else "images.npz")
    make(path)
    assert message in refused(train, *TINY, "--data", path, "--workdir", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/run"])
def test_a_directory_that_cannot_be_written(refused, tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    assert "cannot be written" in refused(train, *TINY, "--workdir", tmp_path / place)


def test_a_directory_that_holds_something_else(refused, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "is not a run: it has no config.json but holds 'thesis.tex'" in refused(train, *TINY, "--workdir", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--latent-dims", 3), "--latent-dim"),
        (("--activation", "sigmoidal"), "'relu'"),
        (("--likelihood", "cauchy"), "'bernoulli'"),
        (("--steps", "many"), "--steps"),
        (("objective:iwa",), "objective:iwae"),
    ],
)
def test_what_no_flag_takes_is_refused_by_the_parser_with_what_it_knows(call, tmp_path, flags, named):
    said = call(train, *flags, "--workdir", tmp_path / "run")
    assert said.code == 2
    assert named in said.err + said.out


# Presets and the smoke test


def test_flags_beside_smoke_win():
    assert smoked(train.Config(), train.Config(), SMOKE).steps == 40
    changed = smoked(train.Config(steps=7, samples=1000), train.Config(), SMOKE)
    assert (changed.steps, changed.samples, changed.batch_size) == (7, 1000, 128)
    tanh = smoked(train.PRESETS["mnist-tanh"], train.PRESETS["mnist-tanh"], SMOKE)
    assert (tanh.steps, tanh.samples) == (40, 10)


@pytest.mark.parametrize("preset", train.PRESETS)
def test_every_preset_builds_its_model_and_its_schedules(preset):
    config = train.PRESETS[preset]
    assert config.preset == preset
    shape = {"digits": (8, 8, 1), "sprites": (64, 64, 1)}.get(config.data, (28, 28, 1))
    model = vae.resolve(train.model_of(config), vae.Data(shape=shape, space="binary"))
    params, _ = jax.eval_shape(model.init, jax.random.key(0))
    assert set(params) == {"posterior", "generative"}
    assert all(s.horizon is None or s.horizon <= config.steps for s in train.schedules_of(config).values())


@pytest.mark.slow
def test_real_mnist(call, mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "NEIGHBOURS", 500)
    small = ("--hidden", 16, "--latent-dim", 2, "--steps", 60, "--learning-rate", 5e-3, "--samples", 2, "--test-examples", 300)
    given = ("--preset", "mnist", *small, "--validate-every", 60, "--no-progress", "--workdir", tmp_path / "run")
    assert call(train, *given).code == 0
    summary = read(tmp_path / "run" / "summary.json")
    assert -300 < summary["elbo"] < -100, "the mean image alone gives about -207 nats"
