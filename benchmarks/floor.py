"""The limits that a step is measured against, in the same run: its own matrix products alone, and the machine's rates.

XLA takes what does not change out of a loop and deletes what nobody reads, so a floor that multiplies constants measures
nothing. Here the weights are carried from step to step and updated by their gradients, and one number of every other product is
written back into the next step's input behind an optimisation barrier.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from benchmarks.presets import Layer
from benchmarks.timing import seconds_of

RATE = 1e-9
REPEATS = 5
MANY_ROWS = 1000


def touch(x: Float[Array, "rows columns"], *products: Array) -> Float[Array, "rows columns"]:
    """x with one entry set from the products: so all of each is computed, before x changes, and x is new in the next step."""
    first = sum(jax.lax.optimization_barrier(product)[0, 0] for product in products)
    return x.at[0, 0].set(jnp.clip(first, -1.0, 1.0))


def multiply(layer: Layer, weights: Float[Array, "inputs outputs"], x: Float[Array, "rows inputs"]) -> tuple[Array, Array]:
    """The products of one layer, y for its own cotangent: y = x W; dW = x' y; dx = y W'; W <- W - rate dW.

    dW = (y' x)' where x is wider than y and there are many rows, which XLA's CPU code multiplies several times as fast.
    """
    y = x @ weights
    if layer.products == 1:
        return weights, touch(x, y)
    narrower_first = layer.inputs <= layer.outputs or layer.rows < MANY_ROWS
    gradient = x.T @ y if narrower_first else jax.lax.optimization_barrier(y.T @ x).T
    updated = weights - RATE * gradient
    return updated, touch(x, y @ weights.T, updated) if layer.products == 3 else x


Carry = list[tuple[Array, Array]]


def floor_step(layers: Sequence[Layer], carry: Carry) -> Carry:
    """The matrix products of one step and an SGD update of every weight, nothing else."""
    return [multiply(layer, weights, x) for layer, (weights, x) in zip(layers, carry, strict=True)]


def floor_carry(layers: Sequence[Layer]) -> Carry:
    """Weights and inputs to start from."""
    keys = jax.random.split(jax.random.key(0), 2 * len(layers)).reshape(len(layers), 2)
    scale = [layer.inputs**-0.5 for layer in layers]
    return [
        (s * jax.random.normal(k[0], (layer.inputs, layer.outputs)), jax.random.normal(k[1], (layer.rows, layer.inputs)))
        for layer, k, s in zip(layers, keys, scale, strict=True)
    ]


@partial(jax.jit, static_argnames=("layers", "length"), donate_argnames="carry")
def floor_chunk(carry: Carry, layers: tuple[Layer, ...], length: int) -> Carry:
    """`length` steps of the floor as one program."""
    return jax.lax.scan(lambda c, _: (floor_step(layers, c), None), carry, None, length=length)[0]


def floor(layers: tuple[Layer, ...], chunk: int, repeats: int = 1) -> Callable[[int], None]:
    """run(steps) for the floor, in chunks of that many steps, the layers multiplied so often in each."""
    carry = [floor_carry(layers)]

    def run(steps: int) -> None:
        for _ in range(max(steps // chunk, 1)):
            carry[0] = floor_chunk(carry[0], layers, chunk * repeats)
        jax.block_until_ready(carry[0])

    return run


def square() -> Layer:
    """One large square product, which reaches the device's peak."""
    side = 1024 if jax.default_backend() == "cpu" else 8192
    return Layer(side, side, side, products=1)


def bandwidth() -> float:
    """Bytes per second of y <- y + 1 on an array that fits no cache, read and written: the fastest of a few times."""
    megabytes = 256 if jax.default_backend() == "cpu" else 2048
    held = [jnp.ones(megabytes * 2**18)]
    add = jax.jit(lambda y: y + 1.0, donate_argnums=0)

    def stream(steps: int) -> None:
        for _ in range(steps):
            held[0] = jax.block_until_ready(add(held[0]))

    stream(1)
    return 2 * held[0].nbytes / min(seconds_of(stream, 1) for _ in range(REPEATS))
