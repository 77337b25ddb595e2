"""The training loop: chunks of steps as one program, and the host's walk from one boundary to the next.

The order of the data, the noise and the binarisation are functions of (key, step), so the numbers do not depend on how the
steps are cut into chunks, nor on where a run was stopped.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from vae.data.feeds import Feed, batch_like, each_feed, gather, prepared
from vae.data.order import batch_indices
from vae.training.state import TrainState
from vae.training.step import PREPARE, Batches, Metrics, TrainStep
from vae.types import Key, PyTree

DEFAULT_CHUNK = 100

Feeds = Feed | Mapping[str, Feed]
BatchSize = int | Mapping[str, int]


class Program(NamedTuple):
    """Chunks of training steps.

    run(state, step, length) -> state, metrics    `length` steps from `step` on; one compiled program per length, state donated
    compile(state, step, length)                  compile for a length now, so that the time is not counted to the first chunk
    step(state, stored) -> state, metrics         one step of one run, jitted: traced once, whoever looks at it first
    """

    run: Callable[[TrainState, int, int], tuple[TrainState, Metrics]]
    compile: Callable[[TrainState, int, int], None]
    step: Any


class _Source(NamedTuple):
    """Where the rows of a chunk come from.

    argument(state, step, length) -> what the chunk is called with, on the host
    per_step(state, argument, length) -> what is scanned over, with a leading axis of steps
    stored(argument, scanned) -> the stored batch of one step
    """

    argument: Callable
    per_step: Callable
    stored: Callable


def on_stored(train_step: TrainStep, feed: Feeds, state: TrainState, stored: PyTree) -> tuple[TrainState, Metrics]:
    """One step on a stored batch: prepare it with the step's own key, then train."""
    return train_step(state, prepared_at(feed, state.key, state.step, stored))


def prepared_at(feed: Feeds, key: Key, step: Any, stored: PyTree) -> Batches:
    """The stored batch of a step as the model sees it, of the run with this key."""
    with jax.named_scope(PREPARE):
        prepare_key = jax.random.fold_in(jax.random.fold_in(key, 2), step)
        return each_feed(prepared, feed, keys_of_feeds(prepare_key, feed), stored)


def keys_of_feeds(key: Key, feed: Feeds) -> Any:
    """A key for each of several feeds, by their sorted names; the key itself where there is one feed."""
    if not isinstance(feed, Mapping):
        return key
    return {name: jax.random.fold_in(key, i) for i, name in enumerate(sorted(feed))}


def chunk_rows(key: Key, step, length: int, batch_size: int, size: int) -> jax.Array:
    """The examples of `length` steps from `step` on, (length, batch), of the run with this key."""
    return batch_indices(jax.random.fold_in(key, 1), step, length, batch_size, size)


def rows_of_feeds(feed: Feeds, key: Key, step, length: int, batch_size: BatchSize) -> PyTree:
    """`chunk_rows` of every feed."""
    keys = keys_of_feeds(key, feed)
    return each_feed(lambda one, own, rows: chunk_rows(own, step, length, rows, one.size), feed, keys, batch_size)


def scan_steps(step: Callable, state: TrainState, per_step: PyTree, length: int) -> tuple[TrainState, Metrics]:
    """`step` over the leading axis of `per_step`; metrics stacked. One step runs without a scan: XLA compiles some operations
    (a convolution's weight gradient on a CPU) far worse inside one.
    """
    if length > 1:
        return jax.lax.scan(step, state, per_step)
    state, metrics = step(state, jax.tree.map(lambda leaf: leaf[0], per_step))
    return state, jax.tree.map(lambda leaf: leaf[None], metrics)


def one_run(chunk: Callable) -> Callable:
    """A chunk of one run, as it is: the default of `make_program`."""
    return chunk


def make_program(train_step: TrainStep, feed: Feeds, batch_size: BatchSize, lift: Callable = one_run) -> Program:
    """The training program of a feed, or of several with a batch size each.

    Rows are gathered on the device where the data are resident, else on the host.

    lift: what is made of (state, data) -> (state, metrics) before it is compiled; a sweep maps it over many states.
    """
    resident = all(one.resident for one in (feed.values() if isinstance(feed, Mapping) else (feed,)))
    source = (_resident if resident else _streamed)(feed, batch_size)

    one_step = jax.jit(partial(on_stored, train_step, feed), inline=True)

    @partial(jax.jit, static_argnames="length", donate_argnames="state")
    def chunk(state: TrainState, argument: PyTree, length: int):
        def of_one(state, argument):
            def step(state, scanned):
                return one_step(state, source.stored(argument, scanned))

            return scan_steps(step, state, source.per_step(state, argument, length), length)

        return lift(of_one)(state, argument)

    compiled: dict[int, Any] = {}

    def compile_for(state: TrainState, step: int, length: int) -> None:
        if length not in compiled:
            compiled[length] = chunk.lower(state, source.argument(state, step, length), length=length).compile()

    def run(state: TrainState, step: int, length: int):
        compile_for(state, step, length)
        return compiled[length](state, source.argument(state, step, length))

    return Program(run=run, compile=compile_for, step=one_step)


def _resident(feed: Feeds, batch_size: BatchSize) -> _Source:
    """All arrays are on the device; the scan is over the rows, so that a chunk holds one batch at a time."""
    return _Source(
        argument=lambda state, step, length: each_feed(lambda one: one.arrays, feed),
        per_step=lambda state, arrays, length: rows_of_feeds(feed, state.key, state.step, length, batch_size),
        stored=lambda arrays, rows: each_feed(lambda one, own, of_one: gather(own, of_one), feed, arrays, rows),
    )


def _streamed(feed: Feeds, batch_size: BatchSize) -> _Source:
    """The rows of the next chunk are gathered on the host while the device runs the present one."""
    pool = ThreadPoolExecutor(max_workers=1)
    ahead: dict[tuple[int, int], Future] = {}

    def fetch(key, step: int, length: int):
        rows = rows_of_feeds(feed, key, step, length, batch_size)
        return each_feed(lambda one, of_one: gather(one.arrays, np.asarray(of_one)), feed, rows)

    def argument(state: TrainState, step: int, length: int):
        key = jax.random.clone(state.key)
        if (step, length) not in ahead:
            ahead.clear()
            ahead[step, length] = pool.submit(fetch, key, step, length)
        rows = ahead[step, length].result()
        ahead[step + length, length] = pool.submit(fetch, key, step + length, length)
        return rows

    return _Source(argument=argument, per_step=lambda state, rows, length: rows, stored=lambda rows, scanned: scanned)


def chunk_length(wanted: int | None, periods: Sequence[int], contains_convolution: Callable[[], bool]) -> int:
    """The largest divisor of every period that is not above the wanted length.

    wanted: None asks for the default: `DEFAULT_CHUNK`, or 1 for a convolutional model on a CPU, where XLA computes the weight
            gradient of a convolution inside a scan far slower (jax-ml/jax issue 12868).
    """
    if wanted is not None and wanted < 1:
        raise ValueError(f"chunk is {wanted}; wanted at least 1 step.")
    if wanted is None:
        wanted = 1 if jax.default_backend() == "cpu" and contains_convolution() else DEFAULT_CHUNK
    common = math.gcd(*periods)
    return max(length for length in range(1, min(wanted, common) + 1) if common % length == 0)


def stored_example(feed: Feeds, batch_size: BatchSize) -> PyTree:
    """Shapes and types of a stored batch."""
    return each_feed(lambda one, rows: batch_like(one.arrays, rows), feed, batch_size)


def has_convolution(step: Any, *args) -> bool:
    """Whether a jitted step, traced with these arguments, holds a convolution at any depth."""
    return "conv_general_dilated" in str(step.trace(*args).jaxpr)


def spans(first: int, last: int, boundaries: Sequence[int], chunk: int) -> Iterator[int]:
    """Lengths of consecutive chunks from step `first` to `last`, none of which crosses a multiple of a boundary."""
    step = first
    while step < last:
        ends = [last, step + chunk, *((step // period + 1) * period for period in boundaries)]
        yield min(ends) - step
        step = min(ends)
