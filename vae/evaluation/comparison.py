"""Models side by side: the same test examples and the same noise for all, differences in pairs.

Two kinds of error are kept apart everywhere: `se_images`, the standard error over test examples of the mean over seeds, says
what other test examples would change; `sd_seeds`, the standard deviation over seeds, what another start of training would.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from vae.claims import why_not_of
from vae.evaluation.arrays import standard_error
from vae.evaluation.evidence import elbo_terms, importance_sampled_evidence, rates_of
from vae.evaluation.examples import Examples
from vae.evaluation.latents import active_units, encode, structure_of, unit_groups
from vae.objectives import Rate, analytic, total_rate
from vae.trained import Trained
from vae.visualise.comparisons import Interval, intervals

NOISE_SEED = 5_003
"""Of the noise that every model is measured with."""
Summary = dict[str, Any]
COLUMNS = {
    "nll": ("NLL, at most", 2),
    "rate": ("rate", 2),
    "distortion": ("distortion", 2),
    "active_units": ("active units", 1),
}


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


def measure(runs: Sequence[Trained], examples: Examples, *, samples: int, rates: Rate | Sequence[Rate] = analytic) -> Measured:
    """Every run on the same examples, with the same noise for each example.

    samples: importance samples of the NLL; compare at equal numbers.
    rates:   how a group is charged.
    """
    measured = [_measure_one(run, examples, samples, rates) for run in runs]
    return jax.tree.map(lambda *rows: np.stack(rows), *measured)


def require_measurable(trained: Trained, examples: Examples, *, samples: int, rates: Rate | Sequence[Rate] = analytic) -> None:
    """Refuse, from shapes alone, what `measure` would refuse of a run; nothing is computed.

    trained: its arrays may be ShapeDtypeStructs. Raises ValueError for examples of another shape and for data that the
    likelihood is none of, TypeError where a group has no such rate or the evidence cannot be estimated.
    """
    jax.eval_shape(lambda run: _on_device(run, examples, samples, rates), trained)
    likelihood = structure_of(trained, examples.x, examples.context).likelihood
    if trained.spec is not None and (why := why_not_of(likelihood, trained.spec.space)):
        raise ValueError(f"{why}, so that there is no NLL to compare; convert the data, or take a likelihood of them.")


def measurement_program(
    trained: Trained, examples: Examples, *, samples: int, rates: Rate | Sequence[Rate] = analytic
) -> ClosedJaxpr:
    """What `measure` computes of a run, traced: equal for two runs exactly if they are measured alike.

    trained: its arrays may be ShapeDtypeStructs; those of the examples are arguments of the program.
    """

    def program(run, x, context):
        return _on_device(run, Examples(x, context), samples, rates)

    return jax.make_jaxpr(program)(trained, examples.x, examples.context)


def _on_device(trained: Trained, examples: Examples, samples: int, rates: Rate | Sequence[Rate]) -> tuple:
    """Terms, evidence and posterior means of one run, the same noise for every run."""
    terms_key, evidence_key, encode_key = jax.random.split(jax.random.key(NOISE_SEED), 3)
    x, context = examples.x, examples.context
    terms = elbo_terms(trained, x, terms_key, context=context, rates=rates_of(rates))
    evidence = importance_sampled_evidence(trained, x, evidence_key, samples=samples, context=context)
    return terms, evidence, encode(trained, x, encode_key, context=context)


def _measure_one(trained: Trained, examples: Examples, samples: int, rates: Rate | Sequence[Rate]) -> Measured:
    """The numbers of one run, without the axis of runs."""
    terms, evidence, means = _on_device(trained, examples, samples, rates)
    units = unit_groups(structure_of(trained, examples.x, examples.context))
    error = np.asarray(evidence.monte_carlo_error, np.float64)
    scores = {
        "active_units": np.float64(sum(int(active_units(means[group]).sum()) for group in units)),
        "nll_se_mc": np.sqrt(np.sum(np.square(error))) / error.size,
    }
    return Measured(
        nll=-np.asarray(evidence.log_evidence, np.float64),
        rate=np.asarray(total_rate(terms), np.float64),
        distortion=-np.asarray(terms.log_likelihood, np.float64),
        scores=scores,
    )


def over_seeds(values: Any) -> Summary:
    """Mean and standard deviation of one number per seed, and the numbers."""
    values = np.asarray(values, np.float64)
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    return {"mean": float(values.mean()), "sd_seeds": spread, "per_seed": values.tolist()}


def numbers_of_models(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """{"models": ..., "differences": {}}, as `table_of_models` takes it: of every model and quantity what `over_seeds` says.

    found: for each seed, by model, a NamedTuple of numbers.
    """
    first = found[0]
    models = {
        name: {quantity: over_seeds([getattr(seed[name], quantity) for seed in found]) for quantity in numbers._fields}
        for name, numbers in first.items()
    }
    return {"models": models, "differences": {}}


def over_images(values: np.ndarray) -> Summary:
    """The mean of (seeds, images) numbers with both errors."""
    return {**over_seeds(values.mean(axis=1)), "se_images": standard_error(values.mean(axis=0))}


def summary(measured: Measured) -> dict[str, Summary]:
    """The numbers of one model."""
    elbo = -(measured.rate + measured.distortion)
    by_image = {"nll": measured.nll, "elbo": elbo, "rate": measured.rate, "distortion": measured.distortion}
    scores = {name: over_seeds(values) for name, values in measured.scores.items()}
    return {name: over_images(values) for name, values in by_image.items()} | scores


def paired_difference(a: Measured, b: Measured) -> dict[str, Summary]:
    """The numbers of a minus b, image by image and seed by seed."""
    return summary(jax.tree.map(np.subtract, a, b))


def compared(measured: Mapping[str, Measured], pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The numbers of every model, and of the difference a - b of every pair (a, b)."""
    return {
        "models": {name: summary(of) for name, of in measured.items()},
        "differences": {name_of_difference(a, b): paired_difference(measured[a], measured[b]) for a, b in pairs},
    }


def name_of_difference(a: str, b: str) -> str:
    """What the difference of two models is called."""
    return f"{a} minus {b}"


def pairs_with_first(names: Iterable[str]) -> list[tuple[str, str]]:
    """Every model after the first, paired with the first."""
    first, *others = names
    return [(name, first) for name in others]


def mean_with_errors(numbers: Summary, digits: int = 2) -> str:
    """A mean with its errors as text: over images where there is one, then over seeds."""
    errors = [numbers[name] for name in ("se_images", "sd_seeds") if numbers.get(name) is not None]
    return " ± ".join(f"{number:.{digits}f}" for number in [numbers["mean"], *errors])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
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
    rows = [
        [name, *(mean_with_errors(of[quantity], digits) for quantity, (_, digits) in columns.items())]
        for name, of in named.items()
    ]
    return markdown_table(["", *(head for head, _ in columns.values())], rows)


def figure_of_models(numbers: Mapping[str, Any], title: str) -> Any:
    """The numbers of `compared`: how far each model's NLL is from the first one's, its rate and its active units."""
    models = numbers["models"]
    first, *others = models
    gains = [interval_of(name, numbers["differences"][name_of_difference(name, first)]["nll"]) for name in others]
    paired_panel = f"NLL minus that of {first} (nats)"
    panels = {
        paired_panel: [Interval(first, 0.0), *gains],
        "rate (nats)": [interval_of(name, of["rate"]) for name, of in models.items()],
        "active units": [interval_of(name, of["active_units"]) for name, of in models.items()],
    }
    return intervals(panels, title, zero=(paired_panel,), note="bars: one standard error over test images")


def interval_of(label: str, numbers: Summary) -> Interval:
    """A row of a figure: bars of one standard error over images where there is one."""
    return Interval(label, numbers["mean"], numbers.get("se_images") or 0.0, tuple(numbers["per_seed"]))
