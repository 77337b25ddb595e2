"""Emoji with their Unicode names as captions, and what of them changes with the word for a skin tone."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

import vae
from experiments.captioned_digits import all_there, redrawn, with_text
from vae.data import emoji_names
from vae.data.captions import frequent_words, tokens_of
from vae.evaluation import Examples
from vae.trained import Trained

LENGTH, FREQUENT = 8, 20
TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
"""In the order of the label "tone", from 1 on."""


all_names = lru_cache(maxsize=2)(emoji_names)


def names_of(name: str, labels: np.ndarray) -> list[str]:
    """What emoji are called, by their labels."""
    return [all_names(name)[file] for file in labels[:, -1]]


@lru_cache(maxsize=2)
def words(name: str) -> tuple[str, ...]:
    """The words that `FREQUENT` training names have."""
    return frequent_words(names_of(name, vae.data.load(name).train.label), FREQUENT)


def named(name: str) -> vae.data.Splits:
    """The emoji with the tokens of their names as context."""
    parts = {}
    for split, part in vae.data.image_splits(name, "uint8")._asdict().items():
        stored = part.arrays, tokens_of(names_of(name, part.labels), words(name), LENGTH)
        prepare = partial(with_text, part.prepare, all_there)
        parts[split] = vae.data.feed(stored, prepare, spec=part.spec, labels=part.labels)
    return vae.data.Splits(**parts)


def with_tone(name: str, trained: Trained, examples: Examples, tone: str) -> tuple[np.ndarray, np.ndarray]:
    """The light-skinned ones of the examples, and the same drawn again with the word for another tone, (N, H, W, 4)."""
    light = np.flatnonzero(examples.labels[:, 0] == 1)
    said = [each.replace("light skin", f"{tone} skin") for each in names_of(name, examples.labels[light])]
    text = jnp.asarray(tokens_of(said, words(name), LENGTH))
    x = jnp.asarray(examples.x)[light]
    context = {"text": text, "seen": all_there(jax.random.key(0), len(text))}
    return np.asarray(x), np.asarray(redrawn(trained, x, context, jax.random.key(0)))


def brightness(images: np.ndarray) -> float:
    """The mean of the colours, weighed by alpha."""
    return float(np.average(images[..., :3].mean(axis=-1), weights=images[..., 3] + 1e-6))


def darkening(name: str, trained: Trained, examples: Examples) -> float:
    """By how much the drawings darken from "light" to "dark", over how much darker the dark-skinned examples are."""
    spread = [brightness(np.asarray(examples.x)[examples.labels[:, 0] == tone]) for tone in (1, 5)]
    drawn = [brightness(with_tone(name, trained, examples, tone)[1]) for tone in ("light", "dark")]
    return (drawn[0] - drawn[1]) / (spread[0] - spread[1])
