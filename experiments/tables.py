"""Does a VAE say more of small tables of real numbers than a Gaussian does?

    python -m experiments.tables                 5 minutes of processor time; numbers in RESULTS.md
    python -m experiments.tables --smoke         seconds, numbers without meaning

Held-out NLL, in nats per row and the columns' own units, of a VAE, a Gaussian with a full covariance and probabilistic PCA:
60 % of the rows to train on, 20 % to choose on (shrinkage, components; the VAE's likelihood, latent dimensions and step), 20 %
to test on. The baselines are exact and have no seed. Expected: the VAE gains four nats on breast cancer, half a nat on
diabetes, nothing on wine. (Tipping & Bishop 1999.)
"""

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import optax
from scipy.stats import multivariate_normal
from sklearn import covariance, datasets, decomposition

import vae
from vae.evaluation.comparison import markdown_table, mean_with_errors, measure, over_images
from vae.reports.evaluation import examples_of
from vae.training.origin import flags_as_json
from vae.training.provenance import write_json

TABLES = {
    "breast cancer": (datasets.load_breast_cancer, ()),
    "wine": (datasets.load_wine, ()),
    "diabetes": (lambda: datasets.load_diabetes(scaled=False), ("sex", "s4")),  # few values, at which a density has no bound
    "California housing": (lambda: datasets.fetch_california_housing(download_if_missing=False), ()),
}
SHRINKAGES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


@dataclass(frozen=True)
class Config:
    """The flags of the experiment."""

    tables: tuple[str, ...] = tuple(TABLES)
    latent_dims: tuple[int, ...] = (2, 8, 16)
    likelihoods: tuple[str, ...] = ("normal_learned_std", "normal_common_std")
    hidden: tuple[int, ...] = (64,)
    steps: int = 6_000
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    seeds: int = 3
    samples: int = 1_000
    workdir: Path = Path("runs/tables")
    smoke: bool = False


SMOKE = {
    "tables": ("wine",),
    "latent_dims": (2,),
    "likelihoods": ("normal_learned_std",),
    "steps": 40,
    "seeds": 2,
    "samples": 20,
}


def main(config: Config) -> int:
    """Measure every table that is at hand, print, write; return the exit code."""
    config = replace(config, **SMOKE) if config.smoke else config
    found = {name: measured(splits, config) for name in config.tables if (splits := splits_of(name)) is not None}
    rows = [[name, of["chosen"], *map(mean_with_errors, list(of.values())[1:])] for name, of in found.items()]
    table = markdown_table(["", *next(iter(found.values()))], rows)
    config.workdir.mkdir(parents=True, exist_ok=True)
    write_json(config.workdir / "tables.json", {"config": flags_as_json(config), "tables": found})
    (config.workdir / "tables.md").write_text(table, encoding="utf-8")
    print(table)
    return 0


def splits_of(name: str) -> vae.data.Splits | None:
    """A table in three parts; None, and a sentence, for one that would have to be downloaded."""
    load, left_out = TABLES[name]
    try:
        table = load()
    except OSError:
        return print(f"{name} is left out: scikit-learn has not downloaded it; call its loader once.")
    kept = np.array([column not in left_out for column in table.feature_names])
    rows = np.split(np.random.default_rng(0).permutation(len(table.data)), [int(s * len(table.data)) for s in (0.6, 0.8)])
    parts = zip(("train", "validation", "test"), rows, strict=True)
    return vae.data.array_splits({f"x_{split}": table.data[own][:, kept] for split, own in parts}, space="real")


def measured(splits: vae.data.Splits, config: Config) -> dict:
    """What was chosen, in words; the NLL of each model on the test rows, and their differences in pairs, with both errors."""
    chosen, nll = best_vae(splits, config)
    parts = [np.asarray(part.arrays["x"], float) for part in splits]
    scale = parts[0].std(axis=0)
    train, validation, test = ((part - parts[0].mean(axis=0)) / scale for part in parts)
    models = {"VAE": nll}
    for name, fits in {"Gaussian": gaussians, "PPCA": principal_components}.items():
        words, score = max(fits(train), key=lambda fit: fit[1](validation).mean())
        models[name], chosen = np.log(scale).sum() - score(test)[None], f"{chosen}; {words}"
    models |= {f"VAE minus {name}": nll - models[name] for name in ("Gaussian", "PPCA")}
    return {"chosen": chosen} | {name: over_images(of) for name, of in models.items()}


def gaussians(x: np.ndarray) -> list:
    """Full covariances, shrunk towards a multiple of the identity."""
    fits = [(shrinkage, covariance.ShrunkCovariance(shrinkage=shrinkage).fit(x)) for shrinkage in SHRINKAGES]
    return [(f"shrinkage {s:g}", multivariate_normal(fit.location_, fit.covariance_).logpdf) for s, fit in fits]


def principal_components(x: np.ndarray) -> list:
    """Probabilistic PCA with every number of components."""
    return [(f"{n} components", decomposition.PCA(n).fit(x).score_samples) for n in range(1, x.shape[1])]


def best_vae(splits: vae.data.Splits, config: Config) -> tuple[str, np.ndarray]:
    """The VAE with the highest validation ELBO on the average over seeds: its name, and its NLL by seed and test row."""
    found = []
    for likelihood, latent_dim in product(config.likelihoods, config.latent_dims):
        experiment = vae.Experiment(
            data=splits,
            model=vae.reference_to(vae.models.mlp, latent_dim=latent_dim, hidden=config.hidden, likelihood=likelihood),
            steps=config.steps,
            optimiser=optax.adamw(1.0, weight_decay=config.weight_decay),
            settings={"learning_rate": config.learning_rate},
            batch_size=64,
            validate_every=max(1, config.steps // 40),
        )
        swept = vae.sweep(experiment, config.seeds, host=vae.Host(progress=False))
        elbos = [max(r["elbo"] for r in member.records if r["split"] == "validation") for member in swept.members]
        found.append((np.mean(elbos), f"{likelihood}, {latent_dim} latent", swept))
    _, words, swept = max(found, key=lambda each: each[0])
    runs = [swept.trained(index, "best") for index in range(config.seeds)]
    return words, measure(runs, examples_of(splits), samples=config.samples).nll


if __name__ == "__main__":
    vae.command.run(main, Config)
