"""The training loop: chunks of steps as one program, and the host's walk from one boundary to the next.

The order of the data, the noise and the binarisation are functions of (key, step), so the numbers do not depend on how the
steps are cut into chunks, nor on where a run was stopped.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from vae.data.order import batch_indices
from vae.training.feed import Feed, gather
from vae.training.state import TrainState
from vae.training.step import Metrics, TrainStep
from vae.types import Batch, PyTree

DEFAULT_CHUNK = 100
Run = Callable[[TrainState, int, int], tuple[TrainState, Metrics]]


def on_stored(train_step: TrainStep, feed: Feed, state: TrainState, stored: PyTree) -> tuple[TrainState, Metrics]:
    """One step on a stored batch: prepare it with the step's own key, then train."""
    prepare_key = jax.random.fold_in(jax.random.fold_in(state.key, 2), state.step)
    x, context = feed.prepare(prepare_key, stored)
    return train_step(state, Batch(x=x, context=context, weight=jnp.ones(jax.tree.leaves(stored)[0].shape[0])))


def chunk_rows(state: TrainState, length: int, batch_size: int, size: int) -> jax.Array:
    """The examples of the next `length` steps, (length, batch)."""
    return batch_indices(jax.random.fold_in(state.key, 1), state.step, length, batch_size, size)


def scan_steps(step: Callable, state: TrainState, per_step: PyTree, length: int) -> tuple[TrainState, Metrics]:
    """`step` over the leading axis of `per_step`; metrics stacked. One step runs without a scan: XLA compiles some operations
    (a convolution's weight gradient on a CPU) far worse inside one.
    """
    if length > 1:
        return jax.lax.scan(step, state, per_step)
    state, metrics = step(state, jax.tree.map(lambda leaf: leaf[0], per_step))
    return state, jax.tree.map(lambda leaf: leaf[None], metrics)


def make_chunk(train_step: TrainStep, feed: Feed, batch_size: int) -> Run:
    """run(state, step, length) -> state, metrics of `length` steps from `step` on; one program per length, state donated."""
    return _resident_chunk(train_step, feed, batch_size) if feed.resident else _streamed_chunk(train_step, feed, batch_size)


def _resident_chunk(train_step: TrainStep, feed: Feed, batch_size: int) -> Run:
    @partial(jax.jit, static_argnames="length", donate_argnames="state")
    def chunk(state: TrainState, arrays: PyTree, length: int):
        def step(state, rows):
            return on_stored(train_step, feed, state, gather(arrays, rows))

        return scan_steps(step, state, chunk_rows(state, length, batch_size, feed.size), length)

    return lambda state, step, length: chunk(state, feed.arrays, length=length)


def _streamed_chunk(train_step: TrainStep, feed: Feed, batch_size: int) -> Run:
    """The rows of the next chunk are gathered on the host while the device runs the present one."""

    @partial(jax.jit, static_argnames="length", donate_argnames="state")
    def chunk(state: TrainState, stored: PyTree, length: int):
        return scan_steps(partial(on_stored, train_step, feed), state, stored, length)

    pool, ahead = ThreadPoolExecutor(max_workers=1), {}

    def fetch(key, step: int, length: int):
        rows = np.asarray(batch_indices(jax.random.fold_in(key, 1), step, length, batch_size, feed.size))
        return gather(feed.arrays, rows)

    def run(state: TrainState, step: int, length: int):
        key = jax.random.clone(state.key)
        waiting = ahead.pop((step, length), None) or pool.submit(fetch, key, step, length)
        ahead.clear()
        stored = waiting.result()
        ahead[(step + length, length)] = pool.submit(fetch, key, step + length, length)
        return chunk(state, stored, length=length)

    return run


def chunk_length(wanted: int | None, periods: Sequence[int], contains_convolution: Callable[[], bool]) -> int:
    """The largest divisor of every period that is not above the wanted length.

    wanted: None asks for the default: `DEFAULT_CHUNK`, or 1 for a convolutional model on a CPU, where XLA computes the weight
            gradient of a convolution inside a scan up to forty times slower (jax-ml/jax issue 12868).
    """
    if wanted is not None and wanted < 1:
        raise ValueError(f"chunk is {wanted}; wanted at least 1 step.")
    if wanted is None:
        wanted = 1 if jax.default_backend() == "cpu" and contains_convolution() else DEFAULT_CHUNK
    common = math.gcd(*periods)
    return max(length for length in range(1, min(wanted, common) + 1) if common % length == 0)


def has_convolution(function: Callable, *args) -> bool:
    """Whether tracing `function` meets a convolution, at any depth."""
    return "conv_general_dilated" in str(jax.make_jaxpr(function)(*args))


def spans(first: int, last: int, boundaries: Sequence[int], chunk: int) -> Iterator[int]:
    """Lengths of consecutive chunks from step `first` to `last`, none of which crosses a multiple of a boundary."""
    step = first
    while step < last:
        ends = [last, step + chunk, *((step // period + 1) * period for period in boundaries)]
        yield min(ends) - step
        step = min(ends)
