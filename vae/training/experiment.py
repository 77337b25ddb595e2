"""A run as a value: `Experiment` holds everything that decides its numbers, `Host` what never shows in them.

    fitted = vae.fit(vae.Experiment(data=images, model=vae.reference_to(vae.models.mlp, latent_dim=8), steps=1000))

`vae.training.planning` makes of it what training, sweeps, evaluation and benchmarks work with.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vae.data.feeds import Splits
from vae.objectives import elbo
from vae.reference import Reference
from vae.spec import Data
from vae.trained import Trained
from vae.training.loop import BatchSize
from vae.training.optimisers import Optimiser, adam
from vae.training.records import Writer
from vae.training.stopping import Stop, never
from vae.types import Key, Model, Objective, PyTree

Metric = Callable[[Trained], Any]


class Select(NamedTuple):
    """Which checkpoint is the best: the one with the highest, or the lowest, value of a validation metric."""

    metric: str
    higher_is_better: bool = True


class Experiment(NamedTuple):
    """Everything that decides the numbers of a training run, and nothing else.

    >>> images = np.zeros((256, 8, 8, 1), np.float32)
    >>> vae.Experiment(data=images, model=vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[16]), steps=100).batch_size
    128

    data:           `Splits`, a `Feed`, a `Dataset`, or arrays with a leading axis of examples; or a function of no arguments
                    that returns one of these, or a `Reference` to one, which is not called where a run is only loaded.
    model:          a `Model`; a `Reference` to a function from `Data` to one, so that a file can name it; or such a function.
    steps:          number of steps in all.
    objective:      what is minimised, or a function from the splits to it where it has to know of the data. It owns its rates:
                    validation and reports charge a latent group as it does.
    optimiser:      see `vae.training.optimisers`; Adam at the setting "learning_rate" by default.
    settings:       levels of the traced numbers ("beta", "learning_rate", ...). One that nothing reads is refused.
    schedules:      shapes by setting, see `vae.schedules`.
    seed:           decides everything random; a number or a typed key.
    batch_size:     examples per step, one number per feed where there are several.
    average_decay:  decay of a moving average of the parameters; where given, the average is what is evaluated.
    validate_every: steps between validations; None means ten in the whole run.
    metrics:        further validation metrics, name -> function(trained) -> number. Their names enter the identity of the run,
                    their code does not: a metric that computes something else under its old name is not noticed.
    select:         what "best" means: the name of a metric whose highest value it is, or a `Select`. By default the validation
                    ELBO, and the validation score where the objective's rate is no KL.
    start:          a trained model, or parameters, to start from instead of `model.init`'s.
    parents:        trained models that the data or the model were made with (a first stage), by name; they enter the identity.
    """

    data: Any
    model: Model | Reference | Callable[[Data], Model]
    steps: int
    objective: Objective | Callable[[Splits], Objective] = elbo()
    optimiser: Optimiser = adam
    settings: Mapping[str, Any] = {}
    schedules: Mapping[str, Callable] = {}
    seed: int | Key = 0
    batch_size: BatchSize = 128
    average_decay: float | None = None
    validate_every: int | None = None
    metrics: Mapping[str, Metric] = {}
    select: str | Select | None = None
    start: Trained | PyTree | None = None
    parents: Mapping[str, Trained] = {}


class Origin(NamedTuple):
    """Which script a run came from, so that a later command can build its experiment again.

    function:  "module:function", called with the config.
    config:    "module:Class" of the config.
    arguments: the config's fields as JSON.
    report:    "module:function" from the config to a `Report`, None for the default one.
    unseen:    names of arguments that never show in the numbers, so that they say nothing of what differs between two runs.
    """

    function: str
    config: str
    arguments: Mapping[str, Any]
    report: str | None = None
    unseen: Sequence[str] = ()


class Host(NamedTuple):
    """What never shows in the numbers of a run, and may be another when it is resumed.

    log_every:  steps between records.
    save_every: steps between checkpoints beside those of the validations; None for none.
    chunk:      steps per compiled program, shortened to divide the periods; None chooses.
    stop:       records -> whether to stop early, asked after each validation, and on resuming; see `vae.training.stopping`.
    writers:    further places for the records.
    figures:    name -> function(trained) -> matplotlib Figure, drawn at each validation.
    progress:   whether a progress bar is drawn.
    provenance: JSON to keep beside the run's own provenance.
    origin:     the script and its flags, for people and for later commands; None for a run of a notebook.
    """

    log_every: int = 100
    save_every: int | None = None
    chunk: int | None = None
    stop: Stop = never
    writers: Sequence[Writer] = ()
    figures: Mapping[str, Callable[[Trained], Any]] = {}
    progress: bool = True
    provenance: Mapping[str, Any] = {}
    origin: Origin | None = None
