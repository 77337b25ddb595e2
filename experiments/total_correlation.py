"""At equal weight, does charging the total correlation alone (beta-TC) buy more disentanglement for less reconstruction?

    python -m experiments.total_correlation                nine minutes on two cores; numbers in RESULTS.md
    python -m experiments.total_correlation --smoke        seconds, on sprites of 8 x 8, numbers without meaning
    python -m experiments.total_correlation --preset gpu   the full setting, 64 x 64

Sprites with their five factors; beta-VAE pays beta for the whole rate, beta-TC-VAE for the total correlation only. Expected: at
equal beta, beta-TC keeps more of the reconstruction, with a mutual information gap at least as large. (Chen et al. 2018,
figure 3 and section 6.1; Higgins et al. 2017; the metrics as in Locatello et al. 2019.)
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import vae
from experiments import command_line, comparison
from vae import objectives
from vae.data.dataset import Dataset, Split
from vae.evaluation import disentanglement
from vae.evaluation.latents import encode
from vae.training.state import TrainState
from vae.types import Model, Trained
from vae.visualise.comparisons import Trade, trade_offs

BETA, TC = "beta-VAE", "beta-TC-VAE"
SCORES = {
    "mig": ("MIG", 3),
    "factor_vae": ("FactorVAE score", 3),
    "dci_disentanglement": ("DCI disentanglement", 3),
    "dci_completeness": ("DCI completeness", 3),
    "dci_informativeness": ("DCI informativeness", 3),
}
COLUMNS = {"distortion": ("distortion", 2), "rate": ("rate", 2), **SCORES}
FOREST_DEPTH = 8
DRAWN = ("mig", "factor_vae", "dci_disentanglement")


@dataclass(frozen=True)
class Config:
    """The flags of the experiment."""

    preset: str = "default"
    """default or gpu; the other flags change it."""
    stride: int = 2
    """Every so many pixels of the 64 x 64 sprites are shown."""
    hidden: tuple[int, ...] = (256, 256)
    latent_dim: int = 10
    betas: tuple[float, ...] = (4.0, 8.0)
    """Weights beside 1, which is the VAE for both."""
    steps: int = 7_000
    batch_size: int = 64
    learning_rate: float = 1e-3
    """Of Adam, at the start; it falls to zero."""
    seeds: int = 3
    seed: int = 0
    images: int = 1_000
    """Test images for the likelihoods."""
    points: int = 10_000
    """Test images whose codes the metrics are computed on."""
    samples: int = 100
    """Importance samples of the test NLL."""
    trees: int = 20
    """Of the forests behind DCI."""
    workdir: Path = Path("runs/total_correlation")
    smoke: bool = False
    """Sprites of 8 x 8 and a few steps, to see that everything works."""


PRESETS = {"default": Config(), "gpu": Config(preset="gpu", stride=1, steps=300_000, images=10_000, samples=1_000, trees=100)}


def main(config: Config) -> int:
    """Train, measure, print, draw; return the exit code."""
    if config.smoke:
        config = dataclasses.replace(
            config, stride=8, hidden=(16,), betas=(4.0,), steps=60, seeds=2, images=40, points=1000, samples=20, trees=3
        )
    dataset = thinned(vae.data.load("sprites"), config.stride, config.points)
    data = comparison.shown(dataset, config.points)
    model = vae.models.mlp(data.feed.spec, config.latent_dim, config.hidden)
    weighted = objectives.elbo(monitors=())
    separate = objectives.elbo(regularisers=[objectives.total_correlation(data.feed.size)], monitors=())
    factors = dataset.test.label
    measured = {}
    for method, objective, betas, levels in (
        (BETA, weighted, (1.0, *config.betas), {"beta": (1.0, *config.betas)}),
        (TC, separate, config.betas, {"total_correlation": [beta - 1.0 for beta in config.betas]}),
    ):
        states = comparison.train(config, model, objective, data.feed, levels).states
        found = comparison.measure(model, states, data.x[: config.images], config.samples)
        found = found._replace(scores=found.scores | scores_of(config, model, states, data.x, factors))
        measured |= zip([name_of(method, beta) for beta in betas], comparison.by_level(found, config.seeds), strict=True)
    numbers = comparison.compared(measured, [(name_of(TC, beta), name_of(BETA, beta)) for beta in config.betas])
    text = comparison.table_of_models(numbers, COLUMNS)
    comparison.write(config, "total_correlation", numbers, text, as_figure(config, numbers), data.sha256)
    return 0


def thinned(dataset: Dataset, stride: int, points: int) -> Dataset:
    """The sprites at every stride-th pixel, with test examples spread evenly over the test split."""
    rows = np.linspace(0, len(dataset.test.x) - 1, points).astype(int)
    height, width, channels = dataset.shape

    def render(index):
        return dataset.render(index)[stride // 2 :: stride, stride // 2 :: stride]

    test = Split(dataset.test.x[rows], dataset.test.label[rows])
    return dataset._replace(test=test, render=render, shape=(height // stride, width // stride, channels))


def scores_of(config: Config, model: Model, states: TrainState, x: jax.Array, factors: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric of every run, from the posterior means of the same test images."""

    def of_run(state: TrainState) -> dict[str, float]:
        (codes,) = encode(Trained(model, state.params, state.model_state), x, jax.random.key(comparison.NOISE_SEED))
        return scores_of_codes(np.asarray(codes), factors, config.trees)

    rows = comparison.each_run(states, of_run)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def scores_of_codes(codes: np.ndarray, factors: np.ndarray, trees: int) -> dict[str, float]:
    """The metrics of one code; DCI by forests, as in its paper, too shallow to learn codes by heart.

    Every split may choose among all dimensions: a random few would lend importance to those that tell nothing.
    """
    from sklearn.ensemble import RandomForestClassifier

    def forest(seed: int):
        return RandomForestClassifier(trees, max_depth=FOREST_DEPTH, max_features=None, random_state=seed)

    parts = disentanglement.dci(codes, factors, seed=0, estimator=forest)
    groups = disentanglement.from_table(codes, factors)
    return {
        "mig": disentanglement.mig(codes, factors),
        "factor_vae": disentanglement.factor_vae_score(groups, seed=0),
        **{f"dci_{name}": value for name, value in parts._asdict().items()},
    }


def name_of(method: str, beta: float) -> str:
    """A model's name."""
    return f"{method}, beta {beta:g}"


def as_figure(config: Config, numbers: Mapping[str, Any]):
    """Each score against the distortion; both curves start at the VAE."""

    def trade(method: str, beta: float) -> Trade:
        of = numbers["models"][name_of(method, beta)]
        gains = {SCORES[name][0]: of[name]["per_seed"] for name in DRAWN}
        return Trade(f"{beta:g}", of["distortion"]["per_seed"], gains)

    start = trade(BETA, 1.0)
    curves = {method: [start, *(trade(method, beta) for beta in config.betas)] for method in (BETA, TC)}
    return trade_offs(curves, "distortion (nats)", "Disentanglement against reconstruction; numbers are beta")


if __name__ == "__main__":
    command_line.run(main, Config, PRESETS)
