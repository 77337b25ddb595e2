"""Images from laws of codes that are found after training: a second VAE, a fitted mixture, that of a still autoencoder."""

from typing import Any

import jax
import numpy as np
import optax

import vae
from vae.evaluation import fit_mixture, generate
from vae.models import Generated, with_prior

METHODS = "VAE", "VAE, mixture", "two-stage VAE", "RAE-L2, mixture"


def samples(train: np.ndarray, config: Any, seed: int) -> dict[str, np.ndarray]:
    """Decoder means at draws from each law of the codes, of models trained with one seed."""

    def experiment(x, standardise=True, **changed):
        arguments = {"latent_dim": config.latent_dim, "hidden": config.hidden, "likelihood": "normal_common_std"} | changed
        data = vae.data.array_splits(x, space="real", standardise=standardise)
        return vae.Experiment(data, vae.reference_to(vae.models.mlp, **arguments), config.steps, seed=seed)

    def codes(trained):
        return np.asarray(generate.sample_aggregate(trained, train, jax.random.key(seed), len(train))[0])

    shrunk = optax.chain(optax.add_decayed_weights(config.decay), optax.adam(1e-3))
    still = experiment(train, False, likelihood="normal", latents="deterministic")._replace(
        objective=vae.elbo(vae.objectives.squared(), monitors=()),
        optimiser={"posterior": optax.adam(1e-3), "generative": shrunk},
        settings={"beta": config.beta},
    )
    stages = {"first": experiment(train, False), "second": lambda of: experiment(codes(of["first"])), "still": still}
    kept, host = None if config.smoke else config.workdir / str(seed), vae.Host(progress=False)
    first, second, point = (run.trained for run in vae.stages(stages, kept, host).values())
    fitted, settled = (with_prior(of, fit_mixture(codes(of), config.components, seed=seed)) for of in (first, point))
    models = zip(METHODS, (first, fitted, with_prior(first, Generated(second)), settled), strict=True)
    return {name: decoded(of, jax.random.key(seed), config.samples) for name, of in models}


def decoded(trained: vae.Trained, key, number: int) -> np.ndarray:
    """Decoder means at draws of the codes."""
    return np.asarray(generate.decode_means(trained, generate.sample_prior(trained, key, number)))
