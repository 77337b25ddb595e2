"""Models of other priors, posteriors and decoders keep the contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae
from vae.objectives import elbo, log_ratio, mixture_bound
from vae.spec import Data

BINARY, REAL = Data((4,), "binary"), Data((4,), "real")
X = {
    "binary": jnp.asarray(np.random.default_rng(0).integers(0, 2, (3, 4)), jnp.float32),
    "real": jnp.asarray(np.random.default_rng(1).normal(size=(3, 4)), jnp.float32),
}
SMALL = {"latent_dim": 2, "hidden": (4,), "activation": "tanh"}
ENCODED = ["posterior leak"]  # a prior that is made of the encoder
MODELS = {
    "hamiltonian": (vae.models.hamiltonian_mlp(BINARY, **SMALL, steps=2), elbo(log_ratio), []),
    "von Mises": (vae.models.mlp(BINARY, **SMALL, latents="von_mises"), None, []),
    "VampPrior": (vae.models.mlp(BINARY, **SMALL, latents="normal_vamp"), None, ENCODED),
    "sparse coding": (vae.models.mlp(BINARY, **SMALL, latents="spike_and_slab_vamp"), elbo(mixture_bound), ENCODED),
    "sparse decoder": (vae.models.sparse_mlp(REAL, examples=10, likelihood="normal", **SMALL), None, []),
}


@pytest.mark.slow  # every check compiles a program of its own
@pytest.mark.parametrize("name", MODELS)
def test_the_contract_is_kept(name):
    model, objective, skip = MODELS[name]
    x = X["real" if name == "sparse decoder" else "binary"]
    vae.testing.check_model(model, x, jax.random.key(0), objective=objective, samples=128, skip=skip)
