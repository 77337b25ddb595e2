"""The signal-to-noise experiment at its smallest, and the numbers it is made of."""

import dataclasses
import json

import numpy as np
import pytest

from experiments import signal_to_noise as experiment


def test_ratio_and_slope_of_known_gradients():
    gradients = np.random.default_rng(0).normal([[0.5, -2.0]], [[1.0, 4.0]], size=(200_000, 2))
    assert experiment.signal_over_noise(gradients) == pytest.approx(0.5, abs=0.01)
    assert experiment.slope((1, 4, 16), [0.8, 0.4, 0.2]) == pytest.approx(-0.5)


def test_the_noise_grows_with_k_for_iwae_only(tmp_path, capsys, monkeypatch):
    """Two numbers of samples far apart, 400 gradients; sticking the landing is left out to save a compilation."""
    chosen = {name: experiment.ESTIMATORS[name] for name in ("IWAE", "DReG")}
    monkeypatch.setattr(experiment, "ESTIMATORS", chosen)
    config = dataclasses.replace(experiment.Config(), samples=(1, 32), gradients=400, workdir=tmp_path)
    assert experiment.main(config) == 0
    record = json.loads((tmp_path / "signal_to_noise.json").read_text())
    assert record["slopes"]["IWAE"] < -0.2
    assert record["slopes"]["DReG"] > -0.1
    assert "slope" in capsys.readouterr().out
    assert (tmp_path / "signal_to_noise.png").stat().st_size > 1000
