"""Variational autoencoders in JAX, as pure functions that compose: posterior x prior x likelihood x network x objective.

The names here are the ones that a script needs; the folders hold the rest.
"""

import importlib
from typing import TYPE_CHECKING, Any

from vae import (
    data,
    discrepancies,
    distributions,
    divergences,
    evaluation,
    flows,
    likelihoods,
    models,
    networks,
    objectives,
    posteriors,
    priors,
    quantisation,
    reports,
    schedules,
    testing,
    training,
    visualise,
)
from vae.description import describe
from vae.distributions import Bernoulli, Normal, standard_normal
from vae.divergences import kl_divergence, monte_carlo_kl
from vae.models import variational_autoencoder
from vae.objectives import elbo
from vae.reference import Reference, reference_to, resolve
from vae.settings import Settings
from vae.spec import Data
from vae.trained import Trained
from vae.training import (
    Experiment,
    Fitted,
    Host,
    Select,
    Swept,
    TrainState,
    batch_at,
    fit,
    initial_state,
    make_train_step,
    stages,
    sweep,
)
from vae.training.identity import identity
from vae.training.load import load
from vae.types import Batch, Family, Latent, Model, Network, Objective, Prior, Terms, Trace

if TYPE_CHECKING:
    from vae import command, reports
    from vae.command import Flags, main
    from vae.reports.comparing import Comparison, compare
    from vae.reports.evaluation import Report

LAZY = {"command": "vae.command", "reports": "vae.reports"}
LAZY_NAMES = {
    "Comparison": "vae.reports.comparing",
    "Flags": "vae.command",
    "Report": "vae.reports.evaluation",
    "compare": "vae.reports.comparing",
    "main": "vae.command",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """What only scripts need is imported where it is used: the parser of the command line takes a fifth of a second."""
        if name in LAZY:
            return importlib.import_module(LAZY[name])
        if name in LAZY_NAMES:
            return getattr(importlib.import_module(LAZY_NAMES[name]), name)
        raise AttributeError(f"module 'vae' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return __all__


__all__ = [
    "Batch",
    "Bernoulli",
    "Comparison",
    "Data",
    "Experiment",
    "Family",
    "Fitted",
    "Flags",
    "Host",
    "Latent",
    "Model",
    "Network",
    "Normal",
    "Objective",
    "Prior",
    "Reference",
    "Report",
    "Select",
    "Settings",
    "Swept",
    "Terms",
    "Trace",
    "TrainState",
    "Trained",
    "batch_at",
    "command",
    "compare",
    "data",
    "describe",
    "discrepancies",
    "distributions",
    "divergences",
    "elbo",
    "evaluation",
    "fit",
    "flows",
    "identity",
    "initial_state",
    "kl_divergence",
    "likelihoods",
    "load",
    "main",
    "make_train_step",
    "models",
    "monte_carlo_kl",
    "networks",
    "objectives",
    "posteriors",
    "priors",
    "quantisation",
    "reference_to",
    "reports",
    "resolve",
    "schedules",
    "stages",
    "standard_normal",
    "sweep",
    "testing",
    "training",
    "variational_autoencoder",
    "visualise",
]
