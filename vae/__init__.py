"""Variational autoencoders in JAX, as pure functions that compose: posterior x prior x likelihood x network x objective.

The names here are the ones that a script needs; the folders hold the rest.
"""

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
    reports,
    schedules,
    testing,
    visualise,
)
from vae.describe import describe
from vae.distributions import Bernoulli, Normal, standard_normal
from vae.divergences import kl_divergence, monte_carlo_kl
from vae.models import variational_autoencoder
from vae.objectives import elbo
from vae.reference import Reference, reference_to, resolve
from vae.training.fit import Fitted, fit
from vae.training.load import Loaded, load
from vae.training.state import TrainState, initial_state
from vae.training.step import make_train_step
from vae.training.sweep import sweep
from vae.types import Batch, Data, Family, Latent, Model, Network, Objective, Prior, Settings, Terms, Trace, Trained

__all__ = [
    "Batch",
    "Bernoulli",
    "Data",
    "Family",
    "Fitted",
    "Latent",
    "Loaded",
    "Model",
    "Network",
    "Normal",
    "Objective",
    "Prior",
    "Reference",
    "Settings",
    "Terms",
    "Trace",
    "TrainState",
    "Trained",
    "data",
    "describe",
    "discrepancies",
    "distributions",
    "divergences",
    "elbo",
    "evaluation",
    "fit",
    "flows",
    "initial_state",
    "kl_divergence",
    "likelihoods",
    "load",
    "make_train_step",
    "models",
    "monte_carlo_kl",
    "networks",
    "objectives",
    "posteriors",
    "priors",
    "reference_to",
    "reports",
    "resolve",
    "schedules",
    "standard_normal",
    "sweep",
    "testing",
    "variational_autoencoder",
    "visualise",
]
