"""Digits with captions of what was measured of them, and how well what is drawn follows a word that is changed."""

from collections.abc import Callable
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.neighbors import KNeighborsClassifier

import vae
from vae.data import Dataset
from vae.data.captions import Grammar, thirds
from vae.data.strokes import MEASURES
from vae.evaluation.examples import Examples
from vae.trained import Trained

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GRAMMAR = Grammar(
    {
        "thickness": ("thin", "", "thick"),
        "width": ("narrow", "", "wide"),
        "digit": DIGITS,
        "slant": ("leaning-left", "upright", "leaning-right"),
    }
)
TEXT_ALONE, IMAGE_ALONE = 0.25, 0.25
"""Shares of the training examples of which one part is there, where either may be missing."""
NEIGHBOURS = 10_000


@partial(jax.jit, static_argnames="batch_size")
def measured(images, batch_size: int = 500) -> dict:
    """What is measured of images in [0, 1]: an array of numbers for each measure."""
    return {name: jax.lax.map(measure, images, batch_size=batch_size) for name, measure in MEASURES.items()}


def measured_bytes(images) -> dict[str, np.ndarray]:
    """What is measured of stored images."""
    found = measured(jnp.asarray(np.asarray(images), jnp.float32) / 255.0)
    return {name: np.asarray(values) for name, values in found.items()}


@lru_cache(maxsize=2)
def digits(name: str) -> tuple[Dataset, dict[str, np.ndarray]]:
    """A data set, and the terciles of its training images by measure."""
    dataset = vae.data.load(name)
    return dataset, {m: np.quantile(of, (1 / 3, 2 / 3)) for m, of in measured_bytes(dataset.train.x).items()}


def said_of(name: str, split: str, number: int) -> dict[str, np.ndarray]:
    """Which word the captions of the first images of a split have for each thing: the third of the measure, and the digit."""
    dataset, edges = digits(name)
    part = getattr(dataset, split)
    said = {measure: thirds(of, edges[measure]) for measure, of in measured_bytes(part.x[:number]).items()}
    return said | {"digit": np.asarray(part.label[:number])}


def captioned(name: str, missing: bool) -> vae.data.Splits:
    """Images of digits with their captions; `missing`: of half of the training examples the image or the text is not there."""
    parts = {}
    for split, part in vae.data.image_splits(digits(name)[0])._asdict().items():
        text = GRAMMAR.tokens(said_of(name, split, part.size))
        prepare = partial(with_text, part.prepare, some_missing if missing and split == "train" else all_there)
        known = {"labels": part.labels, "label_names": part.label_names}
        parts[split] = vae.data.feed((part.arrays, text), prepare, spec=part.spec, **known)
    return vae.data.Splits(**parts)


def with_text(prepare, seen, key, stored):
    """x, and the caption beside what is there of both."""
    image_key, seen_key = jax.random.split(key)
    images, text = stored
    return prepare(image_key, images)[0], {"text": text, "seen": seen(seen_key, len(text))}


def all_there(key, number: int) -> dict:
    """Image and text of every example."""
    return {"image": jnp.ones(number, bool), "text": jnp.ones(number, bool)}


def some_missing(key, number: int) -> dict:
    """Image, text or both, by the shares above."""
    drawn = jax.random.uniform(key, (number,))
    return {"image": drawn >= TEXT_ALONE, "text": drawn < 1.0 - IMAGE_ALONE}


def told(said: dict, image_seen: bool) -> dict:
    """A context of captions."""
    text = jnp.asarray(GRAMMAR.tokens(said))
    return {"text": text, "seen": {"image": jnp.full(len(text), image_seen), "text": jnp.ones(len(text), bool)}}


@jax.jit
def redrawn(trained: Trained, x, context, key):
    """The decoder's means at a draw of each posterior: with the same key, what the text does not tell of stays as it was."""
    keys = jax.random.split(key, len(x))
    return jax.vmap(lambda k, x, c: trained.infer(x, c)(k).likelihood.mean)(keys, x, context)


def follows(name: str, number: int) -> Callable[[Trained, Examples], dict[str, float]]:
    """A score: how much of what a word says is seen when it is changed, the image latent held or drawn from its prior.

    Of a measure: its mean after the last word less that after the first, over the same difference between the test images of
    which these words are said; 1 is as much as in the data, 0 nothing. Of the digit: the share of images that their five
    nearest training images take for the digit whose word was put in place of another.
    """
    dataset, edges = digits(name)
    known = np.asarray(dataset.train.x[:NEIGHBOURS], np.float32).reshape(len(dataset.train.x[:NEIGHBOURS]), -1) / 255
    judge = KNeighborsClassifier(5).fit(known, np.asarray(dataset.train.label[: len(known)]))
    values, said = measured_bytes(dataset.test.x), said_of(name, "test", len(dataset.test.x))
    spans = {m: values[m][said[m] == 2].mean() - values[m][said[m] == 0].mean() for m in edges}
    said = {slot: words[:number] for slot, words in said.items()}
    size = len(said["digit"])

    def score(trained: Trained, examples: Examples) -> dict[str, float]:
        found: dict[str, float] = {}
        for image_seen, suffix in ((True, ""), (False, ", text alone")):

            def draw(changed: dict, image_seen=image_seen):
                return redrawn(trained, jnp.asarray(examples.x[:size]), told(said | changed, image_seen), jax.random.key(0))

            for measure, span in spans.items():
                low, high = (measured(draw({measure: np.full(size, word)}))[measure].mean() for word in (0, 2))
                found[measure + suffix] = float((high - low) / span)
            asked = (said["digit"] + 1 + np.arange(size) % 9) % 10
            drawn = np.asarray(draw({"digit": asked})).reshape(size, -1)
            found["digit" + suffix] = float(np.mean(judge.predict(drawn) == asked))
        return found

    return score
