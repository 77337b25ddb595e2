"""Which pixels are hidden, and the comparison at its smallest."""

import numpy as np
import pytest
from smoke_runs import smoke_run

from experiments import quadrants as experiment
from vae.reports.evaluation import examples_of


@pytest.mark.parametrize(("shown", "share"), [(1, 3 / 4), (2, 1 / 2), (3, 1 / 4)])
def test_the_hidden_pixels_are_those_of_the_example(shown, share):
    examples = examples_of(experiment.completed("digits", shown), 5)
    hidden = np.asarray(examples.context["observed"])
    assert hidden.mean() == share
    assert hidden[:, 0, -1].all() == (shown < 3)
    assert not hidden[:, -1, 0].any(), "the bottom left is always shown"
    assert not np.any(np.asarray(examples.context["given"])[hidden])
    assert not np.any(np.asarray(examples.x)[~hidden])


def test_four_quadrants_leave_nothing_to_predict():
    with pytest.raises(ValueError, match="shown is 4; wanted 1, 2 or 3"):
        experiment.completed("digits", 4)


def test_the_smoke_run_compares_with_the_network_whose_likelihood_is_exact(tmp_path):
    numbers = smoke_run(experiment, tmp_path, train=False)
    network, *others = numbers["models"]
    assert (network, others) == ("network", ["VAE", "CVAE"])
    exact = numbers["models"]["network"]
    assert exact["rate"]["mean"] == 0.0
    assert exact["nll"]["mean"] == pytest.approx(-exact["elbo"]["mean"], rel=1e-5)
    assert list(numbers["differences"]) == ["VAE minus network", "CVAE minus network"]
