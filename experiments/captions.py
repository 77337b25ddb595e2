"""Change one word of a caption and hold the image's latent: does what the word says change in the drawing, and by how much?

    python -m experiments.captions                  8 minutes of processor time; numbers in RESULTS.md
    python -m experiments.captions --smoke          seconds, on small digits, numbers without meaning
    python -m experiments.captions --preset long    50 epochs

Dynamically binarised MNIST with captions of what was measured of each image (how thick the stroke, how wide, which digit, how
far it leans; the middle third of thickness and width is not said), such as "thick narrow three leaning-left". Three ways to
inform a VAE: a latent of the text beside one of the image, each with its own KL; one latent with the product of what image and
text say of it (Wu & Goodman 2018), and with their mixture (Shi et al. 2019). The first is trained with all that is there, it
and the others with half of the examples lacking the one or the other. A score of 1 is a difference as large as in the data; of
the digit, the share that is read as asked. "Text alone": the image is missing too. These captions are ours, so that no number
was published; expected: drawings follow the words where the text is alone, and less where the image's latent knows better.
"""

from dataclasses import dataclass

import jax
import numpy as np

import vae
from experiments.captioned_digits import DIGITS, GRAMMAR, captioned, follows, redrawn, said_of, told
from vae import objectives
from vae.command import ComparisonFlags
from vae.reports.evaluation import examples_of


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    data: str = "mnist"
    latent_dim: int = 16
    text_dim: int = 8
    """Of the latent of a text that stands beside that of the image."""
    hidden: tuple[int, ...] = (256,)
    learning_rate: float = 1e-3
    images: int = 500
    """Of the test set, also for the words."""


PRESETS = {"long": Config(preset="long", steps=50 * 445, images=10_000, samples=1_000)}
SMOKE = {"data": "digits", "hidden": (16,), "latent_dim": 4, "text_dim": 3}
WORDS = {"thin": ("thickness", 0), "thick": ("thickness", 2), "wide": ("width", 2), "leaning-right": ("slant", 2)}


def variants(config: Config) -> dict[str, vae.Experiment]:
    """Side by side, the same where either may be missing, product, mixture."""
    sizes = {"words": GRAMMAR.words, "latent_dim": config.latent_dim, "hidden": config.hidden}

    def of(told: str, missing: bool = True, **more) -> vae.Experiment:
        return vae.Experiment(
            data=captioned(config.data, missing),
            model=vae.reference_to(vae.models.captioned, told=told, **sizes, **more),
            steps=config.steps,
            objective=vae.elbo(rates=objectives.log_ratio, monitors=()),
            settings={"learning_rate": config.learning_rate},
            schedules={"learning_rate": vae.schedules.cosine(config.steps)},
        )

    apart = {told: of("apart", told != "side by side", text_dim=config.text_dim) for told in ("side by side", "either missing")}
    return {**apart, "product": of("product"), "mixture": of("mixture")}


def figure(config: Config, found: vae.Comparison, title: str):
    """Test images, then each drawn again with one word of its caption changed."""
    x, said = examples_of(captioned(config.data, False), 12).x, said_of(config.data, "test", 12)
    changes = {word: {slot: np.full(len(x), number)} for word, (slot, number) in WORDS.items()}
    changes |= {word: {"digit": np.full(len(x), DIGITS.index(word))} for word in ("three", "seven")}
    rows = {"image": x}
    for name, run in found.first.items():
        for word, change in {"same caption": {}, **changes}.items():
            rows[f"{name}: {word}"] = redrawn(run, x, told(said | change, True), jax.random.key(0))
    return vae.visualise.image_grid(np.concatenate(list(rows.values())), len(x), title, row_names=list(rows))


if __name__ == "__main__":
    title, scores = "One word changed: decoder means", lambda config: {"follows": follows(config.data, config.images)}
    vae.command.comparison(variants, title=title, presets=PRESETS, smoke=SMOKE, figure=figure, scores=scores)
