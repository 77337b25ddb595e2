"""`python -m experiments.train`: what it leaves behind, and what it refuses before it does anything."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import vae
from experiments import evaluate, figures, train
from vae.training.digest import tree_sha256
from vae.training.workdir import flatten

TINY = [
    "--batch-size",
    "32",
    "--hidden",
    "8",
    "--latent-dim",
    "2",
    "--samples",
    "3",
    "--log-every",
    "10",
    "--checkpoint-every",
    "20",
    "--no-progress",
]
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
    assert provenance["data_sha256"] == vae.data.load("digits").sha256
    assert provenance["evaluation_protocol"]["split"] == "test"
    assert provenance["parent"] is None
    assert {"commit", "dirty", "packages", "device_kind", "command"} <= set(provenance)


def test_the_model_is_built_from_the_flags_and_learns(trained):
    loaded = vae.load(trained)
    assert loaded.data.shape == (8, 8, 1)
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
        (("--seed", 1), "seed", "0", "1"),
        (("--batch-size", 16), "batch_size", "32", "16"),
        (("--learning-rate", 0.1), "learning_rate", "0.001", "0.1"),
        (("--steps", 40), "steps", "60", "40"),
        (("--binarisation", "static"), "binarisation", "'dynamic'", "'static'"),
        (("--schedule", "cosine", "--steps", 90), "schedule", "'constant'", "'cosine'"),
    ],
)
def test_a_changed_setting_is_refused_by_name(refused, trained, flags, field, old, new):
    before = snapshot(trained)
    said = refused(train, *TINY, "--steps", 60, "--workdir", trained, *flags)
    assert f"holds another run: {field} is {old} there, {new} now" in said
    assert snapshot(trained) == before


def test_other_data_are_another_run(refused, trained, tmp_path):
    np.savez(tmp_path / "own.npz", images=np.random.default_rng(0).integers(0, 256, (60, 8, 8)).astype(np.uint8))
    said = refused(train, *TINY, "--steps", 60, "--workdir", trained, "--data", tmp_path / "own.npz")
    assert "data is 'digits' there" in said


def test_fields_that_do_not_identify_a_run_are_none_of_those_that_do(trained):
    identity = flatten(read(trained / "config.json"))
    fields = {f.name for f in dataclasses.fields(train.Config)}
    assert fields - set(train.NOT_IDENTITY) <= set(identity)
    assert set(train.NOT_IDENTITY) - {"init_from"} <= fields - set(identity)


def test_how_often_something_is_written_may_change(call, trained):
    before = (trained / "metrics.jsonl").read_bytes(), read(trained / "summary.json")["params_sha256"]
    flags = (*TINY, "--steps", 60, "--workdir", trained, "--log-every", 7, "--checkpoint-every", 11, "--chunk", 1)
    assert call(train, *flags).code == 0
    assert before == ((trained / "metrics.jsonl").read_bytes(), read(trained / "summary.json")["params_sha256"])


# Another run's parameters


def test_a_run_may_start_from_anothers_parameters(trained, tmp_path):
    config = train.Config(
        steps=1, learning_rate=1e-30, batch_size=32, hidden=(8,), latent_dim=2, samples=1, progress=False, seed=5
    )
    child = tmp_path / "child"
    assert train.main(dataclasses.replace(config, init_from=trained, workdir=child)) == 0
    parent = vae.load(trained)
    assert tree_sha256(vae.load(child).params) == tree_sha256(parent.params)
    recorded = read(child / "provenance.json")["parent"]
    assert recorded == {
        "workdir": str(trained),
        "step": parent.step,
        "which": "best",
        "params_sha256": tree_sha256(parent.params),
    }
    with pytest.raises(ValueError, match="init_from is"):
        train.main(dataclasses.replace(config, workdir=child))


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
        (("--data", "no_such_set"), "known are: digits, sprites, mnist"),
        (("--preset", "no-such-preset"), "wanted one of default, mnist"),
        (("--activation", "sigmoidal"), "activation is 'sigmoidal'; wanted one of relu"),
        (("--likelihood", "cauchy"), "likelihood is 'cauchy'; wanted one of"),
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


def test_flags_that_do_not_exist_are_refused_by_the_parser(call, tmp_path):
    said = call(train, "--latent-dims", 3, "--workdir", tmp_path / "run")
    assert said.code == 2
    assert "--latent-dim" in said.err + said.out


# Presets and the smoke test


def test_flags_beside_smoke_win():
    assert train.smoke(train.Config(smoke=True)).steps == 40
    changed = train.smoke(train.Config(smoke=True, steps=7, samples=1000))
    assert (changed.steps, changed.samples, changed.batch_size) == (7, 1000, 128)
    tanh = train.smoke(dataclasses.replace(train.PRESETS["mnist-tanh"], smoke=True))
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


def test_real_mnist(mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "TEST_LIMIT", 300)
    monkeypatch.setattr(figures, "NEIGHBOUR_LIMIT", 500)
    monkeypatch.setattr(train, "VALIDATION_LIMIT", 200)
    preset = train.PRESETS["mnist"]
    small = {"hidden": (16,), "latent_dim": 2, "steps": 60, "learning_rate": 5e-3, "samples": 2, "checkpoint_every": 30}
    assert train.main(dataclasses.replace(preset, **small, progress=False, workdir=tmp_path / "run")) == 0
    summary = read(tmp_path / "run" / "summary.json")
    assert -300 < summary["elbo"] < -100, "the mean image alone gives about -207 nats"
