"""A small model, and training programs that are walked through in chunks."""

import jax
import numpy as np
import optax

import vae
from vae.data import pixels
from vae.data.feeds import feed
from vae.spec import Data
from vae.training import loop
from vae.training.step import make_train_step

IMAGES = np.random.default_rng(0).integers(0, 256, size=(300, 4, 4, 1)).astype(np.uint8)
SPEC = Data(shape=(4, 4, 1), space="binary")
MODEL = vae.models.mlp(SPEC, latent_dim=3, hidden=(16,))
OPTIMISER = optax.adam(1.0)
SETTINGS = {"beta": 1.0, "learning_rate": 1e-2}
STEPS, BATCH = 120, 16
SCHEDULES = {"beta": vae.schedules.linear(60), "learning_rate": vae.schedules.cosine(120)}


def source(resident):
    return feed(IMAGES, lambda key, x: (pixels.dynamic_binarisation(key, x), ()), spec=SPEC, resident=resident)


def start(key=0):
    return vae.initial_state(MODEL, vae.elbo(), OPTIMISER, jax.random.key(key), SETTINGS)


def program(resident=True, objective=None):
    step = make_train_step(MODEL, objective or vae.elbo(), OPTIMISER, SCHEDULES)
    return loop.make_program(step, source(resident), BATCH)


def walk(made, chunk, first=0, last=STEPS, state=None):
    """The state after the last step and the ELBO of each step."""
    state, elbo, step = start() if state is None else state, [], first
    for length in loop.spans(first, last, (STEPS,), chunk):
        state, metrics = made.run(state, step, length)
        elbo.append(np.asarray(metrics["elbo"]))
        step += length
    return state, np.concatenate(elbo)
