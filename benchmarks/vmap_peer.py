"""Importance sampling as one writes it first: all samples of an image at once, by two vmaps, with `jax.nn.softplus`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from benchmarks.ours import evaluator
from benchmarks.trainer import LEARNING_RATE, Problem, Trainer, batches
from vae.objectives.core import log_ratio
from vae.settings import Settings
from vae.spec import Data
from vae.types import Key, Model

ROWS_AT_ONCE = 100_000
"""Of the decoder's output, 0.3 GB: all samples of as many images as that holds, at most a batch."""


def log_mean_weight(draw: Callable, image: Array, key: Key, samples: int) -> Float[Array, ""]:
    """log 1/K sum_k p(x, z_k) / q(z_k | x) of one image, its likelihood x l - softplus(l)."""

    def log_weight(key):
        trace = draw(key)
        logits = trace.likelihood.logits
        return jnp.sum(image * logits - jax.nn.softplus(logits)) - sum(log_ratio(latent) for latent in trace.latents)

    return jax.nn.logsumexp(jax.vmap(log_weight)(jax.random.split(key, samples))) - jnp.log(samples)


def mean_bound(model: Model, params: Any, state: Any, key: Key, images: Array, samples: int) -> Float[Array, ""]:
    """The importance-weighted bound of a batch."""

    def one(key, image):
        return log_mean_weight(model.infer(params, state, image, (), Settings()), image, key, samples)

    return jnp.mean(jax.vmap(one)(jax.random.split(key, len(images)), images))


def build(problem: Problem) -> Trainer:
    """An evaluation where the preset is one, else training."""
    return (build_evaluation if problem.preset.images else build_training)(problem)


def build_evaluation(problem: Problem) -> Trainer:
    """Memory grows with the number of samples, so that only a few images fit in a call."""
    _, (trained, x, key) = evaluator(problem)
    model, params, state = trained.model, trained.params, trained.model_state
    some = jax.jit(partial(mean_bound, model, samples=problem.preset.samples))
    at_once = max(1, min(problem.preset.batch_size, ROWS_AT_ONCE // problem.preset.samples))

    def run(steps: int) -> None:
        for _ in range(steps):
            for start in range(0, len(x), at_once):
                jax.block_until_ready(some(params, state, key, x[start : start + at_once]))

    return Trainer(run)


def build_training(problem: Problem) -> Trainer:
    """One jitted step per batch of resident float pixels."""
    preset = problem.preset
    model = preset.build(Data(shape=preset.shape, space="binary", mean=problem.images.mean(axis=0) / 255.0))
    optimiser = optax.adam(LEARNING_RATE)
    params, state = model.init(jax.random.key(0))
    pixels, rows = jnp.asarray(problem.images, jnp.float32) / 255.0, batches(len(problem.images), preset.batch_size)

    @jax.jit
    def step(params, moments, key, rows):
        x_key, z_key = jax.random.split(key)
        x = jax.random.bernoulli(x_key, pixels[rows]).astype(jnp.float32)
        gradient = jax.grad(lambda p: -mean_bound(model, p, state, z_key, x, preset.samples))(params)
        updates, moments = optimiser.update(gradient, moments, params)
        return optax.apply_updates(params, updates), moments

    held = [params, optimiser.init(params), 0]

    def run(steps: int) -> None:
        for _ in range(steps):
            key = jax.random.fold_in(jax.random.key(1), held[2])
            held[:] = [*step(held[0], held[1], key, np.asarray(next(rows))), held[2] + 1]
        jax.block_until_ready(held[0])

    return Trainer(run)
