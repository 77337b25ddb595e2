"""The masked decoder against its definition, the sparse prior against quadrature and EM, and masks matched to masks."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate

import vae
from vae import likelihoods
from vae.evaluation.sparsity import mask_recovery
from vae.models.sparse_decoder import log_spike_and_slab_lasso, mask_of, masked_decoder, with_sparse_mask
from vae.spec import Data
from vae.testing import linear_gaussian

KEY = jax.random.key(0)
FEATURES, LATENT = 6, 3


@pytest.fixture(scope="module")
def decoder():
    network = masked_decoder((5, 4), likelihoods.normal_learned_std((FEATURES,)), FEATURES, jnp.tanh, 0.0)
    params, state = network.init(KEY, jax.ShapeDtypeStruct((LATENT,), jnp.float32), ())
    return network, params, state


def test_a_feature_moves_with_the_latents_of_its_mask_alone(decoder):
    network, params, state = decoder
    mask = jnp.asarray(np.random.default_rng(0).random((FEATURES, LATENT)) < 0.5, jnp.float32)
    masked = params | {"mask": params["mask"] * mask}
    slopes = jax.jit(jax.jacfwd(lambda z: network.apply(masked, state, z, ())[0]))(jnp.array([0.3, -0.8, 1.1]))
    for kind in np.asarray(slopes).reshape(2, FEATURES, LATENT):  # the means, then the scales
        assert np.array_equal(kind != 0, np.asarray(mask) != 0)


def test_a_bias_for_every_output_starts_at_the_mean():
    network = masked_decoder((4,), likelihoods.normal((FEATURES,)), FEATURES, jnp.tanh, jnp.arange(6.0))
    params, state = network.init(KEY, jax.ShapeDtypeStruct((LATENT,), jnp.float32), ())
    assert_allclose(network.apply(params, state, jnp.zeros(LATENT), ())[0], np.arange(6.0), atol=1e-6)


def test_the_density_of_a_weight_integrates_to_one():
    """One feature, so that the prior of the shares is constant."""

    def density(w):
        return np.exp(float(log_spike_and_slab_lasso(jnp.full((1, 1), w), jnp.array([-1.3]), 8.0, 0.7)))

    assert 2 * integrate.quad(density, 0, 30, limit=200)[0] == pytest.approx(1.0, abs=1e-4)


def test_its_gradient_is_that_of_an_em_step():
    """-sign(w) [ p slab + (1 - p) spike ] with p the probability that the weight belongs to the slab."""
    weights, inclusion, spike, slab = jnp.array([[0.3, -0.02], [-1.2, 0.1]]), jnp.array([0.4, -1.0]), 15.0, 1.2
    slope = jax.grad(lambda w: log_spike_and_slab_lasso(w, inclusion, spike, slab))(weights)
    w, share = np.abs(weights), 1 / (1 + np.exp(-np.asarray(inclusion)))
    in_slab, in_spike = share * slab * np.exp(-slab * w), (1 - share) * spike * np.exp(-spike * w)
    p = in_slab / (in_slab + in_spike)
    assert_allclose(slope, -np.sign(weights) * (p * slab + (1 - p) * spike), rtol=1e-4)


def test_the_loss_pays_the_prior_once_for_all_examples():
    data = Data((FEATURES,), "real")
    sparse = vae.models.sparse_mlp(data, examples=50, latent_dim=LATENT, hidden=(4,), likelihood="normal", spike=9.0)
    params, state = sparse.init(KEY)
    draw = sparse.infer(params, state, jnp.ones(FEATURES), (), vae.Settings())
    own = params["generative"]
    paid = -log_spike_and_slab_lasso(own["decoder"]["mask"], own["inclusion"], 9.0, 1.0) / 50
    assert draw(KEY).penalty == pytest.approx(float(paid), rel=1e-5)
    rising = sparse.infer(params, state, jnp.ones(FEATURES), (), vae.Settings({"spike": 30.0}))
    assert rising(KEY).penalty != draw(KEY).penalty


def test_a_matched_mask_has_the_best_precision_and_recall_of_all_orders():
    draw = np.random.default_rng(2)
    for _ in range(20):
        true, found = draw.random((8, 3)) < 0.4, draw.random((8, 4)) < 0.4
        if not true.any():
            continue
        best = max((found[:, list(order)] & true).sum() for order in itertools.permutations(range(4), 3))
        recovered = mask_recovery(found, true)
        assert recovered.recall == pytest.approx(best / true.sum())
        assert recovered.precision == pytest.approx(best / max(found.sum(), 1))
        assert (found[:, list(recovered.order)] & true).sum() == best


def test_a_mask_in_another_order_is_found_whole():
    true = np.random.default_rng(3).random((9, 4)) < 0.5
    assert mask_recovery(true[:, [2, 0, 3, 1]], true) == (1.0, 1.0, (1, 3, 0, 2))
    assert mask_recovery(np.zeros((9, 4)), true)[:2] == (1.0, 0.0)


def test_the_mask_is_read_relative_to_each_feature(decoder):
    weights = jnp.array([[1.0, 0.1, -0.3], [0.01, 0.0, 0.001]])
    trained = vae.Trained(linear_gaussian(), {"generative": {"decoder": {"mask": weights}}})
    assert np.array_equal(mask_of(trained), [[True, False, True], [True, False, False]])


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"spike is 1\.0 and slab 2\.0; wanted a positive slab below"):
        with_sparse_mask(linear_gaussian(), 2, 10, spike=1.0, slab=2.0)
    with pytest.raises(ValueError, match="examples is 0"):
        with_sparse_mask(linear_gaussian(), 2, 0)
    with pytest.raises(ValueError, match=r"examples of shape \(4, 4, 1\); wanted vectors"):
        vae.models.sparse_mlp(Data((4, 4, 1), "binary"), examples=3)
    with pytest.raises(ValueError, match=r"a found mask of shape \(3, 2\) and a true one of \(3, 4\)"):
        mask_recovery(np.ones((3, 2)), np.ones((3, 4)))
