"""Importance sampling as one writes it first: all samples of an image at once, by two vmaps."""

import jax
import jax.numpy as jnp

from experiments.benchmarks.ours import evaluator
from experiments.benchmarks.trainer import Problem, Trainer
from vae.objectives import log_weight
from vae.types import Settings

IMAGES_AT_ONCE = 20


def build(problem: Problem) -> Trainer:
    """Memory grows with the number of samples, so that only a few images fit in a call."""
    _, (model, params, state, x, key) = evaluator(problem)
    samples = problem.preset.samples

    def one(params, key, image):
        draw = model.infer(params, state, image, (), Settings())
        log_weights = jax.vmap(lambda k: log_weight(draw(k), image))(jax.random.split(key, samples))
        return jax.nn.logsumexp(log_weights) - jnp.log(samples)

    some = jax.jit(jax.vmap(one, in_axes=(None, 0, 0)))

    def run(steps: int) -> None:
        for _ in range(steps):
            for start in range(0, len(x), IMAGES_AT_ONCE):
                images = x[start : start + IMAGES_AT_ONCE]
                jax.block_until_ready(some(params, jax.random.split(key, len(images)), images))

    return Trainer(run)
