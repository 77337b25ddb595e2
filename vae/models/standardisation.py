"""Data in their own units outside, standardised inside: the constants are part of what a model carries."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae.distributions import Affine, Distribution
from vae.settings import Settings
from vae.spec import Data
from vae.types import Key, Model, Params, PyTree, Trace


def standardised(model: Model, data: Data) -> Model:
    """The model of x = shift + scale u, of a model of u: it sees u, and says p(x) in the units of x.

        u = (x - shift) / scale,    log p(x | z) = log p(u | z) - sum_i ln scale_i

    model: of data with mean 0 and standard deviation 1, such as `standardised_data(data)` describes.
    data:  whose mean and scale are the shift and the scale; see `shift_and_scale`.

    Both are in the state, {"model": that of the model, "shift", "scale"}, and nothing changes them: a checkpoint holds them, no
    gradient reaches them, and a model that is built again without its data has them after loading.

    Raises ValueError for data without a scale.
    """
    if data.scale is None:
        raise ValueError("standardised got data without a scale; wanted Data(..., mean=, scale=), as vae.data makes it.")

    def init(key: Key) -> tuple[Params, PyTree]:
        params, state = model.init(key)
        shift, scale = shift_and_scale(data)
        return params, {"model": state, "shift": shift, "scale": scale}

    def infer(params: Params, state: PyTree, x: PyTree, context: PyTree, settings: Settings) -> Callable[..., Trace]:
        seen = (x - state["shift"]) / state["scale"]
        draw = model.infer(params, state["model"], seen, context, settings)

        def in_units(key: Key, values: tuple = ()) -> Trace:
            trace = draw(key, values)
            return trace._replace(likelihood=moved(state, trace.likelihood))

        return in_units

    def prior(params: Params, state: PyTree, key: Key, context: PyTree = (), values: tuple = (), temperature=1.0) -> tuple:
        return model.prior(params, state["model"], key, context, values, temperature)

    def decode(params: Params, state: PyTree, values: tuple, context: PyTree = ()) -> Affine:
        return moved(state, model.decode(params, state["model"], values, context))

    def update(state: PyTree, statistics: PyTree, key: Key) -> PyTree:
        return {**state, "model": model.update(state["model"], statistics, key)}

    return Model(init=init, infer=infer, prior=prior, decode=decode, update=update)


def moved(state: PyTree, likelihood: Distribution) -> Affine:
    """A likelihood of u as one of x."""
    return Affine(base=likelihood, shift=state["shift"], scale=state["scale"])


def shift_and_scale(data: Data) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """What is taken from each entry of x, and by what it is divided: 0 and 1 in columns of a table that are no real numbers.

    The shift is 0 too where the mean is not known, as in a model that is built again and takes both from its checkpoint.
    """
    real = np.array([column.space == "real" for column in data.columns]) if data.columns else np.ones(data.shape, bool)
    mean = jnp.zeros(data.shape) if data.mean is None else jnp.asarray(data.mean, jnp.float32)
    return jnp.where(real, mean, 0.0), jnp.where(real, jnp.asarray(data.scale, jnp.float32), 1.0)


def standardised_data(data: Data) -> Data:
    """What a model inside `standardised` is built for: its mean is where the entries that are not moved have theirs."""
    if data.scale is None or data.mean is None:
        return data._replace(scale=None)
    shift, scale = shift_and_scale(data)
    return data._replace(mean=(jnp.asarray(data.mean, jnp.float32) - shift) / scale, scale=None)
