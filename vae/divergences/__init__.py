"""Divergences between two distributions, in nats."""

from vae.divergences.table import KL_TABLE as KL_TABLE
from vae.divergences.table import kl_divergence as kl_divergence
from vae.divergences.table import kl_per_factor as kl_per_factor
from vae.divergences.table import monte_carlo_kl as monte_carlo_kl
