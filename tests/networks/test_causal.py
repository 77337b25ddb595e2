"""Networks over codes and the distribution made of them: enumeration of all codes, who sees whom, the cache against none."""

from itertools import product as every

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vae.distributions import Autoregressive, Categorical, PointMass, RelaxedCategorical
from vae.divergences import kl_divergence
from vae.models import latent_group
from vae.networks import causal_convolution, causal_transformer
from vae.rates import chain_rule, log_ratio

KEY = jax.random.key(3)
LABEL = jax.ShapeDtypeStruct((2,), jnp.float32)
NETWORKS = {
    "transformer": causal_transformer((2, 3), 2, 5, width=8, layers=2, heads=2),
    "convolution": causal_convolution((2, 3), 2, 5, width=8, layers=2, kernel=3),
}
SMALL = {
    "transformer": causal_transformer((2, 2), 1, 3, width=8, layers=1, heads=2, context=LABEL),
    "convolution": causal_convolution((2, 2), 1, 3, width=8, layers=2, kernel=3, context=LABEL),
}


def sharp(network, key=KEY, scale=2.0):
    """Parameters that are far from their start, where all codes are nearly alike."""
    leaves, structure = jax.tree.flatten(network.init(key))
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(structure, [w + scale * 0.3 * jax.random.normal(k, w.shape) for w, k in zip(leaves, keys)])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_code_sees_those_before_it_and_no_other(name):
    network = NETWORKS[name]
    params = sharp(network)
    logits = jax.jit(network.logits)
    value = jax.random.randint(KEY, network.shape, 0, 5)
    flat = value.reshape(-1)
    found = logits(params, value, ()).reshape(len(flat), 5)
    seen = np.zeros((len(flat), len(flat)), bool)
    for changed in range(len(flat)):
        other = flat.at[changed].set((flat[changed] + 1) % 5).reshape(network.shape)
        seen[changed] = np.any(np.asarray(logits(params, other, ())).reshape(len(flat), 5) != found, axis=1)
    before = np.triu(np.ones_like(seen), 1)
    assert not np.any(seen & ~before)
    reached = seen | ~before if name == "transformer" else seen[np.arange(len(flat) - 1), np.arange(1, len(flat))]
    assert np.all(reached), "an autoregressive network that sees nothing would pass as well"


@pytest.mark.parametrize("name", SMALL)
def test_the_probabilities_of_all_grids_sum_to_one(name):
    """3^4 grids, at two contexts and at a temperature."""
    network = SMALL[name]
    params = sharp(network)
    grids = jnp.array(list(every(range(3), repeat=4)), jnp.int32).reshape(-1, 2, 2, 1)
    score = jax.jit(jax.vmap(lambda k, c, t: Autoregressive(network, params, c, t).log_prob(k), in_axes=(0, None, None)))
    found = [score(grids, jnp.array(c), jnp.float32(t)) for c, t in (([0.0, 0.0], 1.0), ([1.0, -2.0], 1.0), ([0.0, 0.0], 0.5))]
    for log_probs in found:
        assert_allclose(np.exp(np.asarray(log_probs, np.float64)).sum(), 1.0, rtol=1e-5)
    assert np.ptp(found[0]) > 1.0
    assert np.abs(found[0] - found[1]).max() > 0.1, "the context counts"
    assert found[2].max() > found[0].max(), "a low temperature sharpens"


@pytest.mark.parametrize("name", NETWORKS)
def test_sampling_with_a_cache_is_sampling_without(name):
    """Code after code from the logits of the whole grid so far, with the same keys."""
    network = NETWORKS[name]
    params = sharp(network)
    places = 6
    logits = jax.jit(network.logits)
    value = jnp.zeros((places, 2), jnp.int32)
    for place, key in enumerate(jax.random.split(KEY, places)):
        for depth, own in enumerate(jax.random.split(key, 2)):
            scores = logits(params, value.reshape(network.shape), ()).reshape(places, 2, 5)[place, depth]
            value = value.at[place, depth].set(jax.random.categorical(own, scores / 0.7))
    drawn = jax.jit(network.sample)(params, KEY, (), 0.7)
    assert_array_equal(drawn.reshape(places, 2), value)
    assert drawn.dtype == jnp.int32


def test_samples_have_the_probabilities_of_the_density():
    """3^4 grids by 20,000 draws: the total variation is what that many draws of the density itself have, up to its spread."""
    network = SMALL["transformer"]
    family = Autoregressive(network, sharp(network), jnp.array([0.5, -0.5]))
    grids = jnp.array(list(every(range(3), repeat=4)), jnp.int32).reshape(-1, 2, 2, 1)
    wanted = np.exp(np.asarray(jax.jit(jax.vmap(family.log_prob))(grids), np.float64))
    drawn = jax.jit(jax.vmap(family.sample))(jax.random.split(KEY, 20_000))
    index = np.asarray(drawn.reshape(-1, 4) @ jnp.array([27, 9, 3, 1]))
    counts = np.bincount(index, minlength=81)
    chi_squared = ((counts - 20_000 * wanted) ** 2 / (20_000 * wanted))[wanted > 5e-4].sum()
    kept = int((wanted > 5e-4).sum())
    assert chi_squared < kept + 5 * np.sqrt(2 * kept)


def test_the_kl_of_codes_is_their_log_probability():
    network = SMALL["convolution"]
    family = Autoregressive(network, sharp(network), jnp.zeros(2))
    value = jax.random.randint(KEY, (2, 2, 1), 0, 3)
    assert_allclose(kl_divergence(PointMass(value), family), -family.log_prob(value), rtol=1e-6)
    group = latent_group(PointMass(value), family, KEY)
    assert_allclose(chain_rule(group, KEY).sum(), log_ratio(group, KEY), rtol=1e-6)


@pytest.mark.slow
def test_the_chain_rule_is_the_kl_by_enumeration():
    """E_q of the rate is sum_k q(k) log q(k) / p(k) over all 81 grids, with less variance than the log ratio has."""
    network = SMALL["transformer"]
    prior = Autoregressive(network, sharp(network), jnp.zeros(2))
    posterior = Categorical(jax.random.normal(KEY, (2, 2, 1, 3)))
    grids = jnp.array(list(every(range(3), repeat=4)), jnp.int32).reshape(-1, 2, 2, 1)

    def scores(value):
        group = latent_group(posterior, prior, KEY, value)
        return posterior.log_prob(value), chain_rule(group, KEY).sum(), log_ratio(group, KEY)

    log_q, chained, ratio = (np.asarray(v, np.float64) for v in jax.jit(jax.vmap(scores))(grids))
    q = np.exp(log_q)
    assert_allclose((q * chained).sum(), (q * ratio).sum(), rtol=1e-5)
    assert (q * chained**2).sum() < (q * ratio**2).sum()
    independent = Categorical(jax.random.normal(jax.random.key(9), (2, 2, 1, 3)))
    exact = chain_rule(latent_group(posterior, independent, KEY), KEY).sum()
    assert_allclose(exact, kl_divergence(posterior, independent), rtol=1e-6)


def test_mixed_classes_are_charged_as_the_classes_that_are_mixed():
    network = SMALL["transformer"]
    prior, logits = Autoregressive(network, sharp(network), jnp.zeros(2)), jax.random.normal(KEY, (2, 2, 1, 3))
    soft = latent_group(RelaxedCategorical(logits, 0.5), prior, KEY)
    hard = latent_group(Categorical(logits), prior, KEY, jnp.argmax(soft.value, -1))
    chex.assert_trees_all_close(chain_rule(soft, KEY), chain_rule(hard, KEY), rtol=1e-6)
    with pytest.raises(TypeError, match="a density of mixed classes, of which the prior Autoregressive has none"):
        log_ratio(soft, KEY)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: causal_transformer((2, 2), 1, 3, width=6, heads=4), "4 heads for a width of 6"),
        (lambda: causal_transformer((), 1, 3), r"grid \(\), wanted 1 or more"),
        (lambda: causal_convolution((4,), 1, 3), r"grid \(4,\), wanted 2 or more"),
        (lambda: causal_convolution((4, 4, 4), 1, 3), r"wanted \(height, width\): use causal_transformer"),
        (lambda: causal_convolution((4, 4), 1, 3, kernel=4), "a kernel of 4; wanted an odd"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
