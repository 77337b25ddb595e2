"""Emoji with their names: what the captions say, what "darker" means, and the script at its smallest."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import captioned_emoji as tools
from experiments import emoji_names as experiment
from vae.data.feeds import prepared

SHARED = Path(__file__).parents[2].parent / "shared"
pytestmark = pytest.mark.skipif(not (SHARED / "emoji").is_dir(), reason="no emoji beside the repository")


@pytest.mark.slow  # reads and shrinks 3,583 pictures
def test_the_words_of_an_emoji_are_those_of_its_name():
    part = tools.named("emoji/32").test
    batch = prepared(part, jax.random.key(0), jax.tree.map(lambda leaf: jnp.asarray(leaf)[:50], part.arrays))
    for tokens, name in zip(np.asarray(batch.context["text"]), tools.names_of("emoji/32", part.labels[:50]), strict=True):
        said = [tools.words("emoji/32")[token - 1] for token in tokens if token]
        assert set(said) <= set(name.replace(",", "").replace(":", "").lower().split())
        assert ("skin" in said) == ("skin" in name) or len(said) == tools.LENGTH
    assert set(tools.TONES) - {"light"} <= set(tools.words("emoji/32"))


def test_brightness_is_that_of_what_is_seen():
    images = np.zeros((2, 4, 4, 4))
    images[..., :3], images[..., 3] = 200.0, 255.0
    images[:, :2, :, 3], images[:, :2, :, :3] = 0.0, 13.0
    assert tools.brightness(images) == pytest.approx(200.0, abs=1e-3)


@pytest.mark.slow  # convolutions of colour pictures, and all figures of a run
def test_the_smoke_run_says_how_far_the_drawings_follow(call, tmp_path):
    said = call(experiment, "--smoke", "--workdir", tmp_path, "--no-progress", "--test-examples", 120)
    assert said.code == 0, said.err
    assert np.isfinite(json.loads((tmp_path / "summary.json").read_text())["tone"])
    assert (tmp_path / "figures" / "words.png").stat().st_size > 1000
