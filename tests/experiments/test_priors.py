"""Scripts that compare priors and posteriors, at their smallest."""

import contextlib

import numpy as np
import pytest
from smoke_runs import call, smoke_run

from experiments import hyperspherical, laws_of_codes, priors, second_stage, sparse_coding, sparse_decoding


@pytest.mark.slow  # seven models are compiled for evaluation
def test_priors(tmp_path):
    numbers = smoke_run(priors, tmp_path, "--others", train=False)
    assert list(numbers["models"]) == [*priors.PRIORS, *priors.POSTERIORS, "Hamiltonian posterior"]


@pytest.mark.slow  # three models are compiled for evaluation
def test_hyperspherical(tmp_path):
    numbers = smoke_run(hyperspherical, tmp_path, train=False)
    assert list(numbers["differences"]) == [
        "von Mises-Fisher, d = 2 minus normal, d = 2",
        "power spherical, d = 2 minus normal, d = 2",
    ]


@pytest.mark.slow  # two models are compiled for evaluation
def test_sparse_coding(tmp_path):
    numbers = smoke_run(sparse_coding, tmp_path, train=False)
    used = {name: of["used"]["mean"] for name, of in numbers["models"].items()}
    assert used["VAE, 3 dimensions"] == pytest.approx(3)
    assert used["sparse coding, 3 dimensions"] < 3


def test_sparse_decoding(tmp_path):
    numbers = smoke_run(sparse_decoding, tmp_path, train=False)
    for of in numbers["models"].values():
        assert 0 < of["mask_precision"]["mean"] <= 1


def test_the_simulated_genes_have_anchors_and_a_second_factor_at_most():
    x, mask = sparse_decoding.simulated(sparse_decoding.Config(cells=50))
    assert (x.shape, mask.shape) == ((50, 60), (60, 5))
    assert set(mask.sum(axis=1)) == {1, 2}
    assert np.all(mask[:10].sum(axis=1) == 1)
    assert np.all(mask[:10].sum(axis=0) == 2)


@pytest.mark.slow  # three trainings, one after the other
def test_second_stage(tmp_path):
    with contextlib.redirect_stdout(None):
        assert call(second_stage.__name__, "--smoke", "--seeds", 1, "--workdir", tmp_path) == 0
    table = (tmp_path / "second_stage.md").read_text()
    assert [row.split("|")[1].strip() for row in table.splitlines()[2:]] == [*laws_of_codes.METHODS, "training images"]
    assert (tmp_path / "second_stage.png").stat().st_size > 1000


@pytest.mark.slow  # a training with all its figures
def test_circle(tmp_path):
    assert call("experiments.circle", "--smoke", "--no-progress", "--workdir", tmp_path) == 0
    assert (tmp_path / "figures" / "circle.png").stat().st_size > 1000


def test_a_sphere_has_as_many_dimensions_as_its_gaussian():
    made = hyperspherical.variants(hyperspherical.Config(data="digits", dimensions=(5,)))
    assert [variant.model.arguments["latent_dim"] for variant in made.values()] == [5, 6, 6]
