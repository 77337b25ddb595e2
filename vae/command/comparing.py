"""`comparison`: the one line at the end of a script that compares models."""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax

from vae.command.flags import name_of_module, smoked, with_size
from vae.command.line import flags_of, run
from vae.evaluation.comparison import Measured
from vae.reports.comparing import Comparison, compare, with_data
from vae.reports.writing import write_results
from vae.training.experiment import Experiment
from vae.training.fitting import data_sha256
from vae.training.identity import train_digests

SMOKE = {"steps": 40, "seeds": 2, "images": 40, "samples": 20}
"""What `--smoke` makes of the common flags."""


@dataclass(frozen=True)
class ComparisonFlags:
    """The flags of a comparison that do not depend on what is compared."""

    preset: str = "default"
    """Named starting point; the other flags change it."""
    steps: int = 3_000
    """Of training."""
    batch_size: int = 128
    """Examples per step."""
    seeds: int = 3
    """Runs of each model; a seed has the same start, order of data and noise in all of them."""
    seed: int = 0
    """Of the first key."""
    images: int = 1_000
    """Of the test set, from its start."""
    samples: int = 200
    """Importance samples of the test NLL."""
    workdir: Path | None = None
    """Where runs, numbers, table and figure are kept: the same command goes on where it was stopped. Default: a folder under
    runs/ with the script's name."""
    smoke: bool = False
    """A few steps on small data, where no other flag says otherwise: to see that everything works. No run is kept."""


class Script(NamedTuple):
    """What a script hands to `comparison`; see there."""

    variants: Callable[[Any], Mapping[str, Experiment]]
    title: str
    presets: Mapping[str, Any]
    smoke: Mapping[str, Any]
    columns: Mapping[str, tuple[str, int]] | None
    figure: Callable[[Any, Comparison, str], Any] | None
    pairs: Callable[[Any], Any] | None
    scores: Callable[[Any], Mapping[str, Callable]] | None
    steps: Callable[[Any], Mapping[str, int]] | None = None


def comparison(
    variants: Callable[[Any], Mapping[str, Experiment]],
    *,
    title: str,
    presets: Mapping[str, Any] | None = None,
    smoke: Mapping[str, Any] | None = None,
    columns: Mapping[str, tuple[str, int]] | None = None,
    figure: Callable[[Any, Comparison, str], Any] | None = None,
    pairs: Callable[[Any], Any] | None = None,
    scores: Callable[[Any], Mapping[str, Callable]] | None = None,
    steps: Callable[[Any], Mapping[str, int]] | None = None,
) -> NoReturn:
    """Run a script that compares models:  python -m my_comparison --workdir W --help

    variants: from the script's flags to experiments by name; the flags are the dataclass that its argument is annotated with,
              which adds to `ComparisonFlags`. Every variant has the steps and the batch size of the flags, see `steps`; a
              schedule that depends on them is the script's to build.
    title:    of the figure.
    presets:  flags by name, chosen by `--preset NAME`; those beside it change single ones.
    smoke:    what `--smoke` makes of the flags.
    columns:  of the table, by quantity: head and number of digits.
    figure:   (flags, comparison, title) -> figure, in the place of `Comparison.figure`.
    pairs:    from the flags to the pairs of names (a, b) whose differences a - b are of interest; see `vae.compare`.
    scores:   from the flags to the scores; see `vae.compare`.
    steps:    from the flags to the steps, by name, of the variants that have others than the flags say: at equal cost.

    Prints the table, and writes NAME.json, NAME.md and NAME.png into the work directory, where NAME is the script's. Every run
    and what was measured of it is kept there too, in VARIANT/SEED, so that the same command goes on where it was stopped; other
    flags are refused there, or measured again. A smoke run keeps none.

        if __name__ == "__main__":
            vae.command.comparison(variants, title="What the variants are worth")
    """
    config, presets = flags_of(variants, presets, ComparisonFlags)
    script = Script(variants, title, presets, {**SMOKE, **(smoke or {})}, columns, figure, pairs, scores, steps)
    run(lambda parsed: compare_and_write(script, parsed), config, presets, None, sys.modules[variants.__module__].__doc__)


def compare_and_write(script: Script, config: Any) -> int:
    """Train, measure, print, write; return the exit code."""
    name = name_of_module(script.variants)
    preset = script.presets.get(config.preset, script.presets["default"])
    config = smoked(config, preset, script.smoke) if config.smoke else config
    config = dataclasses.replace(config, workdir=config.workdir or Path("runs") / name)
    if config.seeds < 1:
        raise ValueError(f"seeds is {config.seeds}; wanted at least 1.")
    variants = with_data(sized(script, config))
    found = compare(
        variants,
        seeds=list(jax.random.split(jax.random.key(config.seed), config.seeds)),
        samples=config.samples,
        limit=config.images,
        pairs=script.pairs and script.pairs(config),
        scores=script.scores and script.scores(config),
        each=say,
        workdir=None if config.smoke else config.workdir,
    )
    draw = script.figure or (lambda config, found, title: found.figure(title))
    table, picture = found.table(script.columns), draw(config, found, script.title)
    write_results(config.workdir, name, found.numbers, table, picture, config, first_data(variants))
    return 0


def sized(script: Script, config: Any) -> dict[str, Experiment]:
    """The variants with the steps and the batch size of the flags, and those that have them with steps of their own."""
    variants = {name: with_size(variant, config) for name, variant in script.variants(config).items()}
    own = script.steps(config) if script.steps else {}
    if unknown := sorted(set(own) - set(variants)):
        raise ValueError(f"there are steps for {', '.join(unknown)}; wanted some of {', '.join(variants)}.")
    return {name: variant._replace(steps=own.get(name, variant.steps)) for name, variant in variants.items()}


def say(name: str, measured: Measured) -> None:
    """A line for a variant as soon as it is measured."""
    print(f"{name}: NLL at most {measured.nll.mean():.2f}, rate {measured.rate.mean():.2f}", flush=True)


def first_data(variants: Mapping[str, Experiment]) -> str:
    """The digest of the first variant's training data."""
    return data_sha256(train_digests(next(iter(variants.values())).data.train))
