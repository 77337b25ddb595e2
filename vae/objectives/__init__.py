"""What is minimised: each objective turns a model's traces into numbers, then into a loss.

The batch is the `jax.vmap` in `core.over_batch`, and nowhere else. Every term is in nats per example; the mean over the batch
is taken once, in the loss.
"""

from vae.objectives.bound import elbo as elbo
from vae.objectives.core import Rate as Rate
from vae.objectives.core import analytic as analytic
from vae.objectives.core import batch_mean as batch_mean
from vae.objectives.core import log_ratio as log_ratio
from vae.objectives.core import log_weight as log_weight
from vae.objectives.core import no_rate as no_rate
from vae.objectives.core import over_batch as over_batch
from vae.objectives.core import plain as plain
from vae.objectives.core import terms_of as terms_of
from vae.objectives.core import total_rate as total_rate
from vae.objectives.estimators import doubly_reparameterised as doubly_reparameterised
from vae.objectives.estimators import reparameterised as reparameterised
from vae.objectives.estimators import sticking_the_landing as sticking_the_landing
from vae.objectives.importance import importance_weighted as importance_weighted
