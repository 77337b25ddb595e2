"""Which score of a model tells what is no digit from digits, and does a plain likelihood fail at it?

    python -m experiments.anomalies                      not timed yet; of reverse numbers are in RESULTS.md
    python -m experiments.anomalies --smoke              seconds, on small digits, numbers without meaning
    python -m experiments.anomalies --preset reverse     trained on clothes; --preset left-out: on digits without the nines

A VAE with one latent group and a ladder of three, on binarised images. A row is a score, a column an out-set: AUROC ± DeLong's
error over images ± spread over seeds; under 1/2 it points the wrong way. Expected: trained on digits the NLL does well; trained
on clothes it calls digits normal, and the ladder's ratios less so (0.984 with the deeper models of Havtorn et al. 2021).
"""

import dataclasses
from pathlib import Path

import numpy as np

import vae
from vae.command import ComparisonFlags, run, smoked
from vae.data.resizing import area_average
from vae.data.sources.tfds import data_dir
from vae.reports.detecting import INSIDE, detect, write_areas

FASHION = str(data_dir().parent / "fashion_mnist_first_3600" / "images-idx3-ubyte.gz")
OMNIGLOT = str(data_dir().parent / "omniglot" / "images_background_small1.zip")
MODELS = {
    "one group": vae.reference_to(vae.models.mlp, latent_dim=32, hidden=[256, 256]),
    "ladder": vae.reference_to(vae.models.ladder, latent_dims=[32, 16, 8], hidden=[[256, 256], [128, 128], [64, 64]]),
}


@dataclasses.dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    data: str = "mnist"
    others: tuple[str, ...] = (FASHION, OMNIGLOT)
    """Out-sets, by name or path; dark on light is turned round, and large images are averaged down."""
    left_out: int | None = None
    """A class that no model is trained on, and one more out-set."""


REVERSE = Config(preset="reverse", data=FASHION, others=("mnist", OMNIGLOT))
PRESETS = {"default": Config(), "reverse": REVERSE, "left-out": Config(preset="left-out", left_out=9)}
SMOKE = {"data": "digits", "others": ("digits",), "steps": 20, "seeds": 1, "images": 40, "samples": 10}


def sets_of(config: Config, data: vae.data.Dataset) -> tuple[vae.data.Dataset, dict[str, np.ndarray]]:
    """What is trained on, and the test images of every set."""
    known = data if config.left_out is None else vae.data.without_class(data, config.left_out)
    inside, random = known.test.x, np.random.default_rng(0)
    sets = {INSIDE: inside, **{Path(name).parent.name or name: other_images(name, inside.shape[1]) for name in config.others}}
    sets |= {} if known is data else {f"the {config.left_out}": data.test.x[data.test.label == config.left_out]}
    sets |= {"quarter turn": np.rot90(inside, axes=(1, 2)), "noise": random.integers(0, 256, inside.shape, np.uint8)}
    sets["pixels shuffled"] = random.permuted(inside.reshape(len(inside), -1), axis=1).reshape(inside.shape)
    return known, {name: images[: config.images] for name, images in sets.items()}


def other_images(name: str, side: int) -> np.ndarray:
    """Images of an out-set, its test images first, as light on dark as digits are and of their size."""
    data = vae.data.load(name)
    images = np.concatenate([data.test.x, data.validation.x, data.train.x])
    return area_average(255 - images if images.mean() > 127.5 else images, side)


def main(config: Config) -> None:
    """Train, score, print, draw."""
    config = smoked(config, PRESETS[config.preset], SMOKE) if config.smoke else config
    known, sets = sets_of(config, vae.data.load(config.data))
    settings, runs = {"beta": 1.0, "learning_rate": 1e-3}, {}
    for name, model in MODELS.items():
        data = vae.data.image_splits(known)._replace(validation=None)
        experiment = vae.Experiment(data, model, config.steps, settings=settings, batch_size=config.batch_size)
        swept = vae.sweep(experiment, range(config.seed, config.seed + config.seeds))
        runs[name] = [swept.trained(i) for i in range(config.seeds)]
    found = detect(runs, sets, lambda images, of: vae.data.binarise(images, of).astype(np.float32), samples=config.samples)
    write_areas(config.workdir or Path("runs", "anomalies", config.preset), found, sets, config, known.sha256)


if __name__ == "__main__":
    run(main, Config, PRESETS)
