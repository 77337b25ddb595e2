"""A small model of images that is conditioned on a label, untrained, as everything in `vae.evaluation` takes it."""

import jax
import jax.numpy as jnp

from vae import likelihoods, models, networks, posteriors, priors
from vae.spec import Data
from vae.trained import Trained

SHAPE = (4, 3, 1)
CLASSES = 3
LABEL = jax.ShapeDtypeStruct((CLASSES,), jnp.float32)


def conditional(context=LABEL, latent_dim=2) -> Trained:
    """p(z) p(x | z, c) on binary images; the context is a one-hot label unless another is given."""
    data, posterior = Data(shape=SHAPE, space="binary", context=context), posteriors.normal(latent_dim)
    model = models.variational_autoencoder(
        encoder=networks.mlp((6,), posterior.outputs),
        decoder=networks.mlp((6,), SHAPE),
        posterior=posterior,
        prior=priors.normal(latent_dim),
        likelihood=likelihoods.bernoulli(SHAPE),
        data=data,
        context=context,
    )
    params, state = jax.jit(model.init)(jax.random.key(0))
    return Trained(model, params, state, spec=data)
