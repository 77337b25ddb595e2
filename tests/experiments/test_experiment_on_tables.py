"""The experiment with tables at its smallest, and its baselines against SciPy."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal
from smoke_runs import call, require_finite

from experiments import tables as experiment


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    assert call(experiment.__name__, "--smoke", "--workdir", folder) == 0
    assert (folder / "tables.md").read_text().startswith("| ")
    return json.loads((folder / "tables.json").read_text())["tables"]


def test_the_models_are_measured_on_the_same_rows_in_pairs(numbers):
    assert list(numbers) == ["wine"]
    of = numbers["wine"]
    for name in ("Gaussian", "PPCA"):
        require_finite({part: of[name][part] for part in ("mean", "se_images")})
        assert of[f"VAE minus {name}"]["mean"] == pytest.approx(of["VAE"]["mean"] - of[name]["mean"])
        assert of[f"VAE minus {name}"]["se_images"] < of["VAE"]["se_images"] + of[name]["se_images"]
    assert len(of["VAE"]["per_seed"]) == 2
    require_finite(of["VAE"])


def test_the_gaussian_is_scored_in_the_units_of_the_columns(numbers):
    """Without shrinkage, which is what is chosen here, it needs no standardising at all."""
    assert "shrinkage 0;" in numbers["wine"]["chosen"]
    splits = experiment.splits_of("wine")
    train, _, test = (np.asarray(part.arrays["x"], float) for part in splits)
    plain = multivariate_normal(train.mean(axis=0), np.cov(train.T, bias=True))
    assert_allclose(numbers["wine"]["Gaussian"]["mean"], -plain.logpdf(test).mean(), rtol=1e-4)


def test_all_components_but_one_are_nearly_the_gaussian():
    x = np.random.default_rng(0).normal(size=(400, 3)) @ np.random.default_rng(1).normal(size=(3, 3))
    gaussian, principal = dict(experiment.gaussians(x))["shrinkage 0"], dict(experiment.principal_components(x))
    assert list(principal) == ["1 components", "2 components"]
    assert_allclose(principal["2 components"](x).mean(), gaussian(x).mean(), atol=0.01)
    assert principal["1 components"](x).mean() < principal["2 components"](x).mean()


def test_a_table_that_is_not_at_hand_is_left_out(monkeypatch, capsys):
    def missing():
        raise OSError("not downloaded")

    monkeypatch.setitem(experiment.TABLES, "California housing", (missing, ()))
    assert experiment.splits_of("California housing") is None
    assert "California housing is left out" in capsys.readouterr().out
