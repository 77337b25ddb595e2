"""`python -m experiments.gaps`: the gap report of a run."""

import json
import warnings

import pytest

from experiments import gaps


def test_it_writes_and_prints_the_gaps(call, trained):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        said = call(gaps, "--workdir", trained, "--smoke")
    assert said.code == 0
    assert "4 of 4 examples have fewer than 10 effective chains of 4" in said.err
    assert "unknown" in said.out
    assert "too few for a Monte Carlo error, for 100 % of the images" in said.out
    assert "L[q*], fitted to each image" in said.out
    numbers = json.loads((trained / "gaps.json").read_text())
    assert numbers["config"]["examples"] == 4
    for name in ("approximation", "amortisation", "estimator"):
        assert f"{name} gap" in said.out
        assert set(numbers[name]) == {"mean", "se_images", "se_mc"}
    assert numbers["approximation"]["se_mc"] is None
    assert numbers["amortisation"]["se_mc"] > 0
    parts = {name: numbers[name]["mean"] for name in ("log_evidence", "fitted", "elbo", "approximation", "amortisation")}
    assert parts["approximation"] == pytest.approx(parts["log_evidence"] - parts["fitted"], abs=1e-4)
    assert parts["amortisation"] == pytest.approx(parts["fitted"] - parts["elbo"], abs=1e-4)
    assert 0.3 < numbers["acceptance"] < 1.0


def test_nothing_to_measure_is_refused(refused, trained):
    assert "got 0 examples and 50 samples; wanted at least 1" in refused(gaps, "--workdir", trained, "--examples", 0)
