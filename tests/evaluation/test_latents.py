"""Posterior means and active units against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vae.evaluation import active_units, encode, of_means
from vae.evaluation.examples import Examples
from vae.trained import Trained

MODEL = toys.linear_gaussian()
PARAMS, _ = MODEL.init(jax.random.key(0))
X = jnp.asarray(np.random.default_rng(0).normal(size=(23, 4)), jnp.float32)


@pytest.mark.parametrize("batch_size", [5, 500])
def test_encode_gives_the_posterior_mean(batch_size):
    (means,) = encode(Trained(MODEL, PARAMS), X, jax.random.key(1), batch_size=batch_size)
    np.testing.assert_allclose(means, np.asarray(X) @ np.asarray(PARAMS["posterior"]["weights"]).T, rtol=1e-5, atol=1e-6)


def test_deeper_groups_are_encoded_at_the_sampled_ancestor_and_discrete_ones_by_their_mean():
    model = toys.two_groups(bottom_up=False)
    params, state = model.init(jax.random.key(0))
    x = X[:, :1]
    z2, z1 = encode(Trained(model, params, state), x, jax.random.key(1))
    again = encode(Trained(model, params, state), x, jax.random.key(2))
    np.testing.assert_allclose(z2, np.asarray(x) * float(params["posterior"]["z2"]), rtol=1e-5)
    np.testing.assert_array_equal(z2, again[0])
    assert np.all(np.asarray(z1) != np.asarray(again[1])), "z1 is encoded at a sampled z2"


def test_active_units_are_those_whose_mean_varies():
    rng = np.random.default_rng(1)
    means = rng.normal(size=(500, 2, 3)) * np.sqrt([[0.0, 0.005, 0.02], [1.0, 0.009, 0.011]]) + 5.0
    active = active_units(jnp.asarray(means, jnp.float32))
    np.testing.assert_array_equal(active, means.var(axis=0) > 0.01)
    assert active.sum() not in (0, 6)
    np.testing.assert_array_equal(active_units(jnp.asarray(means, jnp.float32), threshold=0.5), means.var(axis=0) > 0.5)


def test_a_metric_of_codes_is_a_score_of_a_trained_model():
    labels = np.arange(len(X))
    score = of_means(lambda codes, labels: (codes, labels))
    codes, given = score(Trained(MODEL, PARAMS), Examples(X, labels=labels))
    np.testing.assert_allclose(codes, np.asarray(X) @ np.asarray(PARAMS["posterior"]["weights"]).T, rtol=1e-5, atol=1e-6)
    assert given is labels


def test_codes_are_those_of_one_group():
    model = toys.two_groups(bottom_up=False)
    with pytest.raises(ValueError, match="the model has 2 latent groups; wanted one"):
        of_means(lambda codes, labels: 0.0)(Trained(model, *model.init(jax.random.key(0))), Examples(X[:, :1]))
