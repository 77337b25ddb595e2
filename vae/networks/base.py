"""The bridge from a Flax Linen module to `Network`, and what every network does with its inputs."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.errors import InvalidRngError, ScopeParamShapeError
from jaxtyping import Array, Float

from vae.types import Key, Network, PyTree

Activation = Callable[[Array], Array]
Initialiser = Callable[..., Array]


def from_flax(module: nn.Module, stochastic: bool = False) -> Network:
    """The pure functions of a Linen module that works on ONE example.

        init(key, *inputs) -> params, state
        apply(params, state, *inputs, training=False, key=None) -> output, state

    The state is every other collection of the module's variables ({} for most; "batch_stats" with batch normalisation). Under
    training it is returned as the module updated it. A module whose `__call__` has a parameter `training` is told. `init` reads
    nothing but the shapes and types of its inputs, so that arrays and ShapeDtypeStructs will do; it is compiled, once per set
    of shapes.

    stochastic: whether the module draws random numbers under training, from the stream "dropout": the key given to `apply`.

    Raises ValueError in `apply` where the module draws and was given no key, and for inputs that the parameters do not fit.
    """
    told = "training" in inspect.signature(type(module).__call__).parameters

    @functools.partial(jax.jit, static_argnames=("leaves", "structure"))
    def variables(key, leaves, structure):
        zeros = [jnp.zeros(leaf.shape, leaf.dtype) for leaf in leaves]
        return module.init(key, *jax.tree.unflatten(structure, zeros))

    def init(key: Key, *inputs: PyTree) -> tuple[PyTree, PyTree]:
        leaves, structure = jax.tree.flatten(jax.eval_shape(lambda *arrays: arrays, *inputs))
        return _split(variables(key, tuple(leaves), structure))

    def apply(
        params: PyTree, state: PyTree, *inputs: PyTree, training: bool = False, key: Key | None = None
    ) -> tuple[PyTree, PyTree]:
        options: dict[str, Any] = {"training": training} if told else {}
        options |= {} if key is None else {"rngs": {"dropout": key}}
        options |= {"mutable": list(state)} if training and state else {}
        try:
            found = module.apply({"params": params, **state}, *inputs, **options)
        except InvalidRngError:
            raise ValueError(
                f"the network {type(module).__name__} draws random numbers and got no key; declare it by "
                "from_flax(module, stochastic=True), use it as a decoder and let it draw under `training` only."
            ) from None
        except ScopeParamShapeError as error:
            shapes = ", ".join(str(jnp.shape(leaf)) for leaf in jax.tree.leaves(inputs))
            said = str(error).partition(" (http")[0].rstrip(".")
            raise ValueError(
                f"the network {type(module).__name__} got inputs of shapes {shapes}, for which it was not made ({said}); "
                "build the model for the data that it sees, x and context."
            ) from None
        return (found[0], dict(found[1])) if "mutable" in options else (found, state)

    return Network(init=init, apply=apply, stochastic=stochastic)


def from_function(function: Callable[..., PyTree]) -> Network:
    """A function of one example's inputs as a network without parameters.

    >>> network = from_function(lambda x, context: 2.0 * x)
    >>> network.apply({}, {}, jnp.ones(2), ())[0].tolist()
    [2.0, 2.0]
    """

    def apply(
        params: PyTree, state: PyTree, *inputs: PyTree, training: bool = False, key: Key | None = None
    ) -> tuple[PyTree, PyTree]:
        return function(*inputs), state

    return Network(init=lambda key, *inputs: ({}, {}), apply=apply)


def _split(variables: Any) -> tuple[PyTree, PyTree]:
    """The parameters, and the other collections."""
    return variables.get("params", {}), {name: value for name, value in variables.items() if name != "params"}


def as_float(leaf: Any) -> Float[Array, "*shape"]:
    """A float32 array; uint8, which is how pixels are stored, becomes a number in [0, 1]."""
    array = jnp.asarray(leaf)
    return array.astype(jnp.float32) / 255.0 if array.dtype == jnp.uint8 else array.astype(jnp.float32)


def flatten(inputs: PyTree) -> Float[Array, "features"]:
    """Every leaf of a pytree as one vector, in the order of its leaves."""
    leaves = [as_float(leaf).reshape(-1) for leaf in jax.tree.leaves(inputs)]
    if not leaves:
        raise ValueError("a network got no input, wanted at least one array in x or in context: pass an array of zeros.")
    return jnp.concatenate(leaves)


def output_bias_initialiser(name: str, output_bias: Any, outputs: tuple[int, ...]) -> Initialiser:
    """A Flax initialiser that returns the given bias, broadcast to `outputs`; zeros for None."""
    if output_bias is None:
        return nn.initializers.zeros_init()
    if jnp.shape(output_bias) not in ((), outputs):
        got = jnp.shape(output_bias)
        raise ValueError(f"{name} got an output bias of shape {got}, wanted a scalar or the shape of the outputs {outputs}.")

    def init(key, shape, dtype=jnp.float32):
        del key
        return jnp.broadcast_to(jnp.asarray(output_bias, dtype), outputs).reshape(shape)

    return init


def checked_sizes(name: str, what: str, sizes: Sequence[int], at_least: int = 0) -> tuple[int, ...]:
    """Layer widths or an output shape as a tuple of positive integers, at least so many of them."""
    listed = tuple(sizes)
    if len(listed) < at_least or any(not isinstance(n, int) or n < 1 for n in listed):
        raise ValueError(f"{name} got {what} {listed}, wanted {at_least} or more positive integers.")
    return listed
