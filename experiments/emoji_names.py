"""Emoji drawn from their names: what does another word change, with the drawing's own latent held?

    python -m experiments.emoji_names                  3 minutes of processor time; numbers in RESULTS.md
    python -m experiments.emoji_names --smoke          seconds, numbers without meaning
    python -m experiments.emoji_names --preset long    200 epochs

Noto emoji at 32 x 32 in colour with transparency, and their Unicode names ("waving hand sign, medium skin tone"), of which the
words count that 20 training names have. A latent of the drawing, by convolutions, stands beside one of the words; variants of
one drawing are in one split. The figure "words" draws test emoji again with another tone. The metric "tone": by how much the
light-skinned ones darken when the word is "dark", over how much darker the dark-skinned test emoji are. Expected: up to 1, as
far as the word says the tone and the drawing's latent does not; a few epochs may show little.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

import vae
from experiments.captioned_emoji import TONES, darkening, named, with_tone, words


@dataclass(frozen=True)
class Config(vae.Flags):
    """The flags of the experiment."""

    data: str = "emoji/32"
    steps: int = 800
    batch_size: int = 32
    samples: int = 10
    latent_dim: int = 32
    text_dim: int = 16
    widths: tuple[int, ...] = (32, 64, 128)
    learning_rate: float = 1e-3
    """Of Adam, at the start; it falls to zero."""


PRESETS = {"long": Config(preset="long", steps=200 * 95)}
SMOKE = {"latent_dim": 2, "text_dim": 2, "widths": (4, 4), "batch_size": 8, "samples": 2}


def experiment(config: Config) -> vae.Experiment:
    """Everything that decides the numbers."""
    sizes = {"latent_dim": config.latent_dim, "text_dim": config.text_dim, "widths": config.widths, "hidden": ()}
    return vae.Experiment(
        data=lambda: named(config.data),
        model=vae.reference_to(vae.models.captioned, words=1 + len(words(config.data)), **sizes),
        steps=config.steps,
        settings={"learning_rate": config.learning_rate},
        schedules={"learning_rate": vae.schedules.cosine(config.steps)},
    )


def drawn_again(config: Config, trained: vae.Trained, examples: vae.evaluation.Examples):
    """Test emoji with the lightest tone, and each drawn again with every tone."""
    rows = {tone: with_tone(config.data, trained, examples, tone)[1][:12] for tone in TONES}
    rows = {"emoji": with_tone(config.data, trained, examples, "light")[0][:12], **rows}
    images = np.clip(np.concatenate(list(rows.values())) / 255.0, 0.0, 1.0)
    return vae.visualise.image_grid(images, len(rows["emoji"]), "Another tone in the name: decoder means", row_names=list(rows))


def report(config: Config) -> vae.Report:
    """How far the drawings follow the word, and the drawings."""
    metrics = {"tone": partial(darkening, config.data)}
    return vae.Report(metrics=metrics, figures={"words": partial(drawn_again, config)})


if __name__ == "__main__":
    vae.main(experiment, presets=PRESETS, smoke=SMOKE, report=report)
