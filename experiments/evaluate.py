"""Evaluate a trained run on its test set: ELBO, importance-sampled NLL with both errors, latent units, figures.

    python -m experiments.evaluate --workdir runs/digits --samples 1000

Numbers are in nats per example. The NLL is an upper bound that falls with the number of importance samples: compare at equal
numbers. The test set never takes part in choosing a checkpoint.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

import vae
from experiments import command_line
from vae.data.dataset import Dataset
from vae.data.view import evaluation_images, stored_images
from vae.evaluation.examples import Examples
from vae.evaluation.report import report
from vae.objectives import analytic, log_ratio
from vae.reports import figures_of
from vae.training import workdir as files
from vae.training.digest import tree_sha256
from vae.training.provenance import write_json
from vae.training.records import Record, read_records
from vae.training.state import TrainState, usable_params

EVALUATION_SEED = 5_001
PICTURE_SEED = 7
TEST_LIMIT = 10_000
NEIGHBOUR_LIMIT, RENDERED_LIMIT = 60_000, 5_000
"""Training images among which a sample's nearest one is looked for, stored and rendered."""
RATES = {"analytic": analytic, "log_ratio": log_ratio}
"""How the KL is charged, by the flag of experiments.train."""
PROTOCOL = {
    "split": "test",
    "examples_at_most": TEST_LIMIT,
    "binarisation": "one fixed draw per split, independent of the run's seed",
    "elbo": "one latent sample per example",
    "nll": "importance sampling from the posterior",
    "seed": EVALUATION_SEED,
}


@dataclass(frozen=True)
class Config:
    """The flags of an evaluation."""

    workdir: Path
    """Work directory of a run of experiments.train."""
    samples: int = 1000
    """Importance samples per test example."""
    which: Literal["best", "latest"] = "best"
    """Checkpoint: the best by validation ELBO, or the latest."""


def main(config: Config) -> int:
    """Evaluate and print."""
    evaluate_run(config.workdir, samples=config.samples, which=config.which)
    return 0


def evaluate_run(
    workdir: Path,
    *,
    samples: int,
    which: str = "best",
    limit: int = TEST_LIMIT,
    dataset: Dataset | None = None,
    state: TrainState | None = None,
    records: list[Record] | None = None,
) -> dict[str, Any]:
    """Evaluate a run, draw its figures, write `summary.json` and print it; what is at hand already need not be read again."""
    loaded, dataset = load_run(workdir, which, dataset)
    flags = loaded.config["experiment"]
    x, labels = evaluation_images(dataset, "test", flags["binarisation"], limit)
    x = jnp.asarray(x)
    key = jax.random.key(EVALUATION_SEED)
    rate = RATES[flags["rate"]]
    trained = vae.Trained(loaded.model, loaded.params, loaded.model_state, spec=loaded.data)
    numbers = report(trained, x, key, samples=samples, rates=rate)
    records = read_records(workdir / files.METRICS) if records is None else records
    latest = vae.load(workdir, "latest") if state is None else None
    summary = {
        "step": latest.step if latest else int(state.step),
        "evaluated": which,
        "evaluated_step": loaded.step,
        **numbers,
        "images_per_second": images_per_second(records),
        "params_sha256": tree_sha256(latest.params if latest else usable_params(state)),
    }
    write_json(workdir / files.SUMMARY, summary)
    examples = Examples(x, labels=labels, label_names=dataset.label_names)
    key = jax.random.key(PICTURE_SEED)
    figures = figures_of(trained, examples, numbers, records, key=key, neighbours=training_images(dataset))
    for name, figure in figures.items():
        vae.visualise.save(figure, workdir / files.FIGURES / f"{name}.png")
    show(workdir, summary)
    return summary


def load_run(workdir: Path, which: str, dataset: Dataset | None = None) -> tuple[vae.Loaded, Dataset]:
    """A run of experiments.train and its data, which need not be read again where they are at hand.

    Raises RunError for a run of something else, and where the data are no longer those it was trained on.
    """
    loaded = vae.load(workdir, which)
    flags = loaded.config["experiment"]
    if "binarisation" not in flags:
        raise files.RunError(f"{workdir} holds no run of experiments.train; call vae.evaluation on your data.")
    dataset = dataset or vae.data.load(flags["data"])
    if dataset.sha256 != flags["data_sha256"]:
        raise files.RunError(f"the data {flags['data']!r} have changed since the run in {workdir} was trained; restore them.")
    return loaded, dataset


def training_images(dataset: Dataset) -> np.ndarray:
    """Images among which a sample's nearest one is looked for."""
    stored = dataset.train.x[:NEIGHBOUR_LIMIT]
    return stored_images(dataset, stored[:RENDERED_LIMIT]) if dataset.render else stored


def images_per_second(records: list[Record]) -> float | None:
    """The median over the records of training."""
    rates = sorted(r["images_per_second"] for r in records if r["split"] == "train")
    return rates[len(rates) // 2] if rates else None


def show(workdir: Path, summary: dict[str, Any]) -> None:
    """Print a summary as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{summary['evaluated']} checkpoint (step {summary['evaluated_step']}) on {summary['examples']} test images"
    )
    table.add_column("nats per example unless it says otherwise")
    table.add_column("value", justify="right")
    for name, value in rows(summary):
        table.add_row(name, value)
    Console().print(table)
    print(f"written: {workdir / files.SUMMARY}, {workdir / files.FIGURES}/")


def bound(summary: dict[str, Any]) -> tuple[str, str]:
    """The line of the importance-sampled bound: what it is a bound of, if anything."""
    for name, words in (("nll", "NLL"), ("cross_entropy", "cross-entropy (the data are not in the likelihood's space)")):
        if summary[name] is not None:
            return f"{words}, at most ({summary['nll_samples']} samples)", f"{summary[name]:.2f}"
    return "no NLL", summary["nll_note"]


def rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The lines of the table."""
    lines = [
        ("ELBO", f"{summary['elbo']:.2f} +- {summary['elbo_se_images']:.2f}" if summary["elbo"] is not None else "none"),
        ("  log-likelihood", f"{summary['log_likelihood']:.2f}"),
        ("  KL", f"{summary['kl']:.2f}" if summary["kl"] is not None else "none"),
        bound(summary),
    ]
    if summary["nll_se_images"] is not None:
        lines += [
            ("  standard error over images", f"{summary['nll_se_images']:.2f}"),
            ("  Monte Carlo error", f"{summary['nll_se_mc']:.3f}"),
            ("  mean effective sample size", f"{summary['effective_sample_size']:.1f}"),
            ("  images with one under 10", f"{100 * summary['share_effective_sample_size_under_10']:.0f} %"),
        ]
    if summary["share_pareto_k_over_0_7"] is not None:
        lines.append(("  images with a Pareto k over 0.7", f"{100 * summary['share_pareto_k_over_0_7']:.0f} %"))
    if summary["active_units"] is not None:
        lines.append(("active units", f"{summary['active_units']} of {summary['latent_dimensions']}"))
    if summary["bits_per_dim"] is not None:
        lines.append(("bits per dimension", f"{summary['bits_per_dim']:.4f}"))
    if summary["images_per_second"] is not None:
        lines.append(("training images per second", f"{summary['images_per_second']:,.0f}"))
    return lines


if __name__ == "__main__":
    command_line.run(main, Config)
