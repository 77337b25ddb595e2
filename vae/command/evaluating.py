"""`evaluate`: a trained run on its test set, ELBO, importance-sampled NLL with both errors, latent units, figures.

    vae evaluate --workdir runs/digits --samples 1000

Numbers are in nats per example. The NLL is an upper bound that falls with the number of importance samples: compare at equal
numbers. The test set never takes part in choosing a checkpoint.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vae.command.runs import RunFlags, experiment_of_run, loaded_run, report_of_run, require_same_data
from vae.data.view import TEST_LIMIT
from vae.reports.evaluation import evaluate, show, training_speed
from vae.training import workdir as files
from vae.training.digest import tree_sha256
from vae.training.experiment import Experiment
from vae.training.load import load_run
from vae.training.planning import objective_of, splits_of
from vae.training.provenance import write_json
from vae.training.records import read_records


@dataclass(frozen=True)
class Config(RunFlags):
    """The flags of an evaluation."""

    samples: int = 1000
    """Importance samples per test example."""
    examples: int = TEST_LIMIT
    """Test examples, at most."""


def main(config: Config) -> int:
    """Evaluate and print."""
    if config.examples < 1:
        raise ValueError(f"examples is {config.examples}; wanted at least 1.")
    evaluate_run(config.workdir, samples=config.samples, which=config.which, limit=config.examples, data=config.data)
    return 0


def evaluate_run(
    workdir: Path,
    *,
    samples: int,
    which: Literal["best", "latest"] | None = None,
    limit: int = TEST_LIMIT,
    experiment: Experiment | None = None,
    data: str | None = None,
) -> dict[str, Any]:
    """Evaluate a run, draw its figures, write `summary.json` and print it.

    experiment: of the run, where it is at hand.
    data:       name of the data set, where the run names none.
    """
    loaded = loaded_run(workdir, which, experiment)
    experiment = experiment_of_run(loaded, data) if experiment is None else experiment
    splits = splits_of(experiment.data)
    require_same_data(loaded, splits)
    records, report = read_records(workdir / files.METRICS), report_of_run(loaded)
    found = evaluate(
        loaded.trained,
        splits,
        samples=samples,
        limit=limit,
        rates=objective_of(experiment.objective, splits).rates,
        records=records,
        report=report,
        folder=workdir / files.FIGURES,
    )
    latest = load_run(workdir, "latest", experiment)
    summary = {
        "step": latest.step,
        "evaluated": loaded.which,
        "evaluated_step": loaded.step,
        **found,
        "images_per_second": training_speed(records),
        "params_sha256": tree_sha256(latest.trained.params),
    }
    write_json(workdir / files.SUMMARY, summary)
    show(summary, list(report.metrics))
    print(f"written: {workdir / files.SUMMARY}, {workdir / files.FIGURES}/")
    return summary
