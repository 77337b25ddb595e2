"""`compare`: experiments trained from equal starts, measured alike, and their differences in pairs.

What is said of the runs, and how errors are told apart, is `vae.evaluation.comparison`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from vae.data.feeds import Feed, Splits
from vae.data.view import TEST_LIMIT
from vae.evaluation.comparison import (
    COLUMNS,
    Measured,
    compared,
    figure_of_models,
    pairs_with_first,
    require_measurable,
    table_of_models,
)
from vae.evaluation.examples import Examples
from vae.rates import Rates, is_kl
from vae.reports.durable import kept_measurements
from vae.reports.evaluation import evaluated_feed, examples_of
from vae.reports.measuring import Ruler, Runs, Score, measured_by, variant_named
from vae.trained import Trained
from vae.training.experiment import Experiment, Host
from vae.training.identity import feed_digest
from vae.training.planning import objective_of, planned, splits_of
from vae.training.reading import require_read
from vae.training.sweeping import require_resident, seeds_of, sweep
from vae.types import Key

Pairs = Iterable[tuple[str, str]]

MEASURED = ("nll", "elbo", "rate", "distortion", "active_units", "nll_se_mc")
"""Names that no score may have."""


class Comparison(NamedTuple):
    """What `compare` returns.

    measured: by variant, the numbers of every run and test example.
    numbers:  what they say, as JSON: "models" by name and "differences" by pair, each number with `se_images`, the standard
              error over examples of the mean over seeds, and `sd_seeds`, the standard deviation over seeds.
    first:    by variant, the trained run of the first seed: for pictures.
    """

    measured: dict[str, Measured]
    numbers: dict[str, Any]
    first: Mapping[str, Trained] = {}

    def table(self, columns: Mapping[str, tuple[str, int]] | None = None) -> str:
        """A Markdown table, a row for each variant and each difference: mean ± `se_images` ± `sd_seeds`.

        columns: by quantity, the head of its column and the number of digits; by default the bounds and every score.
        """
        scores = next(iter(self.measured.values())).scores
        further = {name: (name.replace("_", " "), 3) for name in scores if name not in MEASURED}
        return table_of_models(self.numbers, {**COLUMNS, **further} if columns is None else columns)

    def figure(self, title: str = "Models beside each other") -> Any:
        """How far each variant's NLL is from the first one's, its rate and its active units; a matplotlib figure."""
        return figure_of_models(compared(self.measured, pairs_with_first(self.measured)), title)

    def __repr__(self) -> str:
        seeds, examples = next(iter(self.measured.values())).nll.shape
        return f"Comparison({len(self.measured)} variants, {seeds} seeds, {examples:,} test examples)\n{self.table()}"

    def _repr_markdown_(self) -> str:
        return self.table()


def compare(
    variants: Mapping[str, Experiment],
    *,
    seeds: int | Sequence[int | Key] = 3,
    samples: int = 200,
    limit: int = 1_000,
    pairs: Pairs | None = None,
    scores: Mapping[str, Score] | None = None,
    rates: Rates | None = None,
    host: Host | None = None,
    each: Callable[[str, Measured], Any] | None = None,
    workdir: str | Path | None = None,
) -> Comparison:
    """Train every variant with every seed, and measure the last parameters of all on the same test examples and noise.

    A seed has the same start, order of data and noise in every variant. Variants that differ in nothing but the values of their
    settings are one compiled program; any others are one each. Nothing is validated on the way.

    seeds:   how many, counted from the first variant's; or which ones.
    samples: importance samples per example.
    limit:   test examples, of those of the first variant's data from their start, for everything but the scores.
    pairs:   (a, b) for each difference a - b; by default every later variant with the first.
    scores:  name -> function(trained, examples) -> a number of a run, or a mapping of some, then called name_key. They see all
             test examples, 10,000 at most.
    rates:   what a latent group costs, for all variants alike; by default what the first variant's objective charges.
    host:    as for `vae.sweep`.
    each:    called with every variant's name and numbers as soon as they are there.
    workdir: where every run and what was measured of it is kept as it finishes, in a folder of the variant and the seed; None
             keeps nothing. The same call goes on where it was stopped, also in the middle of a run, and does nothing where all
             is finished. Each run is then trained by itself, the first seed of all variants first: the numbers are those of a
             call without it, to rounding. What else is measured, more `samples` say, is measured again, with a warning that
             says what changed. A score is known by its name; one that computes something else under its old name is not
             noticed.

    >>> variants = {"VAE": experiment, "beta-VAE": experiment._replace(settings={"beta": 4.0})}
    >>> list(vae.compare(variants, seeds=1, samples=5, host=vae.Host(progress=False)).numbers["differences"])
    ['beta-VAE minus VAE']

    Raises, before anything is trained, ValueError for no variants, for pairs of others, for numbers out of range and for a
    folder that holds another run; and what would be raised of a variant once it is trained or measured, with its name.
    """
    require_usable(variants, scores or {}, samples=samples, limit=limit)
    pairs = pairs_with_first(variants) if pairs is None else pairs_of(variants, pairs)
    variants = with_data(variants)
    first = next(iter(variants.values()))
    whole = examples_of(first.data, TEST_LIMIT if scores else limit)
    examples = first_rows(whole, limit)
    seeds, rates = seeds_of(first, seeds), rates_of_first(first) if rates is None else rates
    require_comparable(variants, examples, samples, rates)
    ruler = Ruler(examples, whole, samples, rates, scores or {})
    found: dict[str, Measured] = {}
    first_runs: dict[str, Callable[[], Trained]] = {}
    measured = measured_at_once(variants, seeds, ruler, host)
    for name, run, numbers in measured if workdir is None else kept_measurements(variants, seeds, ruler, host, workdir):
        first_runs[name], found[name] = run, numbers
        if each is not None:
            each(name, numbers)
    found = {name: found[name] for name in variants}
    return Comparison(found, compared(found, pairs), Runs(first_runs))


def with_data(variants: Mapping[str, Experiment]) -> dict[str, Experiment]:
    """The variants with their data read, once where several share them, and without a validation split to spend time on."""
    read: list[tuple[Any, Any]] = []
    found = {}
    for name, variant in variants.items():
        known = [splits for data, splits in read if same(data, variant.data)]
        splits = known[0] if known else splits_of(variant.data)._replace(validation=None)
        read += [] if known else [(variant.data, splits)]
        found[name] = variant._replace(data=splits)
    return found


def programs(variants: Mapping[str, Experiment]) -> list[list[str]]:
    """The names of the variants, those together that one compiled program trains."""
    groups: list[list[str]] = []
    for name, variant in variants.items():
        fitting = [group for group in groups if one_program(variants[group[0]], variant)]
        if fitting:
            fitting[0].append(name)
        else:
            groups.append([name])
    return groups


def one_program(a: Experiment, b: Experiment) -> bool:
    """Whether two experiments differ in nothing but the values of their settings; their seeds are not asked for."""
    if not a.settings or set(a.settings) != set(b.settings):
        return False
    return same(a._replace(settings={}, seed=0), b._replace(settings={}, seed=0))


def same(a: Any, b: Any) -> bool:
    """Whether two values are the same object or equal; arrays only as the same object."""
    try:
        return a is b or bool(a == b)
    except (ValueError, TypeError):
        return False


def measured_at_once(
    variants: Mapping[str, Experiment], seeds: Sequence[int | Key], ruler: Ruler, host: Host | None
) -> Iterator[tuple[str, Callable[[], Trained], Measured]]:
    """(name, () -> run of the first seed, measurements) of every variant, those of one program together; nothing is kept."""
    for names in programs(variants):
        for name, runs in trained(variants, names, seeds, host).items():
            yield name, partial(runs.__getitem__, 0), measured_by(ruler, runs)


def trained(
    variants: Mapping[str, Experiment], names: Sequence[str], seeds: Sequence[int | Key], host: Host | None
) -> dict[str, list[Trained]]:
    """The trained runs of the variants of one program, by name, one for each seed."""
    first = variants[names[0]]
    levels = {setting: [float(variants[name].settings[setting]) for name in names] for setting in first.settings}
    swept = sweep(first, seeds, zip=levels if len(names) > 1 else None, host=host)
    runs = [swept.trained(i) for i in range(len(swept.members))]
    return {name: runs[i * len(seeds) : (i + 1) * len(seeds)] for i, name in enumerate(names)}


def first_rows(examples: Examples, limit: int) -> Examples:
    """The first test examples."""
    x, context, labels = jax.tree.map(lambda leaf: leaf[:limit], (examples.x, examples.context, examples.labels))
    return examples._replace(x=x, context=context, labels=labels)


def pairs_of(variants: Mapping[str, Experiment], pairs: Pairs) -> list[tuple[str, str]]:
    """The pairs; ValueError for those of other names than the variants'."""
    pairs = list(pairs)
    if unknown := sorted({name for pair in pairs for name in pair} - set(variants)):
        raise ValueError(f"the pairs name {', '.join(unknown)}; wanted some of {', '.join(variants)}.")
    return pairs


def rates_of_first(first: Experiment) -> Rates:
    """The rates of an experiment's objective; TypeError where they are no KL, of which no bound could be said."""
    rates = objective_of(first.objective, first.data).rates
    if not is_kl(rates):
        raise TypeError(
            "the objective of the first variant charges no KL, so that nothing is said of a bound; give compare the rates for "
            "all variants, such as rates=vae.objectives.analytic."
        )
    return rates


def require_comparable(variants: Mapping[str, Experiment], examples: Examples, samples: int, rates: Rates) -> None:
    """Refuse, before anything is trained, a variant that could not be trained or measured; the error begins with its name."""
    tested = evaluated_feed(next(iter(variants.values())).data)
    for names in programs(variants):
        for name in names:
            with variant_named(name):
                plan = planned(variants[name])
                require_resident(plan.splits.train)
                if name == names[0]:  # the others have the same programs
                    require_read(plan)
                    trained = jax.eval_shape(plan.trained, jax.eval_shape(plan.start))
                    require_measurable(trained, examples, samples=samples, rates=rates)
                require_same_test(plan.splits, tested)


def require_same_test(splits: Splits, tested: Feed) -> None:
    """Refuse a variant with test data of its own: those of the first may be among what it trains on, or in other units."""
    own = evaluated_feed(splits) if splits.test is not None else tested
    if own is not tested and feed_digest(own) != feed_digest(tested):
        raise ValueError(
            "its test data are others than those of the first variant, on which all are measured; give all the same."
        )


def require_usable(variants: Mapping[str, Experiment], scores: Mapping[str, Score], **counts: int) -> None:
    """Refuse, before anything is trained, what cannot be compared."""
    if not variants:
        raise ValueError("compare got no variants; wanted a mapping from names to experiments.")
    if taken := sorted(set(scores) & set(MEASURED)):
        raise ValueError(f"the scores are called {', '.join(taken)}, as what is measured anyway; give them other names.")
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; wanted at least 1.")
