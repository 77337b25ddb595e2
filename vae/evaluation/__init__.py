"""What a trained model is worth: evidence bounds, where they lose, and the state of its latent variables.

What most users call has its name here. The rest lies in the modules, by subject: `aggregate`, `anomaly`, `anomaly_scores`,
`circular`, `clustering`, `disentanglement`, `features`, `generate`, `probes`, `report`, `sample_quality`, `sparsity`. Those
that need scikit-learn import it on the first call.
"""

from vae.evaluation import aggregate as aggregate
from vae.evaluation import anomaly as anomaly
from vae.evaluation import anomaly_scores as anomaly_scores
from vae.evaluation import circular as circular
from vae.evaluation import clustering as clustering
from vae.evaluation import disentanglement as disentanglement
from vae.evaluation import features as features
from vae.evaluation import generate as generate
from vae.evaluation import probes as probes
from vae.evaluation import report as report
from vae.evaluation import sample_quality as sample_quality
from vae.evaluation import sparsity as sparsity
from vae.evaluation.aggregate import codebook_perplexity as codebook_perplexity
from vae.evaluation.aggregate import fit_mixture as fit_mixture
from vae.evaluation.annealing import AnnealedEvidence as AnnealedEvidence
from vae.evaluation.annealing import Annealing as Annealing
from vae.evaluation.annealing import BidirectionalBounds as BidirectionalBounds
from vae.evaluation.annealing import annealed_evidence as annealed_evidence
from vae.evaluation.annealing import bidirectional_bounds as bidirectional_bounds
from vae.evaluation.annealing import simulate as simulate
from vae.evaluation.annealing_paths import from_posterior as from_posterior
from vae.evaluation.annealing_paths import from_prior as from_prior
from vae.evaluation.codes import CodeUsage as CodeUsage
from vae.evaluation.codes import code_usage as code_usage
from vae.evaluation.evidence import Evidence as Evidence
from vae.evaluation.evidence import elbo_terms as elbo_terms
from vae.evaluation.evidence import importance_sampled_evidence as importance_sampled_evidence
from vae.evaluation.examples import Examples as Examples
from vae.evaluation.gaps import fitted_bounds as fitted_bounds
from vae.evaluation.gaps import gap_summary as gap_summary
from vae.evaluation.gaps import inference_gaps as inference_gaps
from vae.evaluation.generate import impute as impute
from vae.evaluation.labels import accuracy as accuracy
from vae.evaluation.labels import most_probable as most_probable
from vae.evaluation.latents import active_units as active_units
from vae.evaluation.latents import encode as encode
from vae.evaluation.latents import of_means as of_means
from vae.evaluation.pareto import pareto_k as pareto_k
