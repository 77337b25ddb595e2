"""The rate-distortion experiment at its smallest."""

import dataclasses

import numpy as np
import pytest
from smoke_runs import smoke_run

import vae
from experiments import comparison
from experiments import rate_distortion as experiment

BETAS = (0.1, 1.0, 8.0)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("rate_distortion")
    numbers = smoke_run(experiment, workdir, betas=BETAS)
    assert (workdir / "rate_distortion.md").read_text().count("\n") == 2 + 3 + 2
    return numbers


def test_a_larger_beta_buys_a_smaller_rate(numbers):
    rates = np.array([of["rate"]["per_seed"] for of in numbers["models"].values()])
    assert list(numbers["models"]) == ["beta 0.1", "beta 1", "beta 8"]
    assert np.all(np.diff(rates, axis=0) < 0), "for every seed"


def test_the_others_are_compared_with_beta_one(numbers):
    assert list(numbers["differences"]) == ["beta 0.1 minus beta 1", "beta 8 minus beta 1"]
    of, one = (numbers["models"][name]["distortion"]["mean"] for name in ("beta 8", "beta 1"))
    assert numbers["differences"]["beta 8 minus beta 1"]["distortion"]["mean"] == pytest.approx(of - one)


def test_a_seed_starts_alike_at_every_beta():
    """Training at a rate of zero leaves the start; the program is that of the smoke run, so it is not compiled again."""
    config = dataclasses.replace(experiment.Config(), seeds=2, steps=100, learning_rate=0.0)
    data = comparison.shown(vae.data.load("digits"), images=4)
    model = vae.models.mlp(data.feed.spec, 4, (16,))
    states = comparison.train(config, model, vae.elbo(monitors=()), data.feed, {"beta": BETAS}).states
    weights = np.asarray(states.params["posterior"]["output"]["kernel"]).reshape(len(BETAS), 2, -1)
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])
    assert not np.array_equal(weights[0, 0], weights[0, 1]), "seeds differ"


def test_betas_without_one_are_refused(refused):
    assert "wanted 1 among them" in refused(experiment, "--betas", 0.5, 2)
