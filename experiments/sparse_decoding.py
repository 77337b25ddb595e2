"""Does a sparse prior on the decoder's input weights find which latent factor each gene hangs on?

    python -m experiments.sparse_decoding                2 minutes of processor time; numbers in RESULTS.md
    python -m experiments.sparse_decoding --smoke        seconds, numbers without meaning

Simulated expression: five factors, 60 genes, each on one or two of them through a nonlinear function of its own, with two
genes for each factor that hang on it alone (anchors), and noise. The sparse VAE with its spike-and-slab lasso (Moran et al.
2022), and the same masked decoder without a prior. A gene hangs on what is over a fifth of its largest weight; columns are
matched to factors. Expected of the paper: precision and recall near 1 with the prior. Here what is found hangs on the start, by
a masked decoder with the prior and without it alike.
"""

from dataclasses import dataclass

import numpy as np

import vae
from vae import objectives, schedules
from vae.command import ComparisonFlags
from vae.evaluation.sparsity import mask_recovery
from vae.models.sparse_decoder import mask_of


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    cells: int = 4_000
    genes: int = 60
    factors: int = 5
    noise: float = 0.3
    hidden: tuple[int, ...] = (32, 32)
    spike: float = 20.0  # rate of the Laplace density of weights that are out; it rises from 1, that of the others
    learning_rate: float = 3e-3
    steps: int = 4_000


SMOKE = {"cells": 200, "genes": 12, "factors": 2, "hidden": (4,)}
COLUMNS = {"nll": ("NLL, at most", 2), "mask_precision": ("precision", 3), "mask_recall": ("recall", 3)}


def simulated(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Cells and the mask that they were made with, (genes, factors)."""
    draw = np.random.default_rng(1)
    mask = np.arange(config.factors) == (np.arange(config.genes) % config.factors)[:, None]
    others = np.arange(2 * config.factors, config.genes)  # the first two genes of each factor are its anchors
    mask[others, draw.integers(0, config.factors, len(others))] |= draw.random(len(others)) < 0.7
    z = draw.normal(size=(config.cells, config.factors))
    drive = z @ (draw.choice([-1.0, 1.0], mask.shape) * draw.uniform(0.8, 1.6, mask.shape) * mask).T
    genes = drive + 0.7 * np.sin(1.5 * drive + draw.uniform(0, np.pi, config.genes))
    return (genes + config.noise * draw.normal(size=genes.shape)).astype(np.float32), mask


def variants(config: Config) -> dict[str, vae.Experiment]:
    """With the prior on the mask, and without."""
    data = vae.data.array_splits(simulated(config)[0], space="real", standardise=False)
    arguments = {"examples": data.train.size, "latent_dim": config.factors, "likelihood": "normal_shared_std"}
    sparse = vae.Experiment(
        data=data,
        model=vae.reference_to(vae.models.sparse_mlp, hidden=config.hidden, **arguments),
        steps=config.steps,
        objective=objectives.elbo(monitors=()),
        settings={"learning_rate": config.learning_rate, "spike": config.spike},
        schedules={"spike": schedules.linear(config.steps // 2, 1.0 / config.spike)},
    )
    model = vae.reference_to(vae.models.sparse_mlp, hidden=config.hidden, spike=None, **arguments)
    plain = sparse._replace(model=model, settings={"learning_rate": config.learning_rate}, schedules={})
    return {"spike-and-slab lasso": sparse, "no prior": plain}


def scores(config: Config) -> dict:
    """How much of the mask is found."""
    names, true = ("precision", "recall"), simulated(config)[1]
    return {"mask": lambda trained, examples: dict(zip(names, mask_recovery(mask_of(trained), true)))}


if __name__ == "__main__":
    own = {"smoke": SMOKE, "columns": COLUMNS, "scores": scores}
    vae.command.comparison(variants, title="What a sparse prior on the decoder finds", **own)
