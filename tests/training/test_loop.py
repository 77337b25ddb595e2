"""The training loop: neither chunks nor feeds may show in the numbers, bit for bit, in the code that users run."""

import numpy as np
import pytest
from walks import STEPS, program, start, walk

from vae.training.digest import tree_sha256


@pytest.fixture(scope="module")
def programs():
    """The program of each feed; what has been compiled for one test serves the others."""
    return {resident: program(resident) for resident in (True, False)}


@pytest.fixture(scope="module")
def reference(programs):
    state, elbo = walk(programs[True], STEPS)
    return tree_sha256(state), elbo


IN_FULL = pytest.mark.slow  # a compilation each; the walk below takes resident chunks of 7, and (7, False) the streamed ones


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chunk", "resident"),
    [
        (1, True),
        (7, False),
        *(pytest.param(*how, marks=IN_FULL) for how in ((7, True), (1, False), (120, False))),
    ],
)
def test_neither_the_chunk_nor_the_feed_shows(programs, reference, chunk, resident):
    """Bitwise: the whole state (parameters, moments, key, step) and the metrics of every step."""
    state, elbo = walk(programs[resident], chunk)
    assert tree_sha256(state) == reference[0]
    np.testing.assert_array_equal(elbo, reference[1])


def test_it_does_learn(reference):
    """The comparisons above would hold for a loop that did nothing."""
    assert np.mean(reference[1][-20:]) > np.mean(reference[1][20:40]) + 0.02
    assert tree_sha256(start(1)) != tree_sha256(start())


def test_a_walk_may_be_broken_off_anywhere(programs, reference):
    state = start()
    for first, last in ((0, 35), (35, 36), (36, 120)):
        state, _ = walk(programs[True], 7, first, last, state)
    assert tree_sha256(state) == reference[0]
