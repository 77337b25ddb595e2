"""The anomaly experiment at its smallest, on gray digits: its sets, and what it leaves behind."""

import json

import numpy as np
import pytest

import vae
from experiments import anomalies as experiment
from vae.reports.detecting import INSIDE


def test_the_sets_are_what_their_names_say():
    digits = vae.data.load("digits")
    known, sets = experiment.sets_of(experiment.Config(data="digits", others=("digits",), left_out=3, images=50), digits)
    assert list(sets) == [INSIDE, "digits", "the 3", "quarter turn", "noise", "pixels shuffled"]
    assert all(images.shape[1:] == (8, 8, 1) and images.dtype == np.uint8 for images in sets.values())
    assert 3 not in known.train.label
    for image in sets["the 3"]:
        assert not np.any(np.all(known.test.x == image, axis=(1, 2, 3)))
    np.testing.assert_array_equal(sets["quarter turn"][0, :, :, 0], np.rot90(sets[INSIDE][0, :, :, 0]))
    assert [sorted(image.reshape(-1)) for image in sets["pixels shuffled"]] == [sorted(i.reshape(-1)) for i in sets[INSIDE]]
    assert sets["noise"].mean() == pytest.approx(127.5, abs=5)


def test_dark_ink_is_turned_round_and_large_images_are_averaged(tmp_path):
    images = np.full((40, 16, 16), 255, np.uint8)
    images[:, :, 7:9] = 0
    np.savez(tmp_path / "ink.npz", x=images)
    found = experiment.other_images(str(tmp_path / "ink.npz"), 8)
    assert found.shape == (40, 8, 8, 1)
    assert found[0, 0, :, 0].tolist() == [0, 0, 0, 128, 128, 0, 0, 0]


@pytest.mark.slow  # two trainings and eight programs of scores
def test_every_score_stands_in_the_table(call, tmp_path):
    said = call(experiment, "--smoke", "--workdir", tmp_path)
    assert said.code == 0, said.err
    areas = json.loads((tmp_path / "areas.json").read_text())["areas"]
    scores = ["NLL", "KL 1", "KL 2", "KL 3", "LLR>1", "LLR>2"]
    named = ["one group: NLL", "one group: KL", *(f"ladder: {score}" for score in scores), "mean intensity", "compressed size"]
    assert list(areas) == named
    for row in areas.values():
        assert list(row) == ["digits", "quarter turn", "noise", "pixels shuffled"]
        assert all(0 <= area["mean"] <= 1 for area in row.values())
    assert areas["compressed size"]["noise"]["mean"] > 0.99
