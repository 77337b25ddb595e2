"""The weights of the paper's loss, and the comparison at its smallest."""

import pytest
from smoke_runs import smoke_run

from experiments import semi_supervised as experiment


def test_the_weights_are_those_of_a_sum_over_all_images():
    config = experiment.Config(data="digits", labels=(20, 100), batch_size=20, alpha=0.1)
    found = experiment.variants(config)
    assert list(found) == ["20 labels alone", "M2, 20 labels", "100 labels alone", "M2, 100 labels"]
    m2 = found["M2, 100 labels"]
    size = m2.data.train["unlabelled"].size
    assert m2.data.train["labelled"].size == 100
    assert m2.settings["labelled"] * size == pytest.approx(100)
    assert m2.settings["labelled"] * m2.settings["classification"] == pytest.approx(0.1), "alpha times a mean over the labelled"
    assert found["100 labels alone"].data.train.size == 100


def test_the_smoke_run_says_how_accurate_each_is(tmp_path):
    numbers = smoke_run(experiment, tmp_path, train=False)
    assert list(numbers["models"]) == ["20 labels alone", "M2, 20 labels"]
    assert 0.0 <= numbers["models"]["M2, 20 labels"]["accuracy"]["mean"] <= 1.0
    assert "accuracy" in numbers["differences"]["M2, 20 labels minus 20 labels alone"]
