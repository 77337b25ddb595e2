"""From an experiment to what training, sweeps, evaluation and benchmarks work with: its data read, its parts built."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae import objectives
from vae.claims import Claim
from vae.data.arrays import spec_of_array
from vae.data.dataset import Dataset
from vae.data.feeds import Feed, Splits, each_feed, example_like, feed, gather
from vae.data.values import find_space, union
from vae.data.view import image_splits
from vae.reference import Reference, resolve
from vae.settings import Settings
from vae.spaces import DataSpace
from vae.spec import Data
from vae.trained import Trained
from vae.training.checking import KIND_OF_KEY, checked, seed_of
from vae.training.claimed import claims_of
from vae.training.composed import require_seen_classes
from vae.training.experiment import Experiment, Select
from vae.training.loop import Feeds, Program, make_program, prepared_at, rows_of_feeds, stored_example
from vae.training.optimisers import at_settings
from vae.training.records import Record
from vae.training.state import TrainState, initial_state, usable_params, with_model_state, with_params
from vae.training.step import Batches, Claims, make_train_step, settings_at
from vae.types import Key, Model, Objective, PyTree


class Plan(NamedTuple):
    """An experiment with its data read and its parts built.

    experiment:     what was planned, its numbers as Python's own.
    splits:         its data.
    spec:           what the model was built for.
    model:          the model.
    objective:      what is minimised.
    key:            the run's key.
    start:          () -> the state before the first step.
    program:        the training program; `program.step` is one step of one run.
    validate_every: steps between validations.
    select:         what "best" means.
    claims:         what the numbers of training may be called, one per feed where there are several.
    claim:          what those of the validation may be called; of the training where there is none.
    """

    experiment: Experiment
    splits: Splits
    spec: Data
    model: Model
    objective: Objective
    key: Key
    start: Callable[[], TrainState]
    program: Program
    validate_every: int
    select: Select
    claims: Claims
    claim: Claim

    def traced_with(self) -> tuple[PyTree, PyTree]:
        """Shapes of a state and of a stored batch: what a step is traced with."""
        return jax.eval_shape(self.start), stored_example(self.splits.train, self.experiment.batch_size)

    def trained(self, state: TrainState) -> Trained:
        """What a state is worth: its usable parameters, with the settings of its step."""
        settings = settings_at(state.settings, self.experiment.schedules, state.step)
        return Trained(self.model, usable_params(state), state.model_state, Settings(settings), self.spec)


def planned(experiment: Experiment, lift: Callable | None = None) -> Plan:
    """Read the data and build the parts of an experiment; nothing is compiled, nothing written.

    lift: see `make_program`.
    Raises ValueError for numbers out of range, TypeError for what is no data, model or optimiser.
    """
    splits = splits_of(experiment.data)
    require_alike(splits)
    require_seen_classes(splits)
    experiment = checked(experiment, splits.train)
    spec = spec_of(splits.train)
    model = model_of(experiment.model, spec)
    objective = objective_of(experiment.objective, splits)
    claims, claim = claims_of(splits, model, objective, experiment.settings)
    train_step = make_train_step(model, objective, experiment.optimiser, experiment.schedules, experiment.average_decay, claims)
    options = {} if lift is None else {"lift": lift}
    key = key_of(experiment.seed)
    return Plan(
        experiment=experiment,
        splits=splits,
        spec=spec,
        model=model,
        objective=objective,
        key=key,
        start=partial(start_of, experiment, model, objective, key),
        program=make_program(train_step, splits.train, experiment.batch_size, **options),
        validate_every=experiment.validate_every or max(1, experiment.steps // 10),
        select=selection(experiment, claim),
        claims=claims,
        claim=claim,
    )


def start_of(
    experiment: Experiment, model: Model, objective: Objective, key: Key, settings: Mapping[str, Any] | None = None
) -> TrainState:
    """The state before the first step, a function of the key and the settings; see `initial_state`."""
    levels = experiment.settings if settings is None else settings
    average = experiment.average_decay is not None
    state = initial_state(model, objective, experiment.optimiser, key, levels, average=average)
    return state if experiment.start is None else started(state, experiment)


def started(state: TrainState, experiment: Experiment) -> TrainState:
    """A first state with the parameters that the experiment starts from, and what their model carried; the optimiser's anew.

    Without those of the objective (a discriminator), it keeps its own.
    """
    given = experiment.start
    params: Any = given.params if isinstance(given, Trained) else given
    own = {player: values for player, values in state.params.items() if player == "objective"}
    state = with_params(state, {**own, **params})
    optimiser = at_settings(experiment.optimiser, Settings(state.settings, training=True))
    state = state._replace(optimiser_state=optimiser.init(state.params))
    return state if not isinstance(given, Trained) else with_model_state(state, given.model_state)


def batch_at(experiment: Experiment, step: int) -> Batches:
    """The batch of a step exactly as the model sees it, binarised and rendered: the same in every process.

    step: counted from 0.

    >>> vae.batch_at(experiment._replace(batch_size=16), 3).x.shape
    (16, 8, 8, 1)
    """
    if step < 0 or step != int(step):
        raise ValueError(f"the step is {step}; wanted a whole number from 0 on.")
    splits = splits_of(experiment.data)
    experiment, key = checked(experiment, splits.train), key_of(experiment.seed)
    rows = rows_of_feeds(splits.train, key, jnp.asarray(step), 1, experiment.batch_size)
    stored = each_feed(
        lambda one, of_one: jax.tree.map(jnp.asarray, gather(one.arrays, np.asarray(of_one[0]))), splits.train, rows
    )
    return jax.jit(partial(prepared_at, splits.train))(key, jnp.asarray(step), stored)


def splits_of(data: Any) -> Splits:
    """The splits of whatever an experiment was given as its data, each of them a feed."""
    data = resolve(data) if isinstance(data, Reference) else data() if callable(data) else data
    if isinstance(data, str):
        raise TypeError(f"the data are the text {data!r}; wanted arrays, a feed or splits: vae.data.image_splits({data!r}).")
    if isinstance(data, Dataset):
        data = image_splits(data)
    if not isinstance(data, Splits):
        data = Splits(train=data)
    data = Splits(*map(as_array, data))
    train = data.train
    several = isinstance(train, Mapping) and bool(train) and all(isinstance(one, Feed) for one in train.values())
    if several:
        return Splits(dict(train), *(as_feed(part) for part in data[1:]))
    space = space_in_common(data)
    spec = None if space is None else spec_of_array(train, space)
    return Splits(*(as_feed(part, spec) for part in data))


def as_feed(data: Any, spec: Data | None = None) -> Any:
    """A feed, or arrays as one; None stays None.

    spec: of arrays; where it is not given, what is found in them.
    """
    return data if data is None or isinstance(data, Feed) else feed(data, spec=spec)


def as_array(data: Any) -> Any:
    """Lists of numbers as an array, anything else as it is; ValueError for rows of different lengths."""
    if not isinstance(data, list):
        return data
    try:
        return np.asarray(data)
    except ValueError as error:  # NumPy's word for a ragged list
        raise ValueError("the data are a list of rows of different lengths; wanted rows alike: pad them.") from error


def space_in_common(splits: Splits) -> DataSpace | None:
    """The space that holds the values of all splits which are one array, None where any is no such array."""
    parts = [part for part in splits if part is not None]
    plain = all(isinstance(part, np.ndarray | jax.Array) and part.ndim and part.dtype.kind in "biuf" for part in parts)
    return union(map(find_space, parts)) if plain else None


def require_alike(splits: Splits) -> None:
    """Refuse validation and test data whose x or context has other shapes than in every training feed.

    Raises ValueError naming both.
    """
    train = splits.train.values() if isinstance(splits.train, Mapping) else (splits.train,)
    wanted = [in_words(each) for each in train]
    for name, split in (("validation", splits.validation), ("test", splits.test)):
        if split is not None and in_words(split) not in wanted:
            raise ValueError(
                f"an example of the {name} data has {in_words(split)}, one of the training data {' or '.join(wanted)}; "
                "give both the same shapes, and a context to both or to neither."
            )


def in_words(feed: Feed) -> str:
    """The shapes of x and of the context of one example."""
    x, context = jax.tree.map(lambda leaf: tuple(leaf.shape), example_like(feed.arrays, feed.prepare))
    return f"x of shape {x} and {f'a context of shape {context}' if jax.tree.leaves(feed.spec.context) else 'no context'}"


def spec_of(train: Feeds) -> Data:
    """What a model is built for: the spec of the feed, or of the first of several by name."""
    return train[min(train)].spec if isinstance(train, Mapping) else train.spec


def model_of(model: Model | Reference | Callable[[Data], Model], spec: Data) -> Model:
    """The model of an experiment, built where it is not one yet."""
    if isinstance(model, Model):
        return model
    built = resolve(model, spec) if isinstance(model, Reference) else model(spec) if callable(model) else model
    if not isinstance(built, Model):
        raise TypeError(
            f"the model is a {type(built).__name__}; wanted a vae.Model, a function from vae.Data to one, or vae.reference_to."
        )
    return built


def objective_of(objective: Objective | Callable[[Splits], Objective], splits: Splits) -> Objective:
    """The objective of an experiment, built where it is not one yet."""
    if any(objective is known for known in vars(objectives).values()):
        name = getattr(objective, "__qualname__", repr(objective))
        raise TypeError(f"the objective is the function {name} itself; wanted what it returns: write {name}(...).")
    built = objective if isinstance(objective, Objective) or not callable(objective) else objective(splits)
    if not isinstance(built, Objective):
        raise TypeError(
            f"the objective is a {type(built).__name__}; wanted a vae.Objective, such as vae.elbo(), or a function to one."
        )
    return built


def key_of(seed: int | Key) -> Key:
    """A typed key, or that of a seed."""
    given = seed_of(seed)
    return jax.random.key(given, impl=KIND_OF_KEY) if isinstance(given, int) else given


def selection(experiment: Experiment, claim: Claim) -> Select:
    """What "best" means; ValueError for a metric that no validation has."""
    given = experiment.select
    select = given if isinstance(given, Select) else Select(given or claim.total)
    known = (claim.total, "log_likelihood", claim.rate, *experiment.metrics)
    if select.metric not in known:
        raise ValueError(f"the best is to be selected by {select.metric!r}; wanted one of {', '.join(known)}.")
    return select


def user_metrics(experiment: Experiment, trained: Trained) -> Record:
    """The experiment's own metrics of a trained model; TypeError names one that is no number."""
    found: Record = {}
    for name, metric in experiment.metrics.items():
        value = metric(trained)
        if value is None or np.ndim(value):
            raise TypeError(f"the metric {name} gave {value!r}; wanted one number.")
        found[name] = float(value)
    return found


def score_of(record: Record, select: Select) -> float | None:
    """The higher the better: the selected metric of a validation, None where it has none."""
    value = record.get(select.metric)
    return None if value is None else float(value) if select.higher_is_better else -float(value)
