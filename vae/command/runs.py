"""What a later command learns of a run from its files: its model, experiment and report, and whether its data are the same."""

from pathlib import Path

import jax
import jax.numpy as jnp

from vae.data.feeds import Splits, each_feed
from vae.data.view import image_splits
from vae.objectives import elbo
from vae.rates import KNOWN, Rates
from vae.reference import Reference, locate, resolve
from vae.reports.evaluation import Report
from vae.training import workdir as files
from vae.training.checkpoint import Checkpoints
from vae.training.experiment import Experiment, Origin
from vae.training.identity import feed_digest
from vae.training.load import Loaded, Which, load_run
from vae.training.origin import config_of, experiment_of
from vae.types import PyTree

VIEWS = {"binary": "dynamic", "unit_interval": "none", "real": "none", "uint8": "uint8"}
"""How images are shown to a model of data of a space; gray ones were called real up to the first runs of format 2."""


def loaded_run(workdir: Path, which: Which | None = None, experiment: Experiment | None = None) -> Loaded:
    """A run with the checkpoint asked for; without a word the best one, or the latest where nothing was validated."""
    files.read_config(workdir)
    if which is None:
        with Checkpoints(workdir / files.CHECKPOINTS, read_only=True) as checkpoints:
            which = "latest" if checkpoints.best_step() is None else "best"
    return load_run(workdir, which, experiment)


def experiment_of_run(loaded: Loaded, data: str | None = None) -> Experiment:
    """The experiment of a run: what its script makes of its flags, or what its files name.

    data: name of an image data set, for a run whose files name none.
    """
    origin, source = loaded.config["origin"], loaded.config.get("source") or {}
    if data is None and origin is not None:
        return experiment_of(Origin(**origin))
    if data is None and not source:
        raise files.RunError(
            f"the run in {loaded.workdir} does not say what it was trained on; give --data NAME, or call vae.evaluation on "
            "your data (an experiment with data=vae.reference_to(function, ...) says so)."
        )
    spec = loaded.spec
    if data is not None and spec.space not in VIEWS:
        raise files.RunError(
            f"the run in {loaded.workdir} has data of the space {spec.space}; call vae.evaluation on your data."
        )
    if data is not None:
        made = image_splits(data, VIEWS[spec.space], conditional=conditioning_of(spec.context))
    else:
        made = resolve(Reference(**source))
    return Experiment(data=made, model=loaded.trained.model, steps=loaded.step, objective=elbo(rates_of_run(loaded)))


def conditioning_of(context: PyTree) -> bool | str:
    """How `image_splits` makes a context of this kind from labels."""
    leaves = jax.tree.leaves(context)
    return "integer" if leaves and jnp.issubdtype(leaves[0].dtype, jnp.integer) else bool(leaves)


def rates_of_run(loaded: Loaded) -> Rates:
    """How the objective of a run charges its latent groups, by name; in closed form where the files do not say."""
    by_name = {name: rate for rate, name in KNOWN.items()}
    rates = tuple(by_name[name] for name in loaded.config.get("rates") or ["analytic"])
    return rates if len(rates) > 1 else rates[0]


def report_of_run(loaded: Loaded) -> Report:
    """The report that the run's script asks for; the plain one of any other."""
    origin = loaded.config["origin"]
    if origin is None or origin.get("report") is None:
        return Report()
    return locate(origin["report"])(config_of(Origin(**origin)))


def require_same_data(loaded: Loaded, splits: Splits) -> None:
    """Refuse data that are no longer those the run was trained on."""
    digests = loaded.config["digests"]
    if digests is None:
        return
    now = each_feed(feed_digest, splits.train)
    now = {f"train/{name}": digest for name, digest in now.items()} if isinstance(now, dict) else {"train": now}
    if any(digests.get(name) != digest for name, digest in now.items()):
        raise files.RunError(f"the training data have changed since the run in {loaded.workdir} was trained; restore them.")
