"""`fit`: train an experiment, keep what is needed to go on, and report on the way."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vae.rates import KNOWN, Rates
from vae.reference import Reference
from vae.trained import Trained
from vae.training.checking import checked_host
from vae.training.experiment import Experiment, Host
from vae.training.identity import combined, feed_digest, flags, identity_of, numbers_of, versions
from vae.training.journal import open_journal
from vae.training.planning import Plan, planned
from vae.training.reading import require_read
from vae.training.records import Record
from vae.training.run import Run, train
from vae.training.shapes import spec_to_json
from vae.training.state import TrainState, usable_params
from vae.training.validation import validator
from vae.types import Model, PyTree


class Fitted(NamedTuple):
    """What `fit` returns.

    trained: the model with the parameters of the last step taken, what `vae.evaluation` and `vae.reports` take.
    state:   the train state after that step.
    records: every record of the run, those of before an interruption included.
    signal:  the signal that interrupted it; None for a run that came to its end.
    """

    trained: Trained
    state: TrainState
    records: list[Record]
    signal: int | None

    @property
    def model(self) -> Model:
        """The model, built where a reference to it was given."""
        return self.trained.model

    @property
    def params(self) -> PyTree:
        """The parameters to use: the moving average where one is kept."""
        return usable_params(self.state)

    def __repr__(self) -> str:
        how = "finished" if self.signal is None else f"stopped by signal {self.signal}"
        lines = [f"Fitted({how} at step {int(self.state.step):,}, {len(self.records)} records)", f"  {self.trained!r}"]
        return "\n".join([*lines, *(f"  {split}: {numbers}" for split, numbers in self._last().items())])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{split}</th><td>{numbers}</td></tr>" for split, numbers in self._last().items())
        return f"<p>{repr(self).splitlines()[0]}<br>{self.trained!r}</p><table>{rows}</table>"

    def _last(self) -> dict[str, str]:
        """The newest numbers of each split, in words."""
        newest = {record["split"]: record for record in self.records}
        return {split: headline_numbers(record) for split, record in newest.items()}


def headline_numbers(record: Record) -> str:
    """The single numbers of a record, in words."""
    single = {name: value for name, value in record.items() if isinstance(value, float) and "/" not in name}
    return ", ".join(f"{name} {value:,.6g}" for name, value in single.items())


def fit(experiment: Experiment, workdir: str | Path | None = None, host: Host | None = None, resume: str = "same") -> Fitted:
    """Train an experiment, or go on with the run that `workdir` holds.

    experiment: everything that decides the numbers.
    workdir:    where checkpoints and records go; None keeps nothing. One that holds this run is resumed, bit for bit.
    host:       how it is run and watched, which never shows in the numbers.
    resume:     "same" refuses a directory that holds another run, in a sentence that says what differs; "anyway" goes on.

    >>> images = np.random.default_rng(0).random((256, 8, 8, 1)).astype(np.float32)
    >>> model = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[16], likelihood="normal")
    >>> vae.fit(vae.Experiment(data=images, model=model, steps=20), host=vae.Host(progress=False)).state.step.item()
    20

    Raises RunError for a work directory that cannot be used, DivergedError when many steps in a row had no finite gradient,
    ValueError for numbers out of range and for settings that nothing reads.
    """
    host = checked_host(host)
    plan = planned(experiment)
    validate = validator(plan.objective, plan.splits.validation, plan.claim)
    require_read(plan)
    config = None if workdir is None else config_of(plan, host)
    provenance = None if config is None else {"data_sha256": data_sha256(config["digests"]), **host.provenance}
    with open_journal(workdir, config, provenance, host.writers, resume) as journal:
        state, pending = journal.restore(plan.start, plan.experiment.settings)
        state, signal = train(Run(plan, host, validate), journal, state, pending)
        return Fitted(plan.trained(state), state, journal.records, signal)


def config_of(plan: Plan, host: Host) -> dict[str, Any]:
    """What is written of a run in `config.json`: its script for people, its numbers, and the digests of what it computes.

    The digest of the test data stands apart from those: other test data do not make another run.
    """
    data, model = plan.experiment.data, plan.experiment.model
    return {
        "origin": None if host.origin is None else host.origin._asdict(),
        "model": model._asdict() if isinstance(model, Reference) else None,
        "source": data._asdict() if isinstance(data, Reference) else None,
        "rates": names_of_rates(plan.objective.rates),
        "run": numbers_of(plan),
        "data": spec_to_json(plan.spec),
        "precision": flags(),
        "digests": identity_of(plan),
        "test_sha256": None if plan.splits.test is None else feed_digest(plan.splits.test),
        "versions": versions(),
    }


def names_of_rates(rates: Rates) -> list[str] | None:
    """How an evaluation can find the objective's rates again, where they are the library's own; None where they are not."""
    given = tuple(rates) if isinstance(rates, Sequence) else (rates,)
    return [KNOWN[rate] for rate in given] if all(rate in KNOWN for rate in given) else None


def data_sha256(digests: Mapping[str, str]) -> str:
    """The digest of the training data; of all feeds together where there are several."""
    found = [digest for name, digest in digests.items() if name.partition("/")[0] == "train"]
    return found[0] if len(found) == 1 else combined(*found)
