"""Does a latent circle recover the angle of one rotated digit?

    python -m experiments.circle                        a minute on two cores; --seed 1, ... for another start
    python -m experiments.circle --smoke                seconds, numbers without meaning

One MNIST digit at 4,000 random angles, one latent angle with a von Mises posterior and a uniform prior; the decoder sees its
cosine and sine. Offset and reflection, which no model can know, are fitted on 500 training images. Expected: a circular
correlation (Jammalamadaka & SenGupta 2001) of 0.99 on test images, or a local optimum where the circle is folded. A 6 differs
most after half a turn, which a Normal as wide as the pixels' range learns first: other digits and likelihoods fold more often.
"""

from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import rotate

import vae
from vae.evaluation import Examples, circular, encode, generate
from vae.reports.evaluation import examples_of


@dataclass(frozen=True)
class Config(vae.Flags):
    """The flags of the experiment."""

    data: str = "mnist"
    digit: int = 6
    hidden: tuple[int, ...] = (256, 128)
    images: int = 4_000
    steps: int = 2_000
    samples: int = 100


@cache
def splits(config: Config) -> vae.data.Splits:
    """The digit at random angles, gray in [0, 1], labelled by the angle in radians."""
    train = vae.data.load(config.data).train
    image = train.x[np.flatnonzero(train.label == config.digit)[0]] / 255.0
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, config.images)
    x = np.stack([rotate(image, np.degrees(angle), reshape=False, order=1) for angle in angles])
    return vae.data.array_splits({"x": np.clip(x, 0.0, 1.0), "label": angles}, space="unit_interval")


def experiment(config: Config) -> vae.Experiment:
    """A VAE with one angle."""
    arguments = {"latent_dim": 1, "hidden": config.hidden, "latents": "von_mises", "likelihood": "normal", "std": 1.0}
    return vae.Experiment(lambda: splits(config), vae.reference_to(vae.models.mlp, **arguments), config.steps)


def angles_of(trained: vae.Trained, examples: Examples) -> np.ndarray:
    """The mean direction of each posterior, in radians."""
    return np.asarray(encode(trained, examples.x, jax.random.key(0))[0])[:, 0]


def report(config: Config) -> vae.Report:
    """How near the angles are, and the circle; the correlation needs no fit but for its sign."""
    some = examples_of(splits(config)._replace(test=splits(config).train), 500)

    def turned(trained, examples):
        return circular.fitted_turn(angles_of(trained, some), some.labels)(angles_of(trained, examples))

    def correlation(trained, examples):
        return circular.circular_correlation(turned(trained, examples), examples.labels)

    def error(trained, examples):
        return np.degrees(circular.mean_angular_error(turned(trained, examples), examples.labels))

    def circle(trained, examples):
        images = generate.decode_means(trained, (jnp.linspace(0.0, 2 * jnp.pi, 16, endpoint=False)[:, None],))
        note = f"circular correlation {correlation(trained, examples):.4f} on {len(examples.labels)} test images"
        return vae.visualise.on_circle(angles_of(trained, examples), examples.labels, np.clip(images, 0.0, 1.0), note=note)

    return vae.Report({"circular correlation": correlation, "mean error (degrees)": error}, {"circle": circle})


if __name__ == "__main__":
    vae.main(experiment, report=report, smoke={"data": "digits", "hidden": (16,), "images": 700})
