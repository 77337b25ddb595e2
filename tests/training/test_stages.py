"""Experiments that stand on each other, and runs of the earlier format."""

import json
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_run import EXPERIMENT, HOST, MODEL, X, fit

import vae
from vae.data import feed
from vae.training import run as run_module
from vae.training.digest import tree_sha256
from vae.training.load import load_run
from vae.training.workdir import RunError, read_config

FIRST = EXPERIMENT._replace(steps=4)


def second(trained):
    """An experiment on the codes of the first stage."""
    codes = np.asarray(X @ trained["codes"].params["posterior"]["weights"].T)
    model = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[4], likelihood="normal")
    return EXPERIMENT._replace(data=codes, model=model, steps=4)


def on_anything(trained):
    """An experiment that makes no use of the first stage."""
    return FIRST


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two stages in a directory, with what they gave."""
    workdir = tmp_path_factory.mktemp("stages")
    return workdir, vae.stages({"codes": FIRST, "prior": second}, workdir, HOST)


@pytest.mark.slow
def test_stages_are_runs_in_folders_of_their_names(two):
    workdir, fitted = two
    assert list(fitted) == ["codes", "prior"]
    for name in fitted:
        chex.assert_trees_all_equal(
            load_run(workdir / name, "latest", model=fitted[name].model).trained.params, fitted[name].params
        )
    alone = fit(steps=4)
    assert tree_sha256(fitted["codes"].state) == tree_sha256(alone.state)
    assert tree_sha256(vae.stages({"codes": FIRST, "prior": second}, host=HOST)["prior"].state) == tree_sha256(
        fitted["prior"].state
    )


def test_what_was_finished_is_not_run_again(two, monkeypatch):
    workdir, fitted = two

    def unexpected(*arguments):
        pytest.fail("a stage that was finished has trained")

    monkeypatch.setattr(run_module, "spans", unexpected)
    again = vae.stages({"codes": FIRST, "prior": second}, workdir, HOST)
    assert {n: tree_sha256(f.state) for n, f in again.items()} == {n: tree_sha256(f.state) for n, f in fitted.items()}


@pytest.mark.slow
def test_another_first_stage_is_another_second_one(tmp_path):
    """Also where the second computes the same whatever the first gave: it says that it stands on it."""
    stages = {"codes": FIRST, "prior": on_anything}
    vae.stages(stages, tmp_path, HOST)
    assert "parent/codes" in read_config(tmp_path / "prior")["digests"]
    longer = {"codes": FIRST._replace(steps=6), "prior": on_anything}
    with pytest.raises(RunError, match=r"prior holds another run: the parent is another \(codes\)"):
        vae.stages(longer, tmp_path, HOST)
    assert vae.stages(longer, tmp_path, HOST, "anyway")["codes"].state.step == 6


def test_a_stage_that_a_signal_ends_is_the_last(tmp_path):
    def stop_me(trained):
        signal.raise_signal(signal.SIGTERM)
        return 0.0

    stopped = FIRST._replace(steps=8, metrics={"stop": stop_me})
    fitted = vae.stages({"codes": stopped, "prior": second}, tmp_path, HOST)
    assert (list(fitted), fitted["codes"].signal) == (["codes"], signal.SIGTERM)
    assert not (tmp_path / "prior").exists()


# Loading reads no data


def conditional(data, latent_dim):
    """A model that reads the shape of its context when it is built."""
    return vae.models.mlp(data, latent_dim=latent_dim + data.context.shape[0], hidden=[4], likelihood="normal")


def labelled(key, stored):
    return stored[0], jax.nn.one_hot(stored[1], 3)


@pytest.mark.slow
def test_a_conditional_model_is_built_again_without_data(tmp_path):
    experiment = EXPERIMENT._replace(
        data=lambda: feed((X, np.arange(40) % 3), labelled), model=vae.reference_to(conditional, latent_dim=1), steps=2
    )
    fitted = vae.fit(experiment, tmp_path / "run", HOST)

    def unread():
        raise AssertionError("the data are read")

    assert vae.load(tmp_path / "run", "latest").spec.context == jax.ShapeDtypeStruct((3,), jnp.float32)
    for given in ({}, {"experiment": experiment._replace(data=unread)}):
        loaded = vae.load(tmp_path / "run", "latest", **given)
        chex.assert_trees_all_equal(loaded.params, fitted.params)
    with pytest.raises(AssertionError, match="the data are read"):
        vae.fit(experiment._replace(data=unread), host=HOST)


# Format 1

RUN = {"optimiser": optax.adam(0.01), "settings": {"beta": 2.0}, "schedules": {"beta": vae.schedules.linear(4)}, "seed": 5}


def as_format_1(workdir):
    """Give a run the config that the first version wrote: no digests, no versions, no period of validation."""
    old = {
        "format": 1,
        "experiment": {},
        "model": read_config(workdir)["model"],
        "data": {"shape": [4], "space": "real", "size": 40},
        "fit": {
            "steps": 6,
            "batch_size": 10,
            "key": [0, 5],
            "settings": {"beta": 2.0},
            "schedules": {"beta": "linear(4)"},
            "average_decay": None,
        },
    }
    (workdir / "config.json").write_text(json.dumps(old))


@pytest.fixture
def first_format(tmp_path):
    workdir = tmp_path / "run"
    fitted = fit(workdir, steps=6, validate_every=3, **RUN)
    as_format_1(workdir)
    return workdir, fitted


def test_a_run_of_the_first_format_is_loaded(first_format):
    workdir, fitted = first_format
    loaded = load_run(workdir, "latest", model=MODEL)
    chex.assert_trees_all_equal(loaded.trained.params, fitted.params)
    assert loaded.step == 6
    assert (loaded.config["format"], loaded.config["run"]["seed"], loaded.config["origin"]) == (3, 5, None)
    assert loaded.trained.spec == vae.Data((4,), "real")
    assert load_run(workdir, "best", model=MODEL).step in (3, 6)


@pytest.mark.slow
def test_a_run_of_the_first_format_is_resumed_with_one_warning(first_format):
    workdir, _ = first_format
    before = (workdir / "config.json").read_bytes()
    with pytest.raises(RunError, match=r"holds another run: beta is 2\.0 there, 3\.0 now"):
        fit(workdir, **RUN | {"steps": 8, "validate_every": 3, "settings": {"beta": 3.0}})
    with pytest.raises(RunError, match=r"holds another run: seed is 5 there, 6 now"):
        fit(workdir, **RUN | {"steps": 8, "validate_every": 3, "seed": 6})
    assert (workdir / "config.json").read_bytes() == before
    with pytest.warns(RuntimeWarning, match="begun by an earlier version that kept no digests") as said:
        resumed = fit(workdir, steps=8, validate_every=3, **RUN)
    assert len(said) == 1
    assert tree_sha256(resumed.state) == tree_sha256(fit(steps=8, **RUN).state)
    assert set(read_config(workdir)["digests"]) >= {"step", "train"}
    fit(workdir, steps=8, validate_every=3, **RUN)  # now it has digests


def test_the_flags_of_a_script_of_the_first_format_become_an_origin(first_format):
    workdir, _ = first_format
    config = json.loads((workdir / "config.json").read_text())
    config["experiment"] = {"data": "digits", "latent_dim": 10, "data_sha256": "ab"}
    (workdir / "config.json").write_text(json.dumps(config))
    origin = read_config(workdir)["origin"]
    assert origin["arguments"] == {"data": "digits", "latent_dim": 10}
    assert origin["function"].startswith("experiments.train:")
