"""Divergences between two distributions, in nats."""

from vae.divergences.cross_entropies import cross_entropy as cross_entropy
from vae.divergences.jensen_shannon import dual_geometric_jensen_shannon as dual_geometric_jensen_shannon
from vae.divergences.jensen_shannon import geometric_jensen_shannon as geometric_jensen_shannon
from vae.divergences.jensen_shannon import interpolating_jensen_shannon as interpolating_jensen_shannon
from vae.divergences.jensen_shannon import monte_carlo_jensen_shannon as monte_carlo_jensen_shannon
from vae.divergences.renyi import renyi_divergence as renyi_divergence
from vae.divergences.table import KL_TABLE as KL_TABLE
from vae.divergences.table import closed_forms as closed_forms
from vae.divergences.table import kl_divergence as kl_divergence
from vae.divergences.table import kl_per_factor as kl_per_factor
from vae.divergences.table import monte_carlo_kl as monte_carlo_kl
