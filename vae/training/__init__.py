"""The training program: state, step, loop, checkpoints, and `fit`, which ties them together."""

from vae.training.fitting import Fitted as Fitted
from vae.training.fitting import fit as fit
from vae.training.state import TrainState as TrainState
from vae.training.state import initial_state as initial_state
from vae.training.step import make_train_step as make_train_step
from vae.training.stopping import patience as patience
