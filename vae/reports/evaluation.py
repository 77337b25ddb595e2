"""What is said of a trained run: its numbers on the test set, its figures, and the table on the screen."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae.data.feeds import Feed, Splits, gather, prepared
from vae.data.view import TEST_LIMIT
from vae.evaluation.examples import Examples
from vae.evaluation.report import report as numbers_of
from vae.evaluation.rows import require_same_columns
from vae.rates import Rates, analytic
from vae.reports.figures import figures_of
from vae.trained import Trained
from vae.training.planning import splits_of

EVALUATION_SEED = 5_001
PICTURE_SEED = 7
NEIGHBOURS, RENDERED_NEIGHBOURS = 60_000, 5_000
PROTOCOL = {
    "split": "test",
    "examples_at_most": TEST_LIMIT,
    "binarisation": "one fixed draw per split, independent of the run's seed",
    "elbo": "one latent sample per example",
    "nll": "importance sampling from the posterior",
    "seed": EVALUATION_SEED,
}


class Report(NamedTuple):
    """What is shown of a trained model beside what is shown of every one.

    metrics: name -> function(trained, examples) -> number, for `summary.json` and the table.
    figures: name -> function(trained, examples) -> matplotlib Figure, for the figures' folder.
    """

    metrics: Mapping[str, Callable[[Trained, Examples], Any]] = {}
    figures: Mapping[str, Callable[[Trained, Examples], Any]] = {}


def evaluate(
    trained: Trained,
    splits: Any,
    *,
    samples: int,
    limit: int = TEST_LIMIT,
    rates: Rates = analytic,
    records: Sequence[Mapping[str, Any]] = (),
    report: Report | None = None,
    folder: str | Path | None = None,
) -> dict[str, Any]:
    """The numbers of a trained model on the test split, of `vae.evaluation.report`; its figures go into `folder`.

    splits:  whose `test` is looked at, or the validation split where there is none; or what an experiment takes as its data.
    samples: importance samples per example.
    limit:   examples, at most.
    rates:   how latent groups are charged: those of the objective it was trained with.
    records: of the run, for the curves.
    report:  further metrics and figures.
    folder:  None for no figures.
    """
    report, splits = Report() if report is None else report, splits_of(splits)
    require_same_columns(trained, evaluated_feed(splits).spec)
    examples = examples_of(splits, limit)
    key = jax.random.key(EVALUATION_SEED)
    numbers = numbers_of(trained, examples.x, key, samples=samples, context=examples.context, rates=rates)
    numbers |= {name: float(metric(trained, examples)) for name, metric in report.metrics.items()}
    if folder is not None:
        draw(trained, splits, examples, numbers, records, report, Path(folder))
    return numbers


def draw(
    trained: Trained, splits: Splits, examples: Examples, numbers: dict, records: Any, report: Report, folder: Path
) -> None:
    """Draw and save every figure of a model, and those that its script asks for."""
    from vae import visualise

    key = jax.random.key(PICTURE_SEED)
    figures = figures_of(trained, examples, numbers, records, key=key, neighbours=training_pictures(splits.train))
    figures |= {name: figure(trained, examples) for name, figure in report.figures.items()}
    for name, figure in figures.items():
        visualise.save(figure, folder / f"{name}.png")


def examples_of(splits: Splits, limit: int = TEST_LIMIT) -> Examples:
    """The first examples of the test split, of the validation split where there is none, as a model sees them.

    Raises ValueError where there is neither.
    """
    feed = evaluated_feed(splits)
    batch = prepared(feed, jax.random.key(EVALUATION_SEED), jax.tree.map(jnp.asarray, gather(feed.arrays, slice(limit))))
    labels = None if feed.labels is None else feed.labels[:limit]
    return Examples(batch.x, batch.context, labels, feed.label_names)


def evaluated_feed(splits: Splits) -> Feed:
    """The test split, the validation split where there is none; ValueError where there is neither."""
    feed = splits.test if splits.test is not None else splits.validation
    if feed is None:
        raise ValueError("the data have neither a test nor a validation split to evaluate on; give Splits(train, test=...).")
    return feed


def training_pictures(train: Feed | Mapping[str, Feed]) -> np.ndarray | None:
    """Training images as bytes, among which the nearest ones to samples are looked for; None where the data are no images."""
    feed = train[min(train)] if isinstance(train, Mapping) else train
    stored = [leaf for leaf in jax.tree.leaves(feed.arrays) if leaf.dtype == np.uint8 and leaf.shape[1:] == feed.spec.shape]
    if stored:
        images = np.asarray(stored[0][:NEIGHBOURS])
        return images * np.uint8(255) if images.max() == 1 else images
    if len(feed.spec.shape) != 3:
        return None
    rows = jax.tree.map(jnp.asarray, gather(feed.arrays, slice(RENDERED_NEIGHBOURS)))
    images = np.asarray(jax.jit(partial(prepared, feed))(jax.random.key(0), rows).x)
    return images if images.dtype == np.uint8 else np.rint(np.clip(images, 0.0, 1.0) * 255).astype(np.uint8)


def training_speed(records: Sequence[Mapping[str, Any]]) -> float | None:
    """Images per second, the median over the records of training."""
    rates = sorted(r["images_per_second"] for r in records if r["split"] == "train")
    return rates[len(rates) // 2] if rates else None


def show(summary: Mapping[str, Any], further: Sequence[str] = ()) -> None:
    """Print a summary, or what `evaluate` returns, as a table; `further` names metrics of the script's own."""
    from rich.console import Console
    from rich.table import Table

    run = f"{summary['evaluated']} checkpoint (step {summary['evaluated_step']}) on " if "evaluated" in summary else ""
    title = f"{run}{summary['examples']} test examples"
    table = Table(title=title)
    table.add_column("nats per example unless it says otherwise")
    table.add_column("value", justify="right")
    for name, value in [*rows(summary), *((name, f"{summary[name]:.4g}") for name in further)]:
        table.add_row(name, value)
    Console().print(table)


def bound(summary: Mapping[str, Any]) -> tuple[str, str]:
    """The line of the importance-sampled bound: what it is a bound of, if anything."""
    for name, words in (("nll", "NLL"), ("cross_entropy", "cross-entropy (the data are not in the likelihood's space)")):
        if summary[name] is not None:
            return f"{words}, at most ({summary['nll_samples']} samples)", f"{summary[name]:.2f}"
    return "no NLL", summary["nll_note"]


def total(summary: Mapping[str, Any]) -> tuple[str, str]:
    """The line of log-likelihood minus rates, under the name that it may have."""
    name, words = ("elbo", "ELBO") if summary["elbo"] is not None else ("score", f"score, no ELBO: {summary['elbo_note']}")
    return words, f"{summary[name]:.2f} +- {summary[f'{name}_se_images']:.2f}"


def cost(summary: Mapping[str, Any]) -> tuple[str, str]:
    """The line of what the latent groups cost."""
    found = {words: summary[name] for name, words in (("kl", "  KL"), ("rate", "  rate")) if summary[name] is not None}
    return next(((words, f"{nats:.2f}") for words, nats in found.items()), ("  KL", "none"))


def rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The lines of the table."""
    lines = [
        total(summary),
        ("  log-likelihood", f"{summary['log_likelihood']:.2f}"),
        cost(summary),
        bound(summary),
    ]
    if summary["nll_se_images"] is not None:
        lines += [
            ("  standard error over examples", f"{summary['nll_se_images']:.2f}"),
            ("  Monte Carlo error", f"{summary['nll_se_mc']:.3f}"),
            ("  mean effective sample size", f"{summary['effective_sample_size']:.1f}"),
            ("  examples with one under 10", f"{100 * summary['share_effective_sample_size_under_10']:.0f} %"),
        ]
    if summary["share_pareto_k_over_0_7"] is not None:
        lines.append(("  examples with a Pareto k over 0.7", f"{100 * summary['share_pareto_k_over_0_7']:.0f} %"))
    if summary["active_units"] is not None:
        lines.append(("active units, by variance of the mean", f"{summary['active_units']} of {summary['latent_dimensions']}"))
    if summary["active_units_by_kl"] is not None:
        lines.append(("active units, by KL", f"{summary['active_units_by_kl']} of {summary['latent_dimensions']}"))
    if summary.get("code_perplexity"):
        lines.append(("perplexity of the codes", ", ".join(f"{value:.1f}" for value in summary["code_perplexity"])))
    if summary["bits_per_dim"] is not None:
        lines.append(("bits per dimension", f"{summary['bits_per_dim']:.4f}"))
    if summary.get("images_per_second") is not None:
        lines.append(("training examples per second", f"{summary['images_per_second']:,.0f}"))
    return lines
