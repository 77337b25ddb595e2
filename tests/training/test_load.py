"""A run read back: best or latest, in a fresh process, for a model that this repository does not know."""

import json
import os
import subprocess
import sys

import chex
import numpy as np
import optax
import pytest
import tiny_run
import toys
from tiny_run import X, validations
from unchecked import unchecked

import vae
from vae.distributions import Bernoulli, ContinuousBernoulli
from vae.training.checkpoint import CheckpointError
from vae.training.digest import tree_sha256
from vae.training.load import load_run
from vae.training.workdir import RunError

OUTSIDE = '''
"""A model of the user's own."""
from vae import likelihoods, networks, posteriors, priors
from vae.models import variational_autoencoder


def linear(data, latent_dim):
    posterior = posteriors.normal(latent_dim)
    return variational_autoencoder(
        encoder=networks.mlp((), posterior.outputs),
        decoder=networks.mlp((), data.shape),
        posterior=posterior,
        prior=priors.normal(latent_dim),
        likelihood=likelihoods.normal(data.shape),
        data=data,
    )
'''


def fit(workdir, model, **changed):
    arguments = {"steps": 6, "log_every": 3, "validate_every": 2, "optimiser": optax.adam(0.05)}
    return tiny_run.fit(workdir, model=model, **arguments | changed)


@pytest.fixture
def outside(tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "users_own_model.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(folder)
    import users_own_model

    yield folder, users_own_model
    sys.modules.pop("users_own_model")


@pytest.mark.slow
def test_a_model_from_outside_is_loaded_in_a_fresh_process(tmp_path, outside):
    folder, module = outside
    fitted = fit(tmp_path / "run", vae.reference_to(module.linear, latent_dim=2))
    script = (
        "import sys; from vae.training.digest import tree_sha256; from vae.training.load import load_run\n"
        "loaded = load_run(sys.argv[1], 'latest')\n"
        "print(loaded.step, loaded.trained.spec.shape, tree_sha256(loaded.trained.params))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    fresh = [sys.executable, "-c", script, str(tmp_path / "run")]
    done = subprocess.run(fresh, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == f"6 (4,) {tree_sha256(fitted.params)}"
    loaded = load_run(tmp_path / "run", "latest")
    assert loaded.config["model"] == {"function": "users_own_model:linear", "arguments": {"latent_dim": 2}}
    chex.assert_trees_all_equal(loaded.trained.params, fitted.params)
    chex.assert_trees_all_equal(vae.load(tmp_path / "run", "latest").params, fitted.params)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the data are real numbers in")
def test_a_run_that_named_no_likelihood_when_bernoulli_was_the_default_is_loaded(tmp_path):
    gray = vae.data.feed(np.asarray(X - X.min()) / np.ptp(X), spec=vae.Data((4,), "unit_interval"))
    model = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[4], likelihood="bernoulli")
    fitted = fit(tmp_path / "run", model, data=gray, steps=2)
    file = tmp_path / "run" / "config.json"
    config = json.loads(file.read_text())
    del config["model"]["arguments"]["likelihood"]
    for version, family in ((2, Bernoulli), (config["format"], ContinuousBernoulli)):
        file.write_text(json.dumps(config | {"format": version}))
        loaded = vae.load(tmp_path / "run", "latest")
        chex.assert_trees_all_equal(loaded.params, fitted.params)
        assert isinstance(loaded.decode((np.zeros(2, np.float32),)), family)


@pytest.mark.slow
def test_what_a_fresh_process_could_not_find_is_refused():
    def inside(data):
        return None

    with pytest.raises(ValueError, match=r"a lambda .* cannot be found again"):
        vae.reference_to(lambda data: None)
    with pytest.raises(ValueError, match="defined inside another function"):
        vae.reference_to(inside)
    script = "import vae\ndef own(data): ...\ntry:\n    vae.reference_to(own)\nexcept ValueError as e:\n    print(e)\n"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "own belongs to a session without a file; move it to a module" in said
    assert said.count("\n") == 1


def test_a_module_that_is_gone_is_named(tmp_path, outside, monkeypatch):
    folder, module = outside
    fit(tmp_path / "run", vae.reference_to(module.linear, latent_dim=2))
    (folder / "users_own_model.py").unlink()
    monkeypatch.delitem(sys.modules, "users_own_model")
    with pytest.raises(ValueError, match="module users_own_model of users_own_model:linear cannot be imported"):
        vae.load(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "users_own_model", module)


@pytest.mark.slow
def test_a_run_of_a_model_object_needs_it_again(tmp_path):
    fitted = fit(tmp_path / "run", toys.linear_gaussian())
    with pytest.raises(RunError, match=r"fitted with a model object, which no file can hold; pass experiment= or model="):
        vae.load(tmp_path / "run")
    for given in ({"model": toys.linear_gaussian()}, {"experiment": tiny_run.EXPERIMENT}):
        loaded = load_run(tmp_path / "run", "latest", **given)
        chex.assert_trees_all_equal(loaded.trained.params, fitted.params)
        assert loaded.step == 6


def test_best_is_the_highest_validation_elbo_and_latest_the_last_step(tmp_path):
    """An optimiser that climbs down makes every step worse than the one before."""
    climbing_down = fit(tmp_path / "run", toys.linear_gaussian(), settings={"learning_rate": -1.0})
    scores = {r["step"]: r["elbo"] for r in validations(climbing_down.records)}
    assert max(scores, key=scores.get) == 2 != max(scores)
    best, latest = (load_run(tmp_path / "run", which, model=toys.linear_gaussian()) for which in ("best", "latest"))
    assert (best.step, best.which, latest.step, latest.which) == (2, "best", 6, "latest")
    assert tree_sha256(best.trained.params) != tree_sha256(latest.trained.params)


def test_without_validation_there_is_no_best(tmp_path):
    fit(tmp_path / "run", toys.linear_gaussian(), data=X)
    with pytest.raises(CheckpointError, match=r'no checkpoint with a score .*, so that none is the best: ask for the "latest"'):
        vae.load(tmp_path / "run", model=toys.linear_gaussian())


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(RunError, match=r"is not a run: it has no config.json"):
        vae.load(tmp_path)
    with unchecked(), pytest.raises(ValueError, match="which is 'newest'; wanted 'best' or 'latest'"):
        vae.load(tmp_path, "newest")
