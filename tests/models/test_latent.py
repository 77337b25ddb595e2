"""The composed autoencoder: keys for a decoder with dropout, and none for an encoder."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae import likelihoods, networks, posteriors, priors
from vae.models import variational_autoencoder
from vae.objectives import elbo, importance_weighted
from vae.settings import Settings
from vae.spec import Data
from vae.training.state import initial_state
from vae.training.step import make_train_step
from vae.types import Batch

X = jnp.asarray(np.random.default_rng(0).normal(size=(8, 4)), jnp.float32)
POSTERIOR = posteriors.normal(2)


def model_with(dropout=0.0, encoder_dropout=0.0):
    return variational_autoencoder(
        encoder=networks.mlp((6,), POSTERIOR.outputs, dropout=encoder_dropout),
        decoder=networks.mlp((30,), (4,), dropout=dropout),
        posterior=POSTERIOR,
        prior=priors.normal(2),
        likelihood=likelihoods.normal((4,)),
        data=Data(shape=(4,), space="real"),
    )


MODEL = model_with(dropout=0.5)
PARAMS, STATE = MODEL.init(jax.random.key(0))


def means(training, values=(), key=1, model=MODEL):
    draw = model.infer(PARAMS, STATE, X[0], (), Settings(training=training))
    keys = jax.random.split(jax.random.key(key), 5)
    return np.asarray(jax.vmap(lambda k: draw(k, values).likelihood.mean)(keys))


def test_a_stochastic_decoder_draws_with_every_sample_in_training_only():
    value = (jnp.array([0.3, -0.4]),)
    assert len(np.unique(means(True, value), axis=0)) == 5, "the same z is decoded by other units each time"
    np.testing.assert_array_equal(means(True, value), means(True, value))
    assert len(np.unique(means(False, value), axis=0)) == 1
    np.testing.assert_array_equal(means(False, value)[0], MODEL.decode(PARAMS, STATE, value, ()).mean)


@pytest.mark.slow
@pytest.mark.parametrize("objective", [elbo(), importance_weighted(3)])
def test_it_trains(objective):
    state = initial_state(MODEL, objective, optax.adam(1e-2), jax.random.key(1))
    step = jax.jit(make_train_step(MODEL, objective, optax.adam(1e-2)))
    _, metrics = step(state, Batch(X, (), jnp.ones(len(X))))
    assert np.isfinite(metrics["loss"])
    assert metrics["skipped"] == 0


def test_a_decoder_without_dropout_draws_what_it_drew():
    """Its draws use the key whole: the same z as the posterior gives with that key."""
    draw = model_with().infer(PARAMS, STATE, X[0], (), Settings(training=True))
    (z,) = draw(jax.random.key(5)).latents
    np.testing.assert_array_equal(z.value, z.posterior.sample_and_log_prob(jax.random.key(5))[0])


def test_a_stochastic_encoder_is_refused():
    with pytest.raises(ValueError, match="got a stochastic encoder, wanted one without dropout"):
        model_with(encoder_dropout=0.1)
