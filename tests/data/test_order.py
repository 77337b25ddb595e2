import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae.data.order import batch_indices, permute

KEY = jax.random.key(7)
P_MIN = 1e-4  # every chi-square below fails by chance once in 10,000 changes of the keys; the keys are fixed


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 17, 1000, 60_000, 65_537])
def test_every_position_is_visited_once(size):
    order = np.asarray(permute(KEY, jnp.arange(size), size))
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(size))


@pytest.mark.parametrize("size", [2**31 - 1, 2**31 - 2, 46341**2 - 2**17])
def test_sizes_near_the_end_of_int32(size):
    """The excess over `size` is what cycle walking has to leave, so the ends of the range are asked for."""
    count = 2**15
    ends = np.concatenate([np.arange(count), size - 1 - np.arange(count)]).astype(np.int32)
    order = np.asarray(permute(KEY, ends, size)).astype(np.int64)
    assert order.min() >= 0
    assert order.max() < size
    assert len(np.unique(order)) == 2 * count
    assert stats.chisquare(np.bincount(order * 64 // size, minlength=64)).pvalue > P_MIN


def permutations_of(size, keys):
    many = jax.vmap(lambda key: permute(key, jnp.arange(size), size))
    return np.asarray(jax.jit(many)(jax.random.split(jax.random.key(11), keys)))


@pytest.mark.parametrize("size", [3, 4])
def test_small_permutations_are_equally_likely(size):
    every = {p: i for i, p in enumerate(itertools.permutations(range(size)))}
    found = [every[tuple(row)] for row in permutations_of(size, 6000).tolist()]
    assert stats.chisquare(np.bincount(found, minlength=len(every))).pvalue > P_MIN


def test_every_position_goes_everywhere_equally_often():
    size, keys = 37, 8000
    orders = permutations_of(size, keys)
    worst = min(stats.chisquare(np.bincount(column, minlength=size)).pvalue for column in orders.T)
    assert worst > P_MIN / size


def test_pairs_of_positions_land_independently():
    """Two neighbours land on every ordered pair of different places equally often."""
    size, keys = 13, 12000
    orders = permutations_of(size, keys)
    pairs = np.bincount(orders[:, 3] * size + orders[:, 4], minlength=size * size).reshape(size, size)
    assert np.trace(pairs) == 0
    assert stats.chisquare(pairs[~np.eye(size, dtype=bool)]).pvalue > P_MIN


@pytest.mark.parametrize("lag", [1, 2, 245, 246])
def test_serial_correlation_vanishes(lag):
    """Within 4 standard errors, also at the radix of the network (245 for 60,000)."""
    order = np.asarray(permute(KEY, jnp.arange(60_000), 60_000)).astype(float)
    correlation = np.corrcoef(order[:-lag], order[lag:])[0, 1]
    assert abs(correlation) < 4 / np.sqrt(len(order) - lag)


def test_gaps_between_neighbours_are_those_of_a_random_permutation():
    """|i - j| of a random pair is triangular: P(|i - j| > t n) = (1 - t)^2. An order with structure fails this."""
    size = 65_537
    order = np.asarray(permute(KEY, jnp.arange(size), size)).astype(float)
    gaps = np.abs(np.diff(order))[::2] / size
    assert stats.kstest((1 - gaps) ** 2, "uniform").pvalue > P_MIN


def test_cycles_are_those_of_a_random_permutation():
    """The expected number of fixed points of a random permutation is 1 and its variance 1."""
    fixed = (permutations_of(101, 4000) == np.arange(101)).sum(1)
    assert abs(fixed.mean() - 1) < 4 / np.sqrt(4000)
    assert abs(fixed.var() - 1) < 4 * np.sqrt(3 / 4000)  # the fourth central moment of a Poisson(1) is 4


def test_positions_out_of_range_are_clamped():
    order = permute(KEY, jnp.array([-1, 0, 6, 7, 1000]), 7)
    assert order[0] == order[1]
    assert order[2] == order[3] == order[4]


def test_an_epoch_is_one_permutation_and_epochs_differ():
    size, batch = 103, 10
    rows = np.asarray(batch_indices(KEY, 0, 30, batch, size)).reshape(3, 100)
    for epoch, row in enumerate(rows):
        expected = permute(jax.random.fold_in(KEY, epoch), jnp.arange(100), size)
        np.testing.assert_array_equal(row, expected)
    left_out = [set(range(size)) - set(row.tolist()) for row in rows]
    assert [len(missing) for missing in left_out] == [3, 3, 3]
    assert len({frozenset(missing) for missing in left_out}) == 3
    assert np.mean(rows[0] == rows[1]) < 0.1


def test_orders_of_two_epochs_are_independent():
    first, second = np.asarray(batch_indices(KEY, 0, 2, 60_000, 60_000))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(60_000)
    cells = np.histogram2d(first, second, bins=16)[0]
    assert stats.chi2_contingency(cells).pvalue > P_MIN


@pytest.mark.parametrize("cuts", [(1,) * 24, (24,), (7, 7, 7, 3)])
def test_chunks_do_not_show(cuts):
    whole = np.asarray(batch_indices(KEY, 5, 24, 8, 83))
    starts = np.cumsum((5, *cuts[:-1]))
    parts = [batch_indices(KEY, jnp.int32(start), steps, 8, 83) for start, steps in zip(starts, cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_steps_near_the_end_of_int32():
    """epoch = step // 3 for size // batch = 3, in exact integers, also where the counter passes 2^31."""
    size, batch, first = 31, 10, 2**31 - 3
    rows = np.asarray(batch_indices(KEY, jnp.int32(first), 8, batch, size))
    for step, row in zip(range(first, first + 8), rows):
        epoch, offset = divmod(step, 3)
        positions = jnp.arange(batch) + offset * batch
        np.testing.assert_array_equal(row, permute(jax.random.fold_in(KEY, np.uint32(epoch)), positions, size))


@pytest.mark.parametrize("batch", [0, -1, 11])
def test_refuses_a_batch_that_does_not_fit(batch):
    with pytest.raises(ValueError, match=rf"batch size of {batch} for 10 examples, wanted 1 to 10"):
        batch_indices(KEY, 0, 1, batch, 10)


@pytest.mark.parametrize("size", [0, -3, 2**31])
def test_refuses_a_size_out_of_range(size):
    with pytest.raises(ValueError, match=f"data set of {size} examples"):
        permute(KEY, jnp.arange(1), size)


def test_refuses_a_size_that_is_no_integer():
    with pytest.raises(TypeError):
        permute(KEY, jnp.arange(1), 10.0)
