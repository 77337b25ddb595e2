"""`python -m experiments.gaps`: the gap report of a run."""

import json

import pytest

from experiments import gaps


def test_it_writes_and_prints_the_gaps(call, trained):
    said = call(gaps, "--workdir", trained, "--smoke")
    assert said.code == 0
    assert "L[q*], fitted to each image" in said.out
    numbers = json.loads((trained / "gaps.json").read_text())
    assert numbers["config"]["examples"] == 4
    for name in ("approximation", "amortisation", "estimator"):
        assert f"{name} gap" in said.out
        assert set(numbers[name]) == {"mean", "se_images", "se_mc"}
    parts = {name: numbers[name]["mean"] for name in ("log_evidence", "fitted", "elbo", "approximation", "amortisation")}
    assert parts["approximation"] == pytest.approx(parts["log_evidence"] - parts["fitted"], abs=1e-4)
    assert parts["amortisation"] == pytest.approx(parts["fitted"] - parts["elbo"], abs=1e-4)
    assert 0.3 < numbers["acceptance"] < 1.0


def test_nothing_to_measure_is_refused(refused, trained):
    assert "got 0 examples and 50 samples; wanted at least 1" in refused(gaps, "--workdir", trained, "--examples", 0)
