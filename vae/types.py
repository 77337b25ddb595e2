"""The records that cross module boundaries, with no logic but what makes them pytrees.

A model returns distributions; only an objective returns a number to minimise. Every function in these records sees ONE
example; the batch is the `jax.vmap` in `vae.objectives.over_batch`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Float
from jaxtyping import PyTree as PyTree

from vae.distributions.base import Distribution
from vae.rates import Rates, analytic
from vae.settings import Settings

Key = Array
Params = dict[str, PyTree]


PRIOR_ENCODER = "prior_encoder"
"""The entry of params that holds the posterior's parameters as a prior made of the encoder (VampPrior) reads them, where an
estimator has stopped those of the posterior itself: of a prior, they are parameters like any other."""


class Batch(NamedTuple):
    """Examples with a leading batch axis.

    x:       pytree of data.
    context: pytree of what is conditioned on, () when nothing is.
    weight:  (batch,) weight of each example in every mean; zero for padding, so that partial batches stay exact, value and
             gradient, whatever the padding holds. What a model reduces over the batch by itself (batch normalisation, the
             counts of a codebook) knows no weights: there padding counts as copies of the first example of positive weight.
    values:  observed values of latent groups (a label), in ancestral order, None for a group that is not observed; () for none.
    """

    x: PyTree
    context: PyTree
    weight: Float[Array, "batch"]
    values: tuple = ()


class Latent(NamedTuple):
    """One group of latent variables of one example.

    posterior: q(z | x, parents in q).
    prior:     p(z | parents in p). Where those parents were sampled after this group, so that a closed-form divergence would
               be wrong, the model wraps it in `distributions.AtSample`, which has a density and no row in the KL table.
    value:     the sampled z, or the value that was given.
    log_q:     log q(value) in nats, shape (); None for a posterior without a density.
    """

    posterior: Distribution
    prior: Distribution
    value: PyTree
    log_q: Float[Array, ""] | None


class Trace(NamedTuple):
    """What one pass through the model says of one example.

    likelihood: p(x | z), a distribution in the data space of x.
    latents:    the groups, ancestors first.
    penalty:    what is not a probability (a commitment term), shape (), in nats.
    statistics: what the model's carried state needs from this example (codes, moments).
    """

    likelihood: Distribution
    latents: tuple[Latent, ...]
    penalty: Float[Array, ""] | float = 0.0
    statistics: PyTree = ()


@runtime_checkable
class Init(Protocol):
    """key -> params of one's own; {} for none."""

    def __call__(self, key: Key, /) -> PyTree: ...


@runtime_checkable
class InitWithState(Protocol):
    """key -> params, state; the state is carried from step to step and not differentiated."""

    def __call__(self, key: Key, /) -> tuple[Params, PyTree]: ...


@runtime_checkable
class Draw(Protocol):
    """key -> Trace of one example: samples the groups, or keeps and scores the values given (None: sample it)."""

    def __call__(self, key: Key, values: tuple = ()) -> Trace: ...


@runtime_checkable
class Infer(Protocol):
    """One example -> draw; the encoder runs once, however often is drawn."""

    def __call__(self, params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings, /) -> Draw: ...


@runtime_checkable
class AncestralSample(Protocol):
    """key -> values of every group from the model's prior; the groups given are kept."""

    def __call__(
        self, params: Params, state: PyTree, key: Key, context: PyTree, /, values: tuple = (), temperature: Any = 1.0
    ) -> tuple: ...


@runtime_checkable
class Decode(Protocol):
    """Values of every group -> p(x | z)."""

    def __call__(self, params: Params, state: PyTree, values: tuple, context: PyTree, /) -> Distribution: ...


@runtime_checkable
class Update(Protocol):
    """The carried state after a batch: of a model from its statistics, of an objective from its aux."""

    def __call__(self, state: PyTree, found: Any, key: Key, /) -> PyTree: ...


class Model(NamedTuple):
    """A latent-variable model as pure functions of one example.

    init(key) -> params, state                  params = {"posterior": ..., "generative": ...}; state is not differentiated
    infer(params, state, x, context, settings) -> draw       the encoder runs once
        draw(key, values=()) -> Trace           samples the groups, or keeps and scores the values given (None: sample it)
    prior(params, state, key, context, values=(), temperature=1.0) -> values       ancestral sampling; keeps the groups given
    decode(params, state, values, context) -> likelihood
    update(state, statistics, key) -> state     after the vmap: `statistics` has a leading batch axis
    """

    init: InitWithState
    infer: Infer
    prior: AncestralSample
    decode: Decode
    update: Update


class Terms(NamedTuple):
    """The numbers of one example, all in nats.

    log_likelihood: log p(x | z), summed over the event; shape ().
    rates:          per latent group, what that group costs; unsummed where it factorises, so that a dimension can be looked at.
    penalty:        the model's own penalty, shape ().
    """

    log_likelihood: Float[Array, ""]
    rates: tuple[Array, ...]
    penalty: Float[Array, ""]


class Carried(NamedTuple):
    """What is carried from step to step and not differentiated: the model's state and the objective's."""

    model: PyTree
    objective: PyTree


class Summand(NamedTuple):
    """One term of a loss, in words, for `vae.describe`.

    text:      the term as a formula, its sign left out ("KL(q(z|x) || p(z))").
    weight:    name of the setting that multiplies it; "" where nothing does.
    level:     that weight where the setting is not given.
    reduction: over what it is summed and averaged.
    unit:      nats, but for squared or absolute values.
    sign:      "+" or "-".
    numbers:   further settings that the text names, with their values where they are not given.
    """

    text: str
    weight: str = ""
    level: float = 1.0
    reduction: str = "mean over the batch"
    unit: str = "nats per example"
    sign: str = "+"
    numbers: tuple[tuple[str, float], ...] = ()


@runtime_checkable
class Loss(Protocol):
    """A batch, or one per feed -> a scalar or one per player, and what is only worth logging."""

    def __call__(
        self, params: Params, carried: Carried, key: Key, batch: Any, settings: Settings, model: Model, /
    ) -> tuple[PyTree, tuple[Any, dict[str, Any]]]: ...


class Objective(NamedTuple):
    """What is minimised, as pure functions of a batch.

    init(key) -> params, state                  the objective's own parameters (a discriminator; {} for most) and carried state
    loss(params, carried, key, batch, settings, model) -> losses, (terms, aux)
        losses: a scalar that every player descends, or a dict with one scalar per player ("posterior", "generative",
                "objective"). A player's parameters receive the gradient of their own entry only.
        terms:  Terms with a leading batch axis, for the log.
        aux:    {"statistics": the model's batched statistics, "metrics": {name: scalar}, ...whatever `update` needs}
    update(state, aux, key) -> state            the objective's carried state (a controller's integral)
    summands                                    the terms of the loss in words, for `vae.describe`; () says nothing
    rates                                       what a latent group costs here, one function or one per group: those that the
                                                terms hold, and by which a validation or a report goes
    """

    init: InitWithState
    loss: Loss
    update: Update
    summands: tuple[Summand, ...] = ()
    rates: Rates = analytic


@runtime_checkable
class BuildFamily(Protocol):
    """build(outputs) -> distribution; where the family has parameters of its own, build(outputs, params)."""

    def __call__(self, *arguments: Any, **named: Any) -> Distribution: ...


class Family(NamedTuple):
    """How a network's output becomes a distribution.

    outputs: the shape the network must produce.
    build:   maps an array of that shape to a distribution; where there is an `init`, build(array, params).
    init:    key -> params that all examples share (those of a flow), None where the network's output is all there is.
    """

    outputs: tuple[int, ...]
    build: BuildFamily
    init: Init | None = None


@runtime_checkable
class BuildPrior(Protocol):
    """Its parameters, the context and the encoder x -> q(z | x) -> p(z | context)."""

    def __call__(self, params: PyTree, context: PyTree, encode: Callable[[PyTree], Distribution], /) -> Distribution: ...


class Prior(NamedTuple):
    """How p(z | context) is made from its own parameters.

    init(key) -> params                         {} for a fixed prior
    build(params, context, encode) -> distribution
        encode(x) -> posterior distribution     for a prior made of encoded pseudo-inputs (VampPrior)
    """

    init: Init
    build: BuildPrior


@runtime_checkable
class InitNetwork(Protocol):
    """key and example inputs (arrays or ShapeDtypeStructs) of one example -> params, state."""

    def __call__(self, key: Key, /, *inputs: PyTree) -> tuple[PyTree, PyTree]: ...


@runtime_checkable
class ApplyNetwork(Protocol):
    """One example's inputs -> output, state; `key` is for a stochastic network."""

    def __call__(
        self, params: PyTree, state: PyTree, /, *inputs: PyTree, training: bool = False, key: Key | None = None
    ) -> tuple[PyTree, PyTree]: ...


class Network(NamedTuple):
    """A neural network as two pure functions of one example.

    init(key, *inputs) -> params, state         from example inputs (arrays or ShapeDtypeStructs), one example each
    apply(params, state, *inputs, training=False, key=None) -> output, state
        under `training` the returned state is what this batch would make it (batch normalisation reduces over the axis named
        "batch"); otherwise it is the state given.
    stochastic                                  whether `apply` draws random numbers under training and wants a key (dropout)
    """

    init: InitNetwork
    apply: ApplyNetwork
    stochastic: bool = False
