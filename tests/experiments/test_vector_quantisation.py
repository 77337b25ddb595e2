"""The comparison of quantisers, and the run with a prior over codes, at their smallest."""

import math

import numpy as np
import pytest
import smoke_runs
from smoke_runs import smoke_run

import vae
from experiments import code_prior, vector_quantisation
from vae.command import sampling


def test_every_quantiser_has_about_as_many_bits_at_a_place():
    """The log of the number of combinations, by the model's own traces; finite scalar has 8 x 6 x 5 = 240."""
    config = vector_quantisation.Config(data="digits", widths=(4, 4), dim=4, prior_width=8)
    found = vector_quantisation.variants(config)
    assert len(found) == 7
    for name, experiment in found.items():
        arguments = experiment.model.arguments
        combinations = arguments["codes"] ** arguments.get("depth", 1)
        assert combinations == 256, name
        assert experiment.objective is vector_quantisation.OBJECTIVE
    soft = found["gumbel"]
    assert [float(soft.schedules[n](0)) for n in ("temperature", "beta")] == [1.0, 0.0]
    assert float(soft.schedules["temperature"](config.steps)) == pytest.approx(config.temperature)
    assert float(soft.schedules["beta"](config.steps)) == 1.0, "it ends with the KL itself"


@pytest.mark.slow
def test_the_comparison_measures_all(tmp_path):
    """Slow: fourteen evaluations, each a program of its own."""
    numbers = smoke_run(vector_quantisation, tmp_path, train=False)
    assert len(numbers["models"]) == 7
    for name, of in numbers["models"].items():
        assert 1.0 <= of["perplexity"]["mean"] <= 256.0, name
        if name != "gumbel":
            assert of["nll"]["mean"] == pytest.approx(of["rate"]["mean"] + of["distortion"]["mean"], rel=1e-5)
            assert of["rate"]["mean"] > 0


@pytest.mark.slow
def test_a_run_with_a_prior_over_codes_evaluates_draws_samples_and_goes_on(tmp_path):
    """Slow: training, a report with all figures, samples and a second stage."""
    small = {
        "data": "digits",
        "codes": 8,
        "dim": 4,
        "widths": 4,
        "prior-width": 8,
        "prior-layers": 1,
        "steps": 12,
        "batch-size": 32,
    }
    flags = [word for name, value in small.items() for word in (f"--{name}", value)]
    common = ("--no-progress", "--test-examples", 60, "--log-every", 6, "--validate-every", 6)
    first = tmp_path / "first"
    assert smoke_runs.call(code_prior.__name__, *flags, *common, "--workdir", first) == 0
    assert (first / "figures" / "code_usage.png").stat().st_size > 1000
    assert (first / "figures" / "samples_prior.png").exists()
    output = tmp_path / "samples.png"
    assert sampling.main(sampling.Config(workdir=first, number=4, output=output, temperature=(0.7,))) == 0
    drawn = np.load(output.with_suffix(".npz"))
    assert any(np.issubdtype(drawn[name].dtype, np.integer) and drawn[name].shape == (4, 4, 4, 1) for name in drawn.files)
    second = tmp_path / "second"
    assert smoke_runs.call(code_prior.__name__, *flags, *common, "--second-stage", first, "--workdir", second) == 0
    before, after = vae.load(first), vae.load(second)
    assert np.array_equal(
        before.params["generative"]["decoder"]["places"]["kernel"], after.params["generative"]["decoder"]["places"]["kernel"]
    )
    assert math.isfinite(float(after.params["generative"]["prior"]["position"].sum()))
