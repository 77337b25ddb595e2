"""`gaps`: why the bound of a trained run is loose: what its posterior's family, its encoder and its samples answer for.

    vae gaps --workdir runs/digits
    vae gaps --workdir runs/digits --smoke         to see that everything works

    approximation gap   log p(x) - L[q*]       q*: the posterior fitted to each example alone
    amortisation gap    L[q*] - L[q]           q: the encoder's
    estimator gap       log p(x) - IWAE-k

log p(x) is annealed importance sampling, a lower bound; how far it may be from the truth is measured on as many examples that
the model simulates, whose evidence is bounded from both sides. Writes `gaps.json` into the work directory; nats per example.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from vae.command.runs import RunFlags, experiment_of_run, loaded_run, require_same_data
from vae.evaluation.annealing import Annealing, annealed_evidence, bidirectional_bounds, simulate
from vae.evaluation.annealing_paths import from_posterior, from_prior
from vae.evaluation.arrays import standard_error
from vae.evaluation.effective_chains import FEWEST_EFFECTIVE
from vae.evaluation.evidence import importance_sampled_evidence
from vae.evaluation.examples import Examples
from vae.evaluation.gaps import fitted_bounds, gap_summary, inference_gaps
from vae.reports.evaluation import examples_of
from vae.trained import Trained
from vae.training.origin import to_json
from vae.training.planning import splits_of
from vae.training.provenance import write_json

STARTS = {"prior": from_prior, "posterior": from_posterior}
"""Where annealing starts, by flag."""


@dataclass(frozen=True)
class Config(RunFlags):
    """The flags of a gap report."""

    examples: int = 100
    """Of the test set, from its start; as many are simulated."""
    samples: int = 50
    """k of the IWAE-k bound."""
    temperatures: int = 1000
    """Of annealed importance sampling; the bound tightens with them."""
    chains: int = 16
    leapfrog_steps: int = 10
    start: Literal["prior", "posterior"] = "posterior"
    """Where annealing starts."""
    score_samples: int = 512
    """Latent samples for L[q] and L[q*]."""
    seed: int = 5_002
    smoke: bool = False
    """Few examples and temperatures, whatever the other flags say."""


def main(config: Config) -> int:
    """Measure, write and print."""
    if config.smoke:
        config = dataclasses.replace(
            config, examples=4, samples=10, temperatures=20, chains=4, leapfrog_steps=3, score_samples=16
        )
    if min(config.examples, config.samples) < 1:
        raise ValueError(f"got {config.examples} examples and {config.samples} samples; wanted at least 1 of each.")
    loaded = loaded_run(config.workdir, config.which)
    splits = splits_of(experiment_of_run(loaded, config.data).data)
    require_same_data(loaded, splits)
    numbers = {
        "config": to_json(config),
        "evaluated": loaded.which,
        "evaluated_step": loaded.step,
        **measure(loaded.trained, examples_of(splits, config.examples), config),
    }
    write_json(config.workdir / "gaps.json", numbers)
    show(numbers, config)
    return 0


def measure(trained: Trained, examples: Examples, config: Config) -> dict[str, Any]:
    """The gaps on the examples, and the distance of the bounds on simulated ones."""
    keys = jax.random.split(jax.random.key(config.seed), 5)
    x, context = examples.x, examples.context
    annealing = Annealing(config.temperatures, config.chains, config.leapfrog_steps, STARTS[config.start])
    annealed = annealed_evidence(trained, x, keys[0], context=context, annealing=annealing)
    fitted = fitted_bounds(trained, x, keys[1], context=context, score_samples=config.score_samples)
    importance = importance_sampled_evidence(trained, x, keys[2], context=context, samples=config.samples)
    rows = jax.tree.leaves(x)[0].shape[0]
    values, simulated = simulate(trained, keys[3], rows, context=context)
    bounds = bidirectional_bounds(trained, values, simulated, keys[4], context=context, annealing=annealing)
    slack = np.asarray(bounds.upper - bounds.lower, np.float64)
    return {
        **gap_summary(inference_gaps(annealed, fitted, importance)),
        "acceptance": float(np.mean(annealed.acceptance)),
        "effective_chains": float(np.mean(annealed.effective_chains)),
        "few_effective_chains": float(np.mean(annealed.effective_chains < FEWEST_EFFECTIVE)),
        "simulated_bounds_apart": {"mean": float(slack.mean()), "se_images": standard_error(slack)},
    }


def show(numbers: dict[str, Any], config: Config) -> None:
    """Print the numbers as a table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=f"{numbers['evaluated']} checkpoint (step {numbers['evaluated_step']}) on {config.examples} test images, nats"
    )
    for column in ("", "mean", "se images", "se Monte Carlo"):
        table.add_column(column, justify="right" if column else "left")
    names = {
        "log_evidence": f"log p(x), annealed, T = {config.temperatures}",
        "importance_weighted": f"IWAE-{config.samples}",
        "fitted": "L[q*], fitted to each image",
        "elbo": "L[q]",
        "approximation": "approximation gap",
        "amortisation": "amortisation gap",
        "estimator": "estimator gap",
        "simulated_bounds_apart": "bounds apart, simulated",
    }
    for name, text in names.items():
        row = numbers[name]
        table.add_row(escape(text), *(number(row.get(part)) for part in ("mean", "se_images", "se_mc")))
    Console().print(table)
    few = f"fewer than {FEWEST_EFFECTIVE}, too few for a Monte Carlo error, for {100 * numbers['few_effective_chains']:.0f} %"
    chains = f"effective chains {numbers['effective_chains']:.1f} of {config.chains}, {few} of the images"
    print(f"acceptance {numbers['acceptance']:.2f}; {chains}")
    print(f"written: {config.workdir / 'gaps.json'}")


def number(value: float | None) -> str:
    """A cell of the table: nothing where there is no such number, "unknown" where it could not be told."""
    if value is None:
        return ""
    return f"{value:.3f}" if np.isfinite(value) else "unknown"
