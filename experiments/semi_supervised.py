"""How many digits does a model tell apart that has seen the labels of few, and how many does its classifier alone?

    python -m experiments.semi_supervised                  8 minutes of processor time; numbers in RESULTS.md
    python -m experiments.semi_supervised --smoke          seconds, on small digits, numbers without meaning
    python -m experiments.semi_supervised --preset paper   100, 600, 1,000 and 3,000 labels, 100 epochs: hours

Model M2, p(y) p(z) p(x | y, z) with q(y | x) q(z | x, y), on dynamically binarised MNIST: the label is observed in one feed and
summed out in the other. The loss is the paper's divided by the number of images N: the L labelled ones weigh L / N, and their
mean log q(y | x) weighs alpha, which the paper has at 0.1. In so few epochs that leaves M2 far under the classifier, and 10
does not. The same images, L / 10 of each class, keep their label in all seeds. Accuracy on 10,000 images. Expected after full
training: .93 to .96 from 100 to 3,000 labels, .77 to .91 for the classifier alone (Pyro's example). (Kingma 2014, eqs. 6 to 9.)
"""

from dataclasses import dataclass

import vae
from vae import objectives
from vae.command import ComparisonFlags
from vae.evaluation.comparison import interval_of


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment; either feed has its batch size."""

    data: str = "mnist"
    labels: tuple[int, ...] = (100, 1_000)
    """How many training images have theirs."""
    hidden: tuple[int, ...] = (200,)
    latent_dim: int = 50
    alpha: float = 10.0
    """Weight of the classifier's term, in units of the number of images."""
    learning_rate: float = 1e-3
    steps: int = 2_000
    batch_size: int = 50


PAPER = {"labels": (100, 600, 1_000, 3_000), "hidden": (500,), "batch_size": 100, "steps": 57_000, "alpha": 0.1}
PRESETS = {"paper": Config(preset="paper", **PAPER)}
SMOKE = {"data": "digits", "labels": (20,), "hidden": (16,), "latent_dim": 4, "batch_size": 20}


def variants(config: Config) -> dict[str, vae.Experiment]:
    """The classifier trained on the labels alone, and M2, for each number of labels."""
    whole, found = vae.data.image_splits(config.data), {}
    classes = 1 + int(whole.train.labels.max())
    taught = objectives.elbo(regularisers=[objectives.classification()], monitors=())
    summed = objectives.elbo(expectation=objectives.enumerated(classes), monitors=())
    numbers = {"classes": classes, "latent_dim": config.latent_dim, "hidden": config.hidden}
    for labels in config.labels:
        few = vae.data.semi_supervised_splits(whole, labels)
        alone = vae.Experiment(
            data=few._replace(train=few.train["labelled"]),
            model=vae.reference_to(vae.models.semi_supervised, **numbers),
            steps=config.steps,
            objective=taught,
            settings={"learning_rate": config.learning_rate, "likelihood": 0.0, "beta": 0.0},
            schedules={"learning_rate": vae.schedules.cosine(config.steps)},
        )
        weights = {"labelled": labels / whole.train.size, "classification": config.alpha * whole.train.size / labels}
        found[f"{labels} labels alone"] = alone
        found[f"M2, {labels} labels"] = alone._replace(
            data=few,
            objective=objectives.by_feed({"labelled": taught, "unlabelled": summed}),
            batch_size=dict.fromkeys(few.train, config.batch_size),
            settings={"learning_rate": config.learning_rate, **weights},
        )
    return found


def figure(config: Config, found: vae.Comparison, title: str):
    """The accuracy of every model, a dot for each seed."""
    rows = [interval_of(name, numbers["accuracy"]) for name, numbers in found.numbers["models"].items()]
    return vae.visualise.intervals({"accuracy": rows}, title)


if __name__ == "__main__":
    look = {"columns": {"accuracy": ("accuracy", 4)}, "scores": lambda config: {"accuracy": vae.evaluation.accuracy}}
    look["pairs"] = lambda config: [(f"M2, {number} labels", f"{number} labels alone") for number in config.labels]
    vae.command.comparison(variants, title="Few labels, many images", presets=PRESETS, smoke=SMOKE, figure=figure, **look)
