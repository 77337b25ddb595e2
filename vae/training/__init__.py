"""The training program: an experiment as a value, state, step, loop, checkpoints, and `fit`, which ties them together."""

from vae.training.experiment import Experiment as Experiment
from vae.training.experiment import Host as Host
from vae.training.experiment import Origin as Origin
from vae.training.experiment import Select as Select
from vae.training.fitting import Fitted as Fitted
from vae.training.fitting import fit as fit
from vae.training.optimisers import adam as adam
from vae.training.planning import batch_at as batch_at
from vae.training.skipping import skip_large_gradients as skip_large_gradients
from vae.training.staging import stages as stages
from vae.training.state import TrainState as TrainState
from vae.training.state import initial_state as initial_state
from vae.training.step import make_train_step as make_train_step
from vae.training.stopping import patience as patience
from vae.training.sweeping import Swept as Swept
from vae.training.sweeping import sweep as sweep
