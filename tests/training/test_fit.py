"""`vae.fit` as a user calls it: metrics, figures, early stopping, players, averages, and what it refuses."""

import json

import chex
import jax
import jax.numpy as jnp
import matplotlib.figure
import numpy as np
import optax
import pytest
import toys
from tiny_run import MODEL, X, fit, validations

import vae
from vae.training import run as run_module
from vae.training.digest import tree_sha256
from vae.training.run import DivergedError
from vae.training.stopping import patience


def test_without_a_directory_there_are_parameters_and_records():
    fitted = fit()
    assert fitted.signal is None
    assert int(fitted.state.step) == 8
    assert [(r["step"], r["split"]) for r in fitted.records] == [
        (2, "train"),
        (4, "train"),
        (4, "validation"),
        (6, "train"),
        (8, "train"),
        (8, "validation"),
    ]
    assert {"elbo", "log_likelihood", "kl", "loss", "skipped_steps", "images_per_second"} <= set(fitted.records[0])
    assert fitted.params is fitted.state.params


def test_records_are_means_over_their_window():
    each, pairs = fit(log_every=1), fit(log_every=2)
    singles = [r for r in each.records if r["split"] == "train"]
    for i, record in enumerate(r for r in pairs.records if r["split"] == "train"):
        for name in ("elbo", "kl", "loss"):
            assert record[name] == pytest.approx((singles[2 * i][name] + singles[2 * i + 1][name]) / 2, rel=1e-12)
    assert tree_sha256(each.state) == tree_sha256(pairs.state)


def test_validation_is_at_beta_1_on_fixed_noise():
    """With a zero learning rate nothing moves, so every validation says the same, whatever beta and the seed are."""
    still = [fit(settings={"beta": beta, "learning_rate": 0.0}, seed=seed) for beta, seed in ((1.0, 0), (7.0, 1))]
    values = {r["elbo"] for fitted in still for r in validations(fitted.records)}
    assert len(values) == 1
    evidence = toys.linear_gaussian_evidence(X[:10]).mean()
    assert values.pop() == pytest.approx(evidence, abs=1.5)  # the exact posterior, one sample of each example


def test_metrics_and_figures_of_the_users_own(tmp_path):
    def shrinkage(trained):
        return jnp.sum(trained.params["generative"]["loadings"] ** 2)

    def drawing(trained):
        figure = matplotlib.figure.Figure()
        figure.subplots().plot([0, 1], [0, 1])
        return figure

    fitted = fit(tmp_path / "run", data=X, metrics={"size": shrinkage}, figures={"drawing": drawing})
    sizes = [r["size"] for r in validations(fitted.records)]
    assert len(sizes) == 2
    assert sizes[-1] == pytest.approx(float(shrinkage(fitted.trained)))
    written = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [r["size"] for r in written if r["split"] == "validation"] == sizes
    assert (tmp_path / "run" / "figures" / "drawing.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_early_stopping_ends_the_run_for_good(tmp_path):
    seen = []

    def stop(records):
        seen.append(len(records))
        return any(r["split"] == "validation" and r["step"] >= 4 for r in records)

    stopped = fit(tmp_path / "run", stop=stop)
    assert (int(stopped.state.step), stopped.signal) == (4, None)
    again = fit(tmp_path / "run", stop=stop)
    assert tree_sha256(again.state) == tree_sha256(stopped.state)
    assert int(fit(tmp_path / "run", stop=patience(99)).state.step) == 8


def test_the_average_is_what_is_validated_and_loaded(tmp_path):
    def first(trained):
        return trained.params["generative"]["loadings"][0, 0]

    fitted = fit(tmp_path / "run", average_decay=0.5, metrics={"first": first})
    averaged = float(fitted.state.average["generative"]["loadings"][0, 0])
    assert averaged != float(fitted.state.params["generative"]["loadings"][0, 0])
    assert fitted.records[-1]["first"] == averaged
    chex.assert_trees_all_equal(vae.load(tmp_path / "run", "latest", model=MODEL).params, fitted.state.average)
    chex.assert_trees_all_equal(fitted.params, fitted.state.average)


def test_players_have_their_own_optimisers():
    fitted = fit(optimiser={"posterior": optax.sgd(0.01), "generative": optax.sgd(0.0)})
    params, _ = MODEL.init(jax.random.key(0))
    chex.assert_trees_all_equal(fitted.params["generative"], params["generative"])
    assert np.any(fitted.params["posterior"]["weights"] != params["posterior"]["weights"])


def failing(after):
    """An ELBO whose gradient is NaN from step `after` on; it counts steps in its own carried state."""

    def loss(params, carried, key, batch, settings, model):
        value, aux = vae.elbo().loss(params, carried, key, batch, settings, model)
        return value * jnp.where(settings["broken"] > 0.5, jnp.nan, 1.0), aux

    schedule = vae.schedules.Schedule(lambda step: jnp.where(step >= after, 1.0, 0.0), None, f"from {after}")
    return {"objective": vae.elbo()._replace(loss=loss), "settings": {"broken": 1.0}, "schedules": {"broken": schedule}}


def test_a_run_without_finite_gradients_is_stopped_and_keeps_its_last_good_parameters(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "LONGEST_SKIP", 5)
    with pytest.raises(DivergedError, match=r"not finite in 6 steps in a row up to step 10.*last good step"):
        fit(tmp_path / "run", steps=20, **failing(4))
    good = fit(steps=4).params  # of another program, so that the last bit may differ
    chex.assert_trees_all_close(vae.load(tmp_path / "run", "latest", model=MODEL).params, good, rtol=1e-5, atol=1e-6)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    broken = [r for r in lines if r["split"] == "train" and r["step"] > 4]
    assert all(r["elbo"] is None and r["skipped_steps"] == 2 for r in broken)


def test_a_run_shorter_than_the_longest_skip_is_stopped_too():
    with pytest.raises(DivergedError, match="8 steps in a row"):
        fit(**failing(0))


def test_initial_parameters_are_where_it_starts():
    params, _ = MODEL.init(jax.random.key(0))
    params = jax.tree.map(lambda p: p + 0.25, params)
    fitted = fit(steps=1, start=params, settings={"learning_rate": 0.0}, average_decay=0.9)
    chex.assert_trees_all_equal(fitted.state.params, params)
    chex.assert_trees_all_close(fitted.state.average, params, rtol=1e-6)
    params["generative"]["loadings"] = jnp.zeros((4, 3))
    with pytest.raises(ValueError, match=r"do not fit: \['generative'\]\['loadings'\] is \(4, 2\) in this model"):
        fit(start=params)
    with pytest.raises(ValueError, match=r"do not fit|have 1 arrays"):
        fit(start={"generative": {"loadings": jnp.zeros((4, 2))}})


def test_a_number_that_cannot_be_is_refused_before_anything_is_written(tmp_path):
    cases = [
        ({"steps": 0}, "steps is 0; wanted at least 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 41}, "batch_size is 41, more than the 40 training examples"),
        ({"log_every": 0}, "log_every is 0"),
        ({"validate_every": -1}, "validate_every is -1"),
        ({"save_every": 0}, "save_every is 0"),
        ({"settings": {"beta": float("nan")}}, "the setting beta is nan; wanted a finite number"),
        ({"settings": {"beta": 1.0}, "schedules": {"beta": vae.schedules.linear(9)}}, "ends at step 9, after training"),
        ({"data": np.where(X > 2, np.nan, X)}, "NaN or infinite"),
        ({"data": X[:0]}, "no examples"),
        ({"chunk": 0}, "chunk is 0"),
        ({"start": {}}, "have 0 arrays"),
    ]
    for changed, message in cases:
        with pytest.raises(ValueError, match=message):
            fit(tmp_path / "run", **changed)
        assert not (tmp_path / "run").exists()


def test_writers_of_the_users_own_see_every_record():
    class Kept:
        def __init__(self):
            self.records, self.closed = [], False

        def write(self, record):
            self.records.append(record)

        def close(self):
            self.closed = True

    kept = Kept()
    fitted = fit(writers=(kept,))
    assert kept.records == fitted.records
    assert kept.closed


def test_stop_is_asked_when_there_is_something_to_look_at():
    """A function of the last record need not expect that there is none."""
    seen = []
    fit(stop=lambda records: bool(seen.append(records[-1]["step"])))
    assert seen == sorted(seen) != []
