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
from vae.types import Batch, Data, Family, Latent, Model, Network, Objective, Prior, Settings, Terms, Trace, Trained

__all__ = [
    "Batch",
    "Bernoulli",
    "Data",
    "Experiment",
    "Family",
    "Fitted",
    "Host",
    "Latent",
    "Model",
    "Network",
    "Normal",
    "Objective",
    "Prior",
    "Reference",
    "Select",
    "Settings",
    "Swept",
    "Terms",
    "Trace",
    "TrainState",
    "Trained",
    "batch_at",
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
    "make_train_step",
    "models",
    "monte_carlo_kl",
    "networks",
    "objectives",
    "posteriors",
    "priors",
    "reference_to",
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
