"""How far the dimensions of a code follow known factors of variation, one by one.

Arrays in, numbers out: `codes` (N, D) are posterior means, `factors` (N, F) integers. The metrics measure different things and
none is 1 for every good code or 0 for noise; each docstring says what it gives to the factors themselves and to noise.
"""

from vae.evaluation.disentanglement.information import mig as mig
from vae.evaluation.disentanglement.information import modularity as modularity
from vae.evaluation.disentanglement.information import mutual_information as mutual_information
from vae.evaluation.disentanglement.interventions import Interventions as Interventions
from vae.evaluation.disentanglement.interventions import beta_vae_score as beta_vae_score
from vae.evaluation.disentanglement.interventions import factor_vae_score as factor_vae_score
from vae.evaluation.disentanglement.interventions import from_function as from_function
from vae.evaluation.disentanglement.interventions import from_table as from_table
from vae.evaluation.disentanglement.prediction import DCI as DCI
from vae.evaluation.disentanglement.prediction import dci as dci
from vae.evaluation.disentanglement.prediction import explicitness as explicitness
from vae.evaluation.disentanglement.prediction import gradient_boosting as gradient_boosting
from vae.evaluation.disentanglement.prediction import linear_svc_accuracy as linear_svc_accuracy
from vae.evaluation.disentanglement.prediction import random_forest as random_forest
from vae.evaluation.disentanglement.prediction import sap as sap
from vae.evaluation.disentanglement.prediction import squared_correlation as squared_correlation
from vae.evaluation.disentanglement.robustness import irs as irs
