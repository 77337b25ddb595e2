"""At equal weight, does charging the total correlation alone (beta-TC) buy more disentanglement for less reconstruction?

    python -m experiments.total_correlation                nine minutes on two cores; numbers in RESULTS.md
    python -m experiments.total_correlation --smoke        seconds, on sprites of 8 x 8, numbers without meaning
    python -m experiments.total_correlation --preset gpu   the full setting, 64 x 64

Sprites with their five factors; beta-VAE pays beta for the whole rate, beta-TC-VAE for the total correlation only. Expected: at
equal beta, beta-TC keeps more of the reconstruction, with a mutual information gap at least as large. (Chen et al. 2018,
figure 3 and section 6.1; Higgins et al. 2017; the metrics as in Locatello et al. 2019.)
"""

from dataclasses import dataclass

import numpy as np

import vae
from vae import objectives
from vae.command import ComparisonFlags
from vae.data import Dataset, Split
from vae.evaluation import disentanglement, of_means
from vae.visualise.comparisons import Trade, trade_offs

BETA, TC = "beta-VAE", "beta-TC-VAE"
SCORES = {
    "mig": ("MIG", 3),
    "factor_vae": ("FactorVAE score", 3),
    **{f"dci_{part}": (f"DCI {part}", 3) for part in disentanglement.DCI._fields},
}
COLUMNS = {"distortion": ("distortion", 2), "rate": ("rate", 2), **SCORES}
DRAWN = ("mig", "factor_vae", "dci_disentanglement")
FOREST_DEPTH = 8


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    stride: int = 2
    """Every so many pixels of the 64 x 64 sprites are shown."""
    hidden: tuple[int, ...] = (256, 256)
    latent_dim: int = 10
    betas: tuple[float, ...] = (4.0, 8.0)
    """Weights beside 1, which is the VAE for both."""
    learning_rate: float = 1e-3
    """Of Adam, at the start; it falls to zero."""
    points: int = 10_000
    """Test images whose codes the metrics are computed on."""
    trees: int = 20
    """Of the forests behind DCI."""
    steps: int = 7_000
    batch_size: int = 64
    samples: int = 100


PRESETS = {"gpu": Config(preset="gpu", stride=1, steps=300_000, images=10_000, samples=1_000, trees=100)}
SMOKE = {"stride": 8, "hidden": (16,), "betas": (4.0,), "points": 1_000, "trees": 3, "steps": 60}


def variants(config: Config) -> dict[str, vae.Experiment]:
    """Both methods at every beta, and the VAE, which is both at beta 1."""
    splits = vae.data.image_splits(thinned(vae.data.load("sprites"), config.stride, config.points))
    common = vae.Experiment(
        data=splits,
        model=vae.reference_to(vae.models.mlp, latent_dim=config.latent_dim, hidden=config.hidden),
        steps=config.steps,
        objective=objectives.elbo(monitors=()),
        batch_size=config.batch_size,
        schedules={"learning_rate": vae.schedules.cosine(config.steps)},
    )
    penalty = objectives.total_correlation(splits.train.size)
    separate = common._replace(objective=objectives.elbo(regularisers=[penalty], monitors=()))
    whole = {name_of(BETA, beta): at(common, config, beta=beta) for beta in (1.0, *config.betas)}
    return whole | {name_of(TC, beta): at(separate, config, total_correlation=beta - 1.0) for beta in config.betas}


def at(experiment: vae.Experiment, config: Config, **levels: float) -> vae.Experiment:
    """The experiment at levels of its settings."""
    return experiment._replace(settings={"learning_rate": config.learning_rate, **levels})


def name_of(method: str, beta: float) -> str:
    """A model's name."""
    return f"{method}, beta {beta:g}"


def pairs(config: Config) -> list[tuple[str, str]]:
    """Both methods at equal beta."""
    return [(name_of(TC, beta), name_of(BETA, beta)) for beta in config.betas]


def thinned(dataset: Dataset, stride: int, points: int) -> Dataset:
    """The sprites at every stride-th pixel, with test examples spread evenly over the test split."""
    rows = np.linspace(0, len(dataset.test.x) - 1, points).astype(int)
    height, width, channels = dataset.shape

    def render(index):
        return dataset.render(index)[stride // 2 :: stride, stride // 2 :: stride]

    test = Split(dataset.test.x[rows], dataset.test.label[rows])
    return dataset._replace(test=test, render=render, shape=(height // stride, width // stride, channels))


def scores(config: Config) -> dict:
    """The metrics of posterior means; DCI by forests, as in its paper."""
    forest = disentanglement.random_forest(config.trees, FOREST_DEPTH)
    return {
        "mig": of_means(disentanglement.mig),
        "factor_vae": of_means(
            lambda codes, factors: disentanglement.factor_vae_score(disentanglement.from_table(codes, factors), seed=0)
        ),
        "dci": of_means(lambda codes, factors: disentanglement.dci(codes, factors, seed=0, estimator=forest)._asdict()),
    }


def figure(config: Config, found: vae.Comparison, title: str):
    """Each score against the distortion; both curves start at the VAE."""

    def trade(method: str, beta: float) -> Trade:
        of = found.numbers["models"][name_of(method, beta)]
        gains = {SCORES[name][0]: of[name]["per_seed"] for name in DRAWN}
        return Trade(f"{beta:g}", of["distortion"]["per_seed"], gains)

    start = trade(BETA, 1.0)
    curves = {method: [start, *(trade(method, beta) for beta in config.betas)] for method in (BETA, TC)}
    return trade_offs(curves, "distortion (nats)", title)


if __name__ == "__main__":
    title = "Disentanglement against reconstruction; numbers are beta"
    own = {"columns": COLUMNS, "figure": figure, "pairs": pairs, "scores": scores}
    vae.command.comparison(variants, title=title, presets=PRESETS, smoke=SMOKE, **own)
