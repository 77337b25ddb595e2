"""The rate-distortion experiment at its smallest."""

import numpy as np
import pytest
from smoke_runs import smoke_run

from experiments import rate_distortion as experiment
from vae.reports.comparing import programs

BETAS = (0.1, 1.0, 8.0)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("rate_distortion")
    numbers = smoke_run(experiment, workdir, "--betas", *BETAS)
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


def test_the_betas_are_one_program():
    assert programs(experiment.variants(experiment.Config(data="digits", betas=BETAS))) == [["beta 0.1", "beta 1", "beta 8"]]


def test_betas_without_one_are_refused(refused):
    assert "wanted 1 among them" in refused(experiment, "--betas", 0.5, 2)
