"""Scripts that compare priors and posteriors, at their smallest."""

import pytest
from smoke_runs import smoke_run

from experiments import hyperspherical, priors


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


def test_a_sphere_has_as_many_dimensions_as_its_gaussian():
    made = hyperspherical.variants(hyperspherical.Config(data="digits", dimensions=(5,)))
    assert [variant.model.arguments["latent_dim"] for variant in made.values()] == [5, 6, 6]
