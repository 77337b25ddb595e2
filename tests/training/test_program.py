"""The training program: how often it is made, which rows it is given, on how many devices, and how long its chunks are."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from walks import BATCH, IMAGES, MODEL, SETTINGS, program, start, walk

import vae
from vae.data.feeds import feed
from vae.training import loop
from vae.training.step import make_train_step
from vae.types import Batch


def test_the_loss_is_traced_once_for_all_lengths():
    """A step is traced once, whoever looks at it first: identity, a chunk, or a chunk of another length."""
    traced = []

    def counting(*arguments):
        traced.append(arguments)
        return vae.elbo().loss(*arguments)

    made = program(objective=vae.elbo()._replace(loss=counting))
    made.step.trace(*map(shapes, (start(), IMAGES[:BATCH])))
    assert len(traced) == 1
    made.compile(start(), 0, 7)
    walk(made, 7)  # seventeen times 7 and a remainder of 1
    assert len(traced) == 1


def test_a_program_is_compiled_once_per_length(monkeypatch):
    compiled = []
    original = jax.stages.Lowered.compile
    monkeypatch.setattr(jax.stages.Lowered, "compile", lambda *a, **k: compiled.append(1) or original(*a, **k))
    made = program()
    made.compile(start(), 0, 7)
    assert len(compiled) == 1
    for _ in range(2):
        walk(made, 7)
        assert len(compiled) == 2


def shapes(tree):
    """A tree of shapes and types, as a step is traced with them."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def test_the_rows_follow_the_key_and_cover_the_data():
    key = jax.random.key(4)
    rows = np.asarray(loop.chunk_rows(key, 0, 18, BATCH, len(IMAGES)))
    np.testing.assert_array_equal(rows[5:9], loop.chunk_rows(key, 5, 4, BATCH, len(IMAGES)))
    assert len(np.unique(rows)) == rows.size == 288
    assert not np.array_equal(rows, loop.chunk_rows(jax.random.key(5), 0, 18, BATCH, len(IMAGES)))


def test_batches_of_a_streamed_feed_are_the_rows_of_its_arrays():
    """A step that hands its batch through shows which rows it was given."""
    arrays = {"index": np.arange(300), "twice": 2 * np.arange(300)}
    for resident in (True, False):
        handed = feed(arrays, resident=resident)

        def step(state, batch):
            return state._replace(step=state.step + 1), {"index": batch.x["index"], "twice": batch.x["twice"]}

        made = loop.make_program(step, handed, BATCH)
        state, metrics = made.run(start(), 0, 4)
        _, more = made.run(state, 4, 3)
        seen = np.concatenate([metrics["index"], more["index"]])
        np.testing.assert_array_equal(seen, loop.chunk_rows(jax.random.key(0), 0, 7, BATCH, 300))
        np.testing.assert_array_equal(np.concatenate([metrics["twice"], more["twice"]]), 2 * seen)


def test_two_devices_give_the_numbers_of_one():
    """Data parallel: the batch is cut over a mesh of two simulated devices, the state is on both."""
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
    cut, copied = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    x = jnp.asarray(IMAGES[:BATCH] > 127, jnp.float32)
    batch = Batch(x=x, context=(), weight=jnp.ones(BATCH))
    step = jax.jit(make_train_step(MODEL, vae.elbo(), optax.sgd(0.1)))
    one = both = vae.initial_state(MODEL, vae.elbo(), optax.sgd(0.1), jax.random.key(0), SETTINGS)
    both, spread = jax.device_put(both, copied), jax.device_put(batch, cut)
    for _ in range(3):
        one, alone = step(one, batch)
        both, parallel = step(both, spread)
    assert len(spread.x.sharding.device_set) == 2
    assert len(jax.tree.leaves(both.params)[0].sharding.device_set) == 2
    chex.assert_trees_all_close(both.params, one.params, rtol=1e-6, atol=1e-6)
    chex.assert_trees_all_close(parallel, alone, rtol=1e-6, atol=1e-6)


# Lengths


@given(
    first=st.integers(0, 50),
    more=st.integers(0, 200),
    periods=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    chunk=st.integers(1, 60),
)
def test_spans_reach_the_end_and_stop_at_every_boundary(first, more, periods, chunk):
    lengths = list(loop.spans(first, first + more, periods, chunk))
    assert sum(lengths) == more
    assert all(1 <= length <= chunk for length in lengths)
    ends = set((first + np.cumsum(lengths, dtype=int)).tolist())
    assert ends >= {step for step in range(first + 1, first + more + 1) if any(step % p == 0 for p in periods)}


@given(wanted=st.integers(1, 200), periods=st.lists(st.integers(1, 300), min_size=1, max_size=3))
def test_the_chunk_divides_every_period(wanted, periods):
    length = loop.chunk_length(wanted, periods, lambda: False)
    assert 1 <= length <= wanted
    assert all(period % length == 0 for period in periods)
    assert not any(all(p % longer == 0 for p in periods) for longer in range(length + 1, wanted + 1))


def test_the_default_chunk_is_one_for_a_convolution_on_a_cpu():
    assert loop.chunk_length(None, (1000, 500), lambda: False) == loop.DEFAULT_CHUNK
    assert loop.chunk_length(None, (1000, 500), lambda: True) == (1 if jax.default_backend() == "cpu" else 100)
    with pytest.raises(ValueError, match="chunk is 0; wanted at least 1"):
        loop.chunk_length(0, (10,), lambda: False)


def test_a_convolution_is_found_at_any_depth():
    def convolve(x):
        return jax.lax.conv(x, jnp.ones((1, 1, 2, 2)), (1, 1), "SAME")

    x = jax.ShapeDtypeStruct((1, 1, 4, 4), jnp.float32)
    assert loop.has_convolution(jax.jit(lambda x: jax.lax.scan(lambda c, _: (convolve(c), ()), x, None, 3)[0]), x)
    assert not loop.has_convolution(jax.jit(lambda x: x @ x), x)
