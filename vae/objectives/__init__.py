"""What is minimised: each objective turns a model's traces into numbers, then into a loss.

The batch is the `jax.vmap` in `core.over_batch`, and nowhere else. Every term is in nats per example; the mean over the batch
is taken once, in the loss. An objective is composed from one choice on each of these axes:

    bound        lower_bound.py, importance.py: `elbo`, or a function of the log weights of several samples
    rates        vae/rates.py: what a latent group costs
    rate term    lower_bound.py, rate_terms.py: what the rates add to the loss
    regularisers regularisers.py: quantities of the whole batch, by `vae.discrepancies`; penalties.py adds them up
    monitors     monitors.py: what is only looked at
    estimator    estimators.py: how the posterior's gradient is taken
    expectation  expectation.py: one draw of every group, or a discrete group summed out

`elbo` is read in lower_bound.py, composition.py and core.py; the rest hangs off them.
"""

from vae.objectives.aggressive_training import aggressive as aggressive
from vae.objectives.aggressive_training import hold_at_zero_gradient as hold_at_zero_gradient
from vae.objectives.composition import BatchLoss as BatchLoss
from vae.objectives.composition import compose as compose
from vae.objectives.core import ExampleView as ExampleView
from vae.objectives.core import batch_mean as batch_mean
from vae.objectives.core import log_weight as log_weight
from vae.objectives.core import mean_rates as mean_rates
from vae.objectives.core import over_batch as over_batch
from vae.objectives.core import plain as plain
from vae.objectives.core import terms_of as terms_of
from vae.objectives.core import total_rate as total_rate
from vae.objectives.estimators import Estimator as Estimator
from vae.objectives.estimators import doubly_reparameterised as doubly_reparameterised
from vae.objectives.estimators import reparameterised as reparameterised
from vae.objectives.estimators import score_function as score_function
from vae.objectives.estimators import sticking_the_landing as sticking_the_landing
from vae.objectives.expectation import Expectation as Expectation
from vae.objectives.expectation import enumerated as enumerated
from vae.objectives.expectation import one_draw as one_draw
from vae.objectives.feeds import by_feed as by_feed
from vae.objectives.importance import combined_importance_weighted as combined_importance_weighted
from vae.objectives.importance import importance_weighted as importance_weighted
from vae.objectives.importance import log_mean_weight as log_mean_weight
from vae.objectives.importance import log_power_mean as log_power_mean
from vae.objectives.importance import multi_sample as multi_sample
from vae.objectives.importance import multiply_importance_weighted as multiply_importance_weighted
from vae.objectives.importance import partially_importance_weighted as partially_importance_weighted
from vae.objectives.importance import renyi as renyi
from vae.objectives.lower_bound import RateTerm as RateTerm
from vae.objectives.lower_bound import elbo as elbo
from vae.objectives.lower_bound import weighted as weighted
from vae.objectives.monitors import Monitor as Monitor
from vae.objectives.monitors import Observed as Observed
from vae.objectives.monitors import collapse as collapse
from vae.objectives.penalties import Regulariser as Regulariser
from vae.objectives.rate_terms import balanced as balanced
from vae.objectives.rate_terms import capacity as capacity
from vae.objectives.rate_terms import controlled as controlled
from vae.objectives.rate_terms import free_bits as free_bits
from vae.objectives.rate_terms import free_bits_per_dimension as free_bits_per_dimension
from vae.objectives.recognition import classification as classification
from vae.objectives.regularisers import adversarial as adversarial
from vae.objectives.regularisers import extra_rate as extra_rate
from vae.objectives.regularisers import factorising as factorising
from vae.objectives.regularisers import gate_sparsity as gate_sparsity
from vae.objectives.regularisers import maximum_mean_discrepancy as maximum_mean_discrepancy
from vae.objectives.regularisers import moment_matching as moment_matching
from vae.objectives.regularisers import perceptual as perceptual
from vae.objectives.regularisers import total_correlation as total_correlation
from vae.objectives.watch import REMEDIES as REMEDIES
from vae.objectives.watch import CollapseWatch as CollapseWatch
from vae.objectives.watch import collapse_after as collapse_after
from vae.objectives.watch import collapse_after_all as collapse_after_all
from vae.rates import KL as KL
from vae.rates import Rate as Rate
from vae.rates import Rates as Rates
from vae.rates import absolute as absolute
from vae.rates import analytic as analytic
from vae.rates import analytic_with as analytic_with
from vae.rates import chain_rule as chain_rule
from vae.rates import geometric_jensen_shannon as geometric_jensen_shannon
from vae.rates import interpolating_jensen_shannon as interpolating_jensen_shannon
from vae.rates import is_kl as is_kl
from vae.rates import log_ratio as log_ratio
from vae.rates import mixture_bound as mixture_bound
from vae.rates import no_rate as no_rate
from vae.rates import rate_name as rate_name
from vae.rates import squared as squared
