"""Which differences between two configurations are none."""

import pytest

from vae.training.sameness import differences, number_differences


def config(space, train="a"):
    return {
        "run": {"steps": 10, "settings": {"beta": 1.0}},
        "data": {"shape": [8, 8, 1], "space": space},
        "precision": {},
        "digests": {"train": train, "step": "s"},
        "versions": {},
    }


@pytest.mark.parametrize("now", ["unit_interval", "binary"])
def test_what_an_earlier_version_called_real_is_the_same_data(now):
    assert differences(config("real"), config(now)) == ([], [])
    assert differences(config("real"), config(now, "b")) == (["the training data are others, or in another order"], [])


@pytest.mark.parametrize(("was", "now"), [("unit_interval", "real"), ("real", "uint8"), ("binary", "unit_interval")])
def test_other_spaces_are_other_data(was, now):
    assert number_differences(config(was), config(now)) == [f"data.space is {was!r} there, {now!r} now"]
