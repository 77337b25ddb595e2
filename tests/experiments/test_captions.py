"""What the captions of digits say, what a changed word changes, and the comparison at its smallest."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke_runs import smoke_run

from experiments import captioned_digits as digits
from experiments import captions as experiment
from vae.data.feeds import prepared


def test_captions_say_what_was_measured_of_the_image_beside():
    dataset, edges = digits.digits("digits")
    said = digits.said_of("digits", "train", 300)
    values = digits.measured_bytes(dataset.train.x[:300])
    for measure in ("thickness", "width", "slant"):
        ordered = [values[measure][said[measure] == third] for third in range(3)]
        assert ordered[0].max() <= edges[measure][0] <= ordered[1].min()
        assert ordered[1].max() <= edges[measure][1] <= ordered[2].min()
    feed = digits.captioned("digits", missing=False).train
    batch = prepared(feed, jax.random.key(0), jax.tree.map(lambda leaf: jnp.asarray(leaf)[:300], feed.arrays))
    np.testing.assert_array_equal(batch.context["text"], digits.GRAMMAR.tokens(said))
    sentence = digits.GRAMMAR.sentence(batch.context["text"][0])
    assert digits.DIGITS[int(dataset.train.label[0])] in sentence.split()


def test_never_are_both_missing_and_each_is_as_often_as_said():
    seen = digits.some_missing(jax.random.key(0), 20_000)
    image, text = np.asarray(seen["image"]), np.asarray(seen["text"])
    assert np.all(image | text)
    assert abs((~image).mean() - digits.TEXT_ALONE) < 0.015
    assert abs((~text).mean() - digits.IMAGE_ALONE) < 0.015


@pytest.mark.slow  # four models, each drawn again for many words
def test_the_smoke_run_scores_every_word_with_the_image_and_without(tmp_path):
    numbers = smoke_run(experiment, tmp_path, train=False)
    assert list(numbers["models"]) == ["side by side", "either missing", "product", "mixture"]
    told = {f"follows_{thing}{where}" for thing in ("thickness", "width", "slant", "digit") for where in ("", ", text alone")}
    assert told <= set(numbers["models"]["product"])
    assert 0.0 <= numbers["models"]["mixture"]["follows_digit"]["mean"] <= 1.0
