"""How many bits does a colour picture with transparency take in a VAE, and what is each likelihood worth beside a PNG file?

    python -m experiments.emoji                   some 20 minutes, two for a run with a mixture; not run to its end yet
    python -m experiments.emoji --smoke           seconds, on small digits, numbers without meaning
    python -m experiments.emoji --preset gpu      long enough to be laid beside the file; --preset gpu-64 at 64 x 64

VAEs on the 256 values of red, green, blue and alpha of emoji at 32 x 32; variants of one drawing are in one split. One logistic
for each number is compared with a mixture of ten for each pixel, whose channels follow each other (Salimans et al. 2017), and
that with the same at the end of groups of maps (Child 2021). bits/dim is at most minus the ELBO; that of the files is of the
same test images written as PNG, header included: 2.866. Expected: the mixture is far ahead, since most pixels are clear or of
one flat colour. Two or three epochs show no more than that, and beat no file.
"""

import math
from dataclasses import dataclass

import jax
import numpy as np
import optax

import vae
from vae import schedules
from vae.command import ComparisonFlags
from vae.evaluation import Examples, elbo_terms
from vae.evaluation.anomaly import png_size


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    data: str = "emoji/32"
    """Any images: emoji/64, emoji/32/rgb on white, a folder, ..."""
    steps: int = 250
    batch_size: int = 32
    images: int = 358
    samples: int = 5
    latent_dim: int = 64
    widths: tuple[int, ...] = (32, 64, 128)
    groups: tuple[int, ...] = (2, 2)
    learning_rate: float = 1e-3
    """Of Adam, at the start; it falls to zero."""


FULL = {"steps": 100 * 190, "samples": 100, "learning_rate": 3e-4}
WIDER = {"data": "emoji/64", "widths": (32, 64, 128, 256), "groups": (2, 2, 2)}
PRESETS = {"gpu": Config(preset="gpu", **FULL), "gpu-64": Config(preset="gpu-64", **FULL, **WIDER)}
SMOKE = {"data": "digits", "latent_dim": 2, "widths": (4,), "groups": (1,), "images": 20, "batch_size": 8, "samples": 2}


def variants(config: Config) -> dict[str, vae.Experiment]:
    """One latent group with either likelihood, and a hierarchy of maps."""
    code = {"latent_dim": config.latent_dim, "widths": config.widths}
    logistic = vae.Experiment(
        data=vae.data.image_splits(config.data, "uint8"),
        model=vae.reference_to(vae.models.convolutional, **code, likelihood="discretised_logistic"),
        steps=config.steps,
        objective=vae.elbo(monitors=()),
        optimiser=optax.adam(1.0),  # the learning rate multiplies it
        settings={"learning_rate": config.learning_rate, "beta": 1.0},
        schedules={"learning_rate": schedules.cosine(config.steps)},
    )
    mixture = vae.reference_to(vae.models.convolutional, **code, likelihood="discretised_logistic_mixture")
    top_down = vae.reference_to(vae.models.top_down, groups=config.groups, likelihood="discretised_logistic_mixture")
    models = {"mixture": mixture, "top-down mixture": top_down}
    return {"logistic": logistic, **{name: logistic._replace(model=model) for name, model in models.items()}}


def bits_per_dimension(trained: vae.Trained, examples: Examples) -> dict[str, float]:
    """Of the test images: at most that of the model, minus its ELBO, and that of the files."""
    terms, size = elbo_terms(trained, examples.x, jax.random.key(0), batch_size=50), math.prod(examples.x.shape[1:])
    nats = np.asarray(vae.objectives.total_rate(terms) - terms.log_likelihood, np.float64)
    return {"model": nats.mean() / (size * math.log(2)), "png": 8 * png_size(examples.x).mean() / size}


if __name__ == "__main__":
    columns = {"nll": ("NLL, at most", 0), "rate": ("rate", 1), "distortion": ("distortion", 0)}
    columns |= {f"bits_{of}": (f"bits/dim, {words}", 3) for of, words in {"model": "at most", "png": "of PNG"}.items()}
    title, score = "Likelihoods of colour pictures", {"bits": bits_per_dimension}
    vae.command.comparison(variants, title=title, presets=PRESETS, smoke=SMOKE, columns=columns, scores=lambda _: score)
