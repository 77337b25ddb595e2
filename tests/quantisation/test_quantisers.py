"""Quantisers: brute force, enumeration of all codes, gradients, numbers in half precision, the moving average by hand."""

from functools import partial
from itertools import product as every

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vae import quantisation
from vae.distributions import Categorical, PointMass, RelaxedCategorical
from vae.quantisation.moving_average import revived, smoothed
from vae.quantisation.scalar import entropy_gap
from vae.settings import Settings

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
PLAIN, TRAINING = Settings(), Settings(training=True)
HARD = {
    "gradient": quantisation.by_gradient(5, 2),
    "moving average": quantisation.by_moving_average(5, 2),
    "residual": quantisation.residual(quantisation.by_gradient(5, 2), 3),
    "residual of averages": quantisation.residual(quantisation.by_moving_average(5, 2), 2),
    "product": quantisation.product(quantisation.by_moving_average(5, 2), 2),
    "finite scalar": quantisation.finite_scalar((4, 3, 5)),
    "lookup free": quantisation.lookup_free(3),
}


def vectors_for(quantiser, places=7):
    return jnp.asarray(RNG.normal(size=(places, quantiser.inputs)), jnp.float32)


def squared(a, b):
    return np.square(np.asarray(a, np.float64) - np.asarray(b, np.float64)).sum()


# The nearest code


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_the_nearest_code_is_that_of_all_distances(offset):
    """A common offset costs no digits: the plain expansion |v|^2 - 2 v.e + |e|^2 is wrong by more than the distances there."""
    vectors, codebook = RNG.normal(size=(200, 3)) + offset, RNG.normal(size=(40, 3)) + offset
    vectors, codebook = vectors.astype(np.float32), codebook.astype(np.float32)
    exact = vectors.astype(np.float64)[:, None] - codebook.astype(np.float64)[None]
    found = jax.jit(quantisation.nearest_code)(jnp.asarray(vectors), jnp.asarray(codebook))
    assert_array_equal(found, np.square(exact).sum(-1).argmin(1))
    assert found.dtype == jnp.int32


@pytest.mark.slow
def test_codes_beyond_256_survive_half_precision():
    """bfloat16 has no odd number over 256: an index made in it would lose half of the codes."""
    codebook = jnp.arange(1000, dtype=jnp.float32)[:, None] / 8
    vectors = codebook[513:516]
    assert_array_equal(quantisation.nearest_code(vectors, codebook), [513, 514, 515])
    fsq = quantisation.finite_scalar((8, 8, 8))
    index = jnp.arange(512, dtype=jnp.int32)[:, None]
    codes = fsq.lookup({}, (), index)
    wide = jnp.arctanh(jnp.clip((codes * 4 + 0.5) / 3.5035, -0.9999, 0.9999)) - jnp.arctanh(0.5 / 3.5035)
    found = fsq.assign({}, (), wide.astype(jnp.bfloat16), PLAIN)
    assert found.posterior.value.dtype == jnp.int32
    assert_array_equal(found.posterior.value, index)
    assert found.seen(index).dtype == jnp.float32


def test_the_codebook_is_not_copied_for_each_example():
    """Neither in the distances nor in what the examples give back."""
    quantiser = quantisation.by_moving_average(33, 5)
    params, state = quantiser.init(KEY)

    def one(vectors):
        found = quantiser.assign(params, state, vectors, TRAINING)
        return found.posterior.value, found.seen(found.posterior.value), found.penalty, found.statistics

    program = str(jax.make_jaxpr(jax.vmap(one, axis_name="batch"))(jnp.zeros((9, 4, 5))))
    assert "f32[9,33,5]" not in program
    assert "f32[9,4,33]" in program, "the products are there"


# Every quantiser


@pytest.mark.parametrize("name", HARD)
def test_what_is_assigned_is_what_is_looked_up(name):
    quantiser = HARD[name]
    params, state = quantiser.init(KEY)
    vectors = vectors_for(quantiser)
    found = quantiser.assign(params, state, vectors, PLAIN)
    index = found.posterior.value
    assert index.shape == (7, quantiser.depth)
    assert index.dtype == jnp.int32
    assert 0 <= int(index.min()) <= int(index.max()) < quantiser.codes
    looked_up = quantiser.lookup(params, state, index)
    assert looked_up.shape == (7, quantiser.outputs)
    assert_allclose(found.seen(index), looked_up, rtol=1e-6, atol=1e-6)
    again = quantiser.assign(params, state, looked_up, PLAIN).posterior.value if "residual" not in name else index
    if name not in ("finite scalar", "residual"):
        assert_array_equal(again, index)


@pytest.mark.parametrize("name", HARD)
def test_no_code_in_reach_is_nearer(name):
    """Of all codes of a place (of the one at a depth, given those before, for residual codes), the one taken is nearest."""
    quantiser = HARD[name]
    params, state = quantiser.init(KEY)
    vectors = vectors_for(quantiser)
    index = np.asarray(quantiser.assign(params, state, vectors, PLAIN).posterior.value)
    if name == "finite scalar":
        half, offset = np.array([3, 2, 4]) * 1.001 / 2, np.array([0.5, 0.0, 0.0])
        vectors = half * np.tanh(np.asarray(vectors, np.float64) + np.arctanh(offset / half)) - offset
        vectors = vectors / np.array([2, 1, 2])
    depths = range(quantiser.depth)
    for place in range(len(index)):
        for depth in depths if "residual" in name else [quantiser.depth - 1]:
            free = [depth] if "residual" in name else list(depths)
            tried = []
            for codes in every(range(quantiser.codes), repeat=len(free)):
                other = index[place : place + 1].copy()
                other[0, free] = codes
                used = other[:, : depth + 1] if "residual" in name else other
                if "residual" in name:
                    base = {"residual": HARD["gradient"], "residual of averages": HARD["moving average"]}[name]
                    parts = (base.lookup(params, state, jnp.asarray(used[:, d : d + 1])) for d in range(depth + 1))
                    value = sum(np.asarray(part) for part in parts)
                else:
                    value = quantiser.lookup(params, state, jnp.asarray(other))
                tried.append((squared(value, vectors[place : place + 1]), codes))
            assert min(tried)[1] == tuple(index[place, free]), (name, place)


@pytest.mark.parametrize("name", HARD)
def test_the_decoders_gradient_reaches_the_encoder_as_if_nothing_were_rounded(name):
    """The identity for codebooks and signs, the slope of the bound for a finite scalar; the codebook gets nothing of it."""
    quantiser = HARD[name]
    params, state = quantiser.init(KEY)
    vectors, wanted = vectors_for(quantiser), jnp.asarray(RNG.normal(size=(7, quantiser.outputs)), jnp.float32)

    def seen(params, vectors):
        found = quantiser.assign(params, state, vectors, PLAIN)
        return jnp.sum(wanted * found.seen(found.posterior.value))

    of_params, of_vectors = jax.grad(seen, argnums=(0, 1))(params, vectors)
    slope = 1.0
    if name == "finite scalar":
        half, offset, unit = np.array([3, 2, 4]) * 1.001 / 2, np.array([0.5, 0, 0]), np.array([2, 1, 2])
        slope = half / unit / np.square(np.cosh(np.asarray(vectors) + np.arctanh(offset / half)))
    assert_allclose(of_vectors, wanted * slope, rtol=1e-4, atol=1e-6)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(of_params))


def test_a_quantiser_of_directions_sees_no_length_and_passes_the_gradient_of_the_direction():
    """d (v / |v|) = (I - u u') dv / |v|: nothing of a gradient along the vector arrives."""
    inner = quantisation.by_gradient(5, 2)
    quantiser = quantisation.of_directions(inner)
    params, state = quantiser.init(KEY)
    vectors, wanted = 10.0 * vectors_for(quantiser), jnp.asarray(RNG.normal(size=(7, 2)), jnp.float32)
    unit = np.asarray(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
    found, same = quantiser.assign(params, state, vectors, PLAIN), inner.assign(params, state, jnp.asarray(unit), PLAIN)
    assert_array_equal(found.posterior.value, same.posterior.value)
    assert_allclose(found.penalty, same.penalty, rtol=1e-5)

    def seen(vectors):
        return jnp.sum(wanted * quantiser.assign(params, state, vectors, PLAIN).seen(found.posterior.value))

    across = wanted - unit * np.sum(unit * np.asarray(wanted), axis=1, keepdims=True)
    assert_allclose(jax.grad(seen)(vectors), across / np.linalg.norm(vectors, axis=1, keepdims=True), rtol=1e-3, atol=1e-5)
    assert np.all(np.isfinite(jax.grad(seen)(jnp.zeros((7, 2)))))


def test_the_penalty_of_a_codebook_has_two_terms_with_their_own_weights():
    """a |stop(v) - e|^2 + b |v - stop(e)|^2, summed over the places of the example; each pulls only what is not stopped."""
    quantiser = quantisation.by_gradient(5, 2)
    params, state = quantiser.init(KEY)
    vectors = vectors_for(quantiser)

    def penalty(params, vectors, settings):
        return quantiser.assign(params, state, vectors, settings).penalty

    index = quantiser.assign(params, state, vectors, PLAIN).posterior.value[:, 0]
    nearest = params["codebook"][index]
    assert_allclose(penalty(params, vectors, PLAIN), 1.25 * squared(vectors, nearest), rtol=1e-5)
    weights = Settings({"commitment": 2.0, "codebook": 3.0})
    assert_allclose(penalty(params, vectors, weights), 5.0 * squared(vectors, nearest), rtol=1e-5)
    of_params, of_vectors = jax.grad(penalty, argnums=(0, 1))(params, vectors, weights)
    assert_allclose(of_vectors, 2.0 * 2.0 * (vectors - nearest), rtol=1e-4, atol=1e-6)
    pulled = np.zeros((5, 2))
    np.add.at(pulled, np.asarray(index), -3.0 * 2.0 * np.asarray(vectors - nearest))
    assert_allclose(of_params["codebook"], pulled, rtol=1e-4, atol=1e-5)


def test_the_commitment_of_residual_codes_is_to_every_partial_sum():
    """sum_d |v - stop(e_1 + ... + e_d)|^2. (Lee et al. 2022, equation 7.)"""
    base = quantisation.by_moving_average(5, 2, commitment=0.5)
    quantiser = quantisation.residual(base, 3)
    params, state = quantiser.init(KEY)
    vectors = vectors_for(quantiser)
    found = quantiser.assign(params, state, vectors, PLAIN)
    sums = np.cumsum([base.lookup(params, state, found.posterior.value[:, d : d + 1]) for d in range(3)], axis=0)
    assert_allclose(found.penalty, 0.5 * sum(squared(vectors, partial) for partial in sums), rtol=1e-5)
    slope = jax.grad(lambda v: quantiser.assign(params, state, v, PLAIN).penalty)(vectors)
    assert_allclose(slope, 2 * 0.5 * (3 * vectors - sums.sum(0)), rtol=1e-4, atol=1e-5)


# The moving average


def test_the_average_is_that_of_the_paper_and_of_the_examples_not_of_their_number():
    """Appendix A.1 by hand in float64; twice the batch of equal examples counts twice as much and gives the same codebook."""
    quantiser = quantisation.by_moving_average(3, 2, decay=0.9, smoothing=1e-3, revive=0.0)
    _, state = quantiser.init(KEY)
    state = state | {"count": jnp.array([1.0, 2.0, 0.5]), "total": jnp.arange(6.0).reshape(3, 2)}
    index, vectors = jnp.array([[[0], [2]], [[0], [0]]]), jnp.asarray(RNG.normal(size=(2, 2, 2)), jnp.float32)
    new = jax.jit(quantiser.update)(state, {"index": index, "vectors": vectors}, KEY)
    flat, rows = np.asarray(index).reshape(-1), np.asarray(vectors, np.float64).reshape(-1, 2)
    count = 0.9 * np.array([1.0, 2.0, 0.5]) + 0.1 * np.bincount(flat, minlength=3)
    total = 0.9 * np.arange(6.0).reshape(3, 2) + 0.1 * np.stack([rows[flat == k].sum(0) for k in range(3)])
    weight = (count + 1e-3) / (count.sum() + 3e-3) * count.sum()
    assert_allclose(new["codebook"][jnp.array([0, 2])], (total / weight[:, None])[[0, 2]], rtol=1e-5)
    assert_array_equal(new["codebook"][1], state["codebook"][1], "both averages fall alike where nothing is assigned")
    assert_allclose(np.asarray(smoothed(jnp.asarray(count), 1e-3)).sum(), count.sum(), rtol=1e-6)


def test_the_average_goes_to_the_mean_of_what_is_assigned():
    quantiser = quantisation.by_moving_average(2, 1, decay=0.5, revive=0.0)
    params, state = quantiser.init(KEY)
    state = state | {"codebook": jnp.array([[-1.0], [1.0]])}
    batch = jnp.array([[[-3.0], [-2.0]], [[4.0], [6.0]]])
    for _ in range(30):
        found = jax.vmap(lambda v, s=state: quantiser.assign(params, s, v, TRAINING).statistics)(batch)
        state = quantiser.update(state, found, KEY)
    assert_allclose(state["codebook"], [[-2.5], [5.0]], rtol=1e-4)


def test_a_code_without_use_is_revived_from_the_batch_and_no_other():
    count, total = jnp.array([1.0, 0.001, 2.0]), jnp.ones((3, 2))
    candidates = jnp.asarray(RNG.normal(size=(6, 2)), jnp.float32)
    new_count, new_total = revived(count, total, candidates, 0.01, KEY)
    mean = float(count.mean())
    assert_allclose(new_count, [1.0, mean, 2.0], rtol=1e-6)
    assert_array_equal(np.asarray(new_total)[[0, 2]], 1.0)
    assert np.any(np.all(np.isclose(np.asarray(new_total)[1] / mean, candidates, rtol=1e-5), axis=1))
    unmoved = revived(count, total, candidates, 0.0, KEY)
    assert_array_equal(unmoved[0], count)


def test_an_unused_codebook_starts_at_vectors_of_the_data():
    """Far from the data, a codebook that waits for an assignment would keep all codes but one unused for ever."""
    quantiser = quantisation.by_moving_average(8, 2)
    params, state = quantiser.init(KEY)
    batch = jnp.asarray(RNG.normal(size=(16, 4, 2)) + 50.0, jnp.float32)
    for step in range(2):
        found = jax.vmap(lambda v, s=state: quantiser.assign(params, s, v, TRAINING).statistics)(batch)
        state = quantiser.update(state, found, jax.random.key(step))
    used = jax.vmap(lambda v: quantiser.assign(params, state, v, PLAIN).posterior.value)(batch)
    assert len(np.unique(used)) >= 6
    assert_allclose(state["codebook"].mean(), 50.0, atol=1.0)


# On a grid


def test_a_finite_scalar_reaches_every_code_once():
    quantiser = quantisation.finite_scalar((4, 3, 5))
    index = jnp.arange(60, dtype=jnp.int32)[:, None]
    codes = np.asarray(quantiser.lookup({}, (), index))
    assert len(np.unique(codes, axis=0)) == 60
    for dimension, wanted in enumerate(([-1, -0.5, 0, 0.5], [-1, 0, 1], [-1, -0.5, 0, 0.5, 1])):
        assert_allclose(np.unique(codes[:, dimension]), wanted)
    far = quantiser.assign({}, (), jnp.asarray(RNG.normal(size=(4000, 3)) * 1.2, jnp.float32), PLAIN)
    assert len(np.unique(far.posterior.value)) == 60
    zero = quantiser.assign({}, (), jnp.zeros((1, 3)), PLAIN)
    assert_array_equal(zero.seen(zero.posterior.value), np.zeros((1, 3)))


def test_the_entropies_are_those_of_all_codes():
    """Against the sum over all corners in float64; the gap is at most 0, and 0 for one place."""
    vectors = RNG.normal(size=(6, 3))
    corners = np.array([[1.0 if k >> i & 1 else -1.0 for i in range(3)] for k in range(8)])
    logits = 2.0 * vectors @ corners.T
    f = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wanted = -(f * np.log(f)).sum(1).mean() + (f.mean(0) * np.log(f.mean(0))).sum()
    assert_allclose(entropy_gap(jnp.asarray(logits, jnp.float32), False), wanted, rtol=1e-5)
    assert wanted < 0
    assert_allclose(entropy_gap(jnp.asarray(logits[:1], jnp.float32), False), 0.0, atol=1e-6)
    quantiser = quantisation.lookup_free(3, commitment=0.0)
    found = quantiser.assign({}, (), jnp.asarray(vectors, jnp.float32), PLAIN)
    assert_allclose(found.penalty, 0.1 * 6 * wanted, rtol=1e-5)


def test_the_entropy_of_training_is_over_the_batch():
    """The mean over examples of the penalty is that of one example with the places of all; and so is its gradient."""
    quantiser = quantisation.lookup_free(3)
    batch = jnp.asarray(RNG.normal(size=(4, 5, 3)), jnp.float32)

    def penalty(settings, vectors):
        return quantiser.assign({}, (), vectors, settings).penalty

    def of_batch(batch):
        return jnp.mean(jax.vmap(partial(penalty, TRAINING), axis_name="batch")(batch))

    def together(batch):
        return penalty(PLAIN, batch.reshape(20, 3)) / 4

    (value, slope), (wanted, wanted_slope) = (jax.jit(jax.value_and_grad(f))(batch) for f in (of_batch, together))
    assert_allclose(value, wanted, rtol=1e-5)
    assert_allclose(slope, wanted_slope, rtol=1e-4, atol=1e-6)


# Relaxed


def test_gumbel_codes_are_mixed_in_training_and_hard_elsewhere():
    quantiser = quantisation.gumbel_softmax(4, 2)
    params, state = quantiser.init(KEY)
    vectors = vectors_for(quantiser)
    hard = quantiser.assign(params, state, vectors, PLAIN)
    soft = quantiser.assign(params, state, vectors, Settings({"temperature": jnp.float32(1e-3)}, training=True))
    assert isinstance(hard.posterior, Categorical)
    assert isinstance(soft.posterior, RelaxedCategorical)
    value = soft.posterior.sample(KEY)
    assert_allclose(soft.seen(value), hard.seen(jnp.argmax(value, -1)), atol=1e-3)
    warm = quantiser.assign(params, state, vectors, Settings({"temperature": jnp.float32(1.0)}, training=True))
    slope = jax.grad(lambda v: jnp.sum(quantiser.assign(params, state, v, TRAINING).seen(warm.posterior.sample(KEY))))(vectors)
    assert not np.any(slope), "seen depends on the vectors by the value alone"


# What is refused


def test_a_code_out_of_range_is_refused_in_one_sentence():
    for quantiser in (quantisation.by_gradient(4, 2), quantisation.lookup_free(2), quantisation.finite_scalar((2, 2))):
        params, state = quantiser.init(KEY)
        for index, said in (
            (jnp.array([[4]]), "got the code 4, but there are 4 codes; wanted whole"),
            (jnp.array([[-1]]), "-1"),
        ):
            with pytest.raises(ValueError, match=said):
                quantiser.lookup(params, state, index)
        with pytest.raises(TypeError, match="wanted whole numbers from 0 to 3"):
            quantiser.lookup(params, state, jnp.array([[1.0]]))


def test_under_tracing_a_code_out_of_range_is_nan_and_never_another_code():
    quantiser = quantisation.by_gradient(4, 2)
    params, state = quantiser.init(KEY)
    found = jax.jit(quantiser.lookup)(params, state, jnp.array([[-1], [3], [4]]))
    assert_array_equal(np.isnan(found).all(axis=1), [True, False, True])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: quantisation.by_gradient(1, 2), "by_gradient got 1 codes of dimension 2"),
        (lambda: quantisation.by_moving_average(4, 2, decay=1.0), r"a decay of 1.0; wanted"),
        (lambda: quantisation.by_moving_average(4, 2, revive=2.0), "revive = 2.0"),
        (lambda: quantisation.residual(HARD["gradient"], 0), "residual got a depth of 0"),
        (lambda: quantisation.residual(HARD["product"], 2), "a quantiser with 2 codes for a vector"),
        (lambda: quantisation.product(HARD["gradient"], 0), "product got 0 pieces"),
        (lambda: quantisation.finite_scalar((8, 1)), r"the levels \(8, 1\)"),
        (lambda: quantisation.lookup_free(40), "1099511627776 codes at a place"),
    ],
)
def test_sizes_without_meaning_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_drawn_codes_cannot_be_composed():
    quantiser = quantisation.residual(quantisation.gumbel_softmax(4, 4), 2)
    params, state = quantiser.init(KEY)
    with pytest.raises(TypeError, match="residual got a quantiser whose codes are drawn from a Categorical"):
        quantiser.assign(params, state, jnp.zeros((3, 4)), PLAIN)
    assert isinstance(HARD["gradient"].assign(*HARD["gradient"].init(KEY), jnp.zeros((3, 2)), PLAIN).posterior, PointMass)


# At the ends of the range


def test_a_code_that_is_passed_through_is_itself_however_large_the_vector_is():
    assert float(quantisation.straight_through(jnp.array([1e7]), jnp.array([0.3]))[0]) == np.float32(0.3)
    assert float(jax.grad(lambda v: 2.0 * quantisation.straight_through(v, jnp.array([0.3]))[0])(jnp.array([1e7]))[0]) == 2.0


@pytest.mark.parametrize("levels", [(1003, 5), (4096, 3)])
def test_a_scale_of_many_levels_ends_at_its_ends(levels):
    quantiser = quantisation.finite_scalar(levels)
    ends = jnp.array([[20.0, 0.0], [-20.0, 0.0]])
    index = quantiser.assign({}, {}, ends, PLAIN).posterior.value
    assert_allclose(quantiser.lookup({}, {}, index)[:, 0], [1.0, -1.0], atol=2e-3)
    assert_array_equal(quantiser.lookup({}, {}, index)[:, 1], 0.0)


def test_an_average_without_use_stays_where_it_is():
    quantiser = quantisation.by_moving_average(6, 2, revive=0.0)
    _, state = quantiser.init(KEY)
    used = {"index": jnp.zeros((4, 3, 1), jnp.int32), "vectors": jnp.ones((4, 3, 2))}
    after = quantiser.update(state, used, KEY)
    assert_array_equal(after["codebook"][1:], state["codebook"][1:])
    assert_allclose(after["codebook"][0], 1.0, rtol=1e-2)
