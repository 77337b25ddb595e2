"""The comparison of hierarchies at its smallest."""

import pytest
from smoke_runs import smoke_run

from experiments import hierarchies as experiment


@pytest.mark.slow  # five models with up to three groups are compiled and evaluated: over half a minute of processor time
def test_every_model_is_measured_by_group(tmp_path):
    numbers = smoke_run(experiment, tmp_path, train=False)
    models = numbers["models"]
    assert list(models) == ["one layer", "two layers", "ladder", "maps", experiment.LONGER]
    for name, groups in {"one layer": 1, "two layers": 2, "ladder": 3, "maps": 2}.items():
        kl = [models[name][f"kl_{group}"]["mean"] for group in range(3)]
        assert [nats != 0 for nats in kl] == [group < groups for group in range(3)]
        assert models[name]["nll"]["mean"] < -models[name]["elbo"]["mean"]


def test_the_longer_training_has_its_own_steps_and_schedule():
    config = experiment.Config(data="digits", steps=10, dearer=3.0)
    assert experiment.steps(config) == {experiment.LONGER: 30}
    schedule = experiment.variants(config)[experiment.LONGER].schedules["learning_rate"]
    assert schedule(29) > 0
    assert schedule(30) == pytest.approx(0.0, abs=1e-6)
