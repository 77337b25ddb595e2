"""What a trained model is worth: evidence bounds and the state of its latent variables."""

from vae.evaluation.evidence import Evidence as Evidence
from vae.evaluation.evidence import elbo_terms as elbo_terms
from vae.evaluation.evidence import importance_sampled_evidence as importance_sampled_evidence
from vae.evaluation.latents import active_units as active_units
from vae.evaluation.latents import encode as encode
