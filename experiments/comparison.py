"""What the scripts that compare models share: equal starts, the same test images and noise, differences in pairs.

Two kinds of error are kept apart everywhere: `se_images`, the standard error over test images of the mean over seeds, says
what other test images would change; `sd_seeds`, the standard deviation over seeds, what another start of training would.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from vae.training.sweep import Swept, run_of, sweep

from experiments import command_line
from vae import schedules, visualise
from vae.data.dataset import Dataset
from vae.data.feeds import Feed
from vae.data.view import evaluation_images, training_feed
from vae.evaluation.arrays import standard_error
from vae.evaluation.evidence import elbo_terms, importance_sampled_evidence
from vae.evaluation.latents import active_units, encode
from vae.objectives import total_rate
from vae.training.provenance import provenance, write_json
from vae.training.state import TrainState, usable_params
from vae.types import Key, Model, Objective, Trained
from vae.visualise.comparisons import Interval, intervals

EVALUATION_SEED = 5_003
ADAM = optax.adam(1.0)  # the learning rate is a setting, which a schedule multiplies
Summary = dict[str, Any]
COLUMNS = {
    "nll": ("NLL, at most", 2),
    "rate": ("rate", 2),
    "distortion": ("distortion", 2),
    "active_units": ("active units", 1),
}


class Flags(Protocol):
    """The flags that every comparison has."""

    @property
    def seed(self) -> int:
        """Of the first key."""
        ...

    @property
    def seeds(self) -> int:
        """How many runs of each model."""
        ...

    @property
    def steps(self) -> int:
        """Of training."""
        ...

    @property
    def batch_size(self) -> int:
        """Images per step."""
        ...

    @property
    def learning_rate(self) -> float:
        """Of Adam, at the start."""
        ...

    @property
    def workdir(self) -> Path:
        """Where everything goes."""
        ...


class Shown(NamedTuple):
    """A data set as a comparison sees it.

    feed:   the training split, binarised afresh at every step.
    x:      the test images, in one fixed binarisation that no seed changes.
    sha256: digest of the data set.
    """

    feed: Feed
    x: jax.Array
    sha256: str


class Measured(NamedTuple):
    """What was measured of runs on the same test images, in nats per image.

    nll:        (runs, images) minus the importance-weighted bound: the NLL is at most that.
    rate:       (runs, images) KL of the posterior to the prior.
    distortion: (runs, images) minus log p(x | z) at one z.
    scores:     by name, (runs,); "active_units" are the dimensions with Var_x E_q[z | x] > 0.01, "nll_se_mc" the Monte Carlo
                error of the mean of `nll`.
    """

    nll: np.ndarray
    rate: np.ndarray
    distortion: np.ndarray
    scores: dict[str, np.ndarray]


def shown(dataset: Dataset, images: int) -> Shown:
    """The training split and the first test images."""
    x, _ = evaluation_images(dataset, "test", "dynamic", images)
    return Shown(training_feed(dataset, "dynamic"), jnp.asarray(x), dataset.sha256)


def equal_starts(config: Flags, levels: int = 1) -> Key:
    """(levels * seeds,) keys, the seeds innermost: a seed has the same start, order of data and noise at every level."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    return keys[jnp.arange(levels * config.seeds) % config.seeds]


def train(
    config: Flags,
    model: Model,
    objective: Objective,
    data: Feed,
    settings: Mapping[str, Sequence[float]] | None = None,
    shapes: Mapping[str, Callable] | None = None,
    optimiser: optax.GradientTransformation = ADAM,
) -> Swept:
    """Every seed at every level, the seeds innermost; the learning rate falls to zero by a cosine.

    settings: levels by name, as many of each.
    shapes:   further schedules.
    """
    given = {name: np.repeat(np.asarray(values, np.float32), config.seeds) for name, values in (settings or {}).items()}
    keys = equal_starts(config, max((len(values) for values in given.values()), default=config.seeds) // config.seeds)
    return sweep(
        model,
        objective,
        optimiser,
        data,
        keys,
        steps=config.steps,
        batch_size=config.batch_size,
        settings={"learning_rate": jnp.full(len(keys), config.learning_rate), **given},
        schedules={"learning_rate": schedules.cosine(config.steps), **(shapes or {})},
    )


def measure(model: Model, states: TrainState, x: jax.Array, samples: int) -> Measured:
    """Every run of a sweep on the same images, with the same noise for each image; `samples` importance samples."""
    nll, rate, distortion, error, active = zip(*each_run(states, lambda s: _measure(model, s, x, samples)), strict=True)
    scores = {"active_units": np.array(active, np.float64), "nll_se_mc": np.array(error)}
    return Measured(np.stack(nll), np.stack(rate), np.stack(distortion), scores)


def each_run(states: TrainState, function: Callable[[TrainState], Any]) -> list:
    """A function of every run of a sweep."""
    return [function(run_of(states, i)) for i in range(len(states.step))]


def _measure(model: Model, state: TrainState, x: jax.Array, samples: int) -> tuple:
    terms_key, evidence_key, encode_key = jax.random.split(jax.random.key(EVALUATION_SEED), 3)
    trained = Trained(model, usable_params(state), state.model_state)
    terms = elbo_terms(trained, x, terms_key)
    evidence = importance_sampled_evidence(trained, x, evidence_key, samples=samples)
    error = np.asarray(evidence.monte_carlo_error, np.float64)
    return (
        -np.asarray(evidence.log_evidence, np.float64),
        np.asarray(total_rate(terms), np.float64),
        -np.asarray(terms.log_likelihood, np.float64),
        np.sqrt(np.sum(np.square(error))) / error.size,
        sum(int(active_units(group).sum()) for group in encode(trained, x, encode_key)),
    )


def by_level(measured: Measured, seeds: int) -> list[Measured]:
    """The runs of each level, the seeds innermost."""
    levels = len(measured.nll) // seeds
    return [jax.tree.map(lambda rows, i=i: rows[i * seeds : (i + 1) * seeds], measured) for i in range(levels)]


def over_seeds(values: Any) -> Summary:
    """Mean and standard deviation of one number per seed, and the numbers."""
    values = np.asarray(values, np.float64)
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    return {"mean": float(values.mean()), "sd_seeds": spread, "per_seed": values.tolist()}


def over_images(values: np.ndarray) -> Summary:
    """The mean of (seeds, images) numbers with both errors."""
    return {**over_seeds(values.mean(axis=1)), "se_images": standard_error(values.mean(axis=0))}


def summary(measured: Measured) -> dict[str, Summary]:
    """The numbers of one model."""
    elbo = -(measured.rate + measured.distortion)
    by_image = {"nll": measured.nll, "elbo": elbo, "rate": measured.rate, "distortion": measured.distortion}
    scores = {name: over_seeds(values) for name, values in measured.scores.items()}
    return {name: over_images(values) for name, values in by_image.items()} | scores


def paired(a: Measured, b: Measured) -> dict[str, Summary]:
    """The numbers of a minus b, image by image and seed by seed."""
    return summary(jax.tree.map(np.subtract, a, b))


def compared(measured: Mapping[str, Measured], pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The numbers of every model, and of the difference a - b of every pair (a, b)."""
    return {
        "models": {name: summary(of) for name, of in measured.items()},
        "differences": {difference(a, b): paired(measured[a], measured[b]) for a, b in pairs},
    }


def difference(a: str, b: str) -> str:
    """What the difference of two models is called."""
    return f"{a} minus {b}"


def with_first(names: Iterable[str]) -> list[tuple[str, str]]:
    """Every model after the first, paired with the first."""
    first, *others = names
    return [(name, first) for name in others]


def cell(numbers: Summary, digits: int = 2) -> str:
    """A mean with its errors as text: over images where there is one, then over seeds."""
    errors = [numbers[name] for name in ("se_images", "sd_seeds") if numbers.get(name) is not None]
    return " ± ".join(f"{number:.{digits}f}" for number in [numbers["mean"], *errors])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, aligned so that it reads well on a screen too."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
    lines = [[text.ljust(width) for text, width in zip(line, widths, strict=True)] for line in (header, *rows)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def table_of_models(numbers: Mapping[str, Any], columns: Mapping[str, tuple[str, int]] = COLUMNS) -> str:
    """The numbers of `compared`, a row for each model and for each difference.

    columns: by quantity, the head of the column and the number of digits.
    """
    named = {**numbers["models"], **numbers["differences"]}
    rows = [[name, *(cell(of[quantity], digits) for quantity, (_, digits) in columns.items())] for name, of in named.items()]
    return table(["", *(head for head, _ in columns.values())], rows)


def figure_of_models(numbers: Mapping[str, Any], title: str) -> Any:
    """The numbers of `compared`: how far each model's NLL is from the first one's, its rate and its active units."""
    models = numbers["models"]
    first, *others = models
    gains = [interval(name, numbers["differences"][difference(name, first)]["nll"]) for name in others]
    paired_panel = f"NLL minus that of {first} (nats)"
    panels = {
        paired_panel: [Interval(first, 0.0), *gains],
        "rate (nats)": [interval(name, of["rate"]) for name, of in models.items()],
        "active units": [interval(name, of["active_units"]) for name, of in models.items()],
    }
    return intervals(panels, title, zero=(paired_panel,), note="bars: one standard error over test images")


def interval(label: str, numbers: Summary) -> Interval:
    """A row of a figure: bars of one standard error over images where there is one."""
    return Interval(label, numbers["mean"], numbers.get("se_images") or 0.0, tuple(numbers["per_seed"]))


def write(config: Flags, name: str, numbers: Mapping[str, Any], text: str, figure: Any, data_sha256: str) -> None:
    """Print the table; write the numbers, their origin, the table and the figure into the work directory."""
    config.workdir.mkdir(parents=True, exist_ok=True)
    origin = provenance(sys.argv, data_sha256)
    write_json(config.workdir / f"{name}.json", {"config": command_line.as_json(config), **numbers, "provenance": origin})
    (config.workdir / f"{name}.md").write_text(text, encoding="utf-8")
    visualise.save(figure, config.workdir / f"{name}.png")
    print(text + f"written: {config.workdir / name}.json, .md and .png")
