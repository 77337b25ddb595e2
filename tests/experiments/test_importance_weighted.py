"""The importance-weighted experiment at its smallest."""

import numpy as np
import pytest
from smoke_runs import smoke_run

from experiments import importance_weighted as experiment


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("importance_weighted")
    return smoke_run(experiment, workdir, "--control", "--activation", "relu", train=False)


def test_every_method_is_measured_and_compared_with_the_first(numbers):
    names = list(numbers["models"])
    assert names == ["VAE", "VAE, 5 samples", "IWAE, k = 5", "IWAE, k = 5, DReG"]
    assert list(numbers["differences"]) == [f"{name} minus VAE" for name in names[1:]] + [f"{names[3]} minus {names[2]}"]
    for of in numbers["models"].values():
        assert len(of["nll"]["per_seed"]) == numbers["config"]["seeds"] == 2
        assert of["nll"]["mean"] < -of["elbo"]["mean"], "the bound of many samples is tighter"
        assert of["nll"]["se_images"] > of["nll_se_mc"]["mean"] > 0


def test_differences_are_those_of_the_seeds(numbers):
    for name, pair in numbers["differences"].items():
        a, b = (np.array(numbers["models"][model]["nll"]["per_seed"]) for model in name.split(" minus "))
        assert pair["nll"]["per_seed"] == pytest.approx((a - b).tolist(), abs=1e-9)
        assert pair["nll"]["se_images"] < numbers["models"]["VAE"]["nll"]["se_images"]
