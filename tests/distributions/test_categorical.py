"""Categorical: enumeration, SciPy, extremes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose
from scipy import stats
from unchecked import unchecked

from vae.distributions import Categorical
from vae.distributions.categorical import at_temperature
from vae.priors import sample_prior

LOGITS = jnp.array([[0.3, -1.0, 2.0, 0.0], [1.0, 1.0, -4.0, 0.5], [1e4, -1e4, 0.0, 1e4]])


def test_log_prob_from_float64_by_bytes_and_integers():
    value = np.array([2, 0, 3])
    reference = scipy.special.log_softmax(np.asarray(LOGITS, np.float64), axis=-1)[np.arange(3), value]
    for dtype in (np.int32, np.uint8):
        assert_allclose(Categorical(LOGITS).element_log_prob(jnp.asarray(value, dtype)), reference, rtol=1e-6)
    assert_allclose(Categorical(LOGITS).log_prob(jnp.asarray(value)), reference.sum(), rtol=1e-6)


def test_probabilities_sum_to_one():
    values = jnp.broadcast_to(jnp.arange(4)[:, None], (4, 3))
    scored = jax.vmap(Categorical(LOGITS).element_log_prob)(values)
    assert_allclose(np.exp(scored).sum(0), 1.0, rtol=1e-6)


def test_entropy_mean_and_mode():
    family = Categorical(LOGITS)
    probabilities = scipy.special.softmax(np.asarray(LOGITS, np.float64), axis=-1)
    assert_allclose(family.entropy(), scipy.special.entr(probabilities).sum(), rtol=1e-6)
    assert_allclose(family.mean, probabilities @ np.arange(4), rtol=1e-6)
    assert_allclose(family.mode, [2, 0, 0])


def test_gradients_are_finite_at_extreme_logits():
    def score(logits, value):
        return Categorical(logits).log_prob(value) + Categorical(logits).entropy()

    gradients = jax.jit(jax.vmap(jax.grad(score), (None, 0)))(LOGITS[2:], jnp.arange(4)[:, None])
    chex.assert_tree_all_finite(gradients)


def test_sampler_has_the_frequencies():
    draws = jax.jit(jax.vmap(Categorical(LOGITS).sample))(jax.random.split(jax.random.key(1), 20000))
    for i in range(2):
        counts = np.bincount(draws[:, i], minlength=4)
        expected = scipy.special.softmax(np.asarray(LOGITS[i], np.float64))
        assert stats.chisquare(counts, 20000 * expected).pvalue > 1e-3
    assert set(np.unique(draws[:, 2])) == {0, 3}


def test_refuses_logits_without_classes():
    with unchecked(), pytest.raises(ValueError, match="wanted \\(\\.\\.\\., K\\)"):
        Categorical(jnp.array(1.0))


def test_data_space_is_structure():
    assert Categorical(LOGITS).data_space == "tokens"
    pixels = Categorical(LOGITS, data_space="uint8")
    assert jax.tree.unflatten(jax.tree.structure(pixels), jax.tree.leaves(pixels)).data_space == "uint8"


def test_a_temperature_of_zero_takes_the_most_probable_class_and_one_between_sharpens():
    logits, key = jnp.array([[1.0, 3.0, 2.0, -1.0]]), jax.random.key(0)
    for zero in (0.0, jnp.zeros(())):
        assert sample_prior(Categorical(logits), key, zero).tolist() == [1]
    half = jax.nn.softmax(at_temperature(logits, jnp.array(0.5)))
    np.testing.assert_allclose(half, jax.nn.softmax(logits) ** 2 / jnp.sum(jax.nn.softmax(logits) ** 2), rtol=1e-5)
    with pytest.raises(ValueError, match=r"the temperature is -1\.0; wanted 0 or more"):
        sample_prior(Categorical(logits), key, -1.0)
