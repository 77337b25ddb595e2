"""One chain of annealed importance sampling, forwards or backwards along its path, and the step sizes of its transitions."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.evaluation.annealing_paths import Path, tempered
from vae.evaluation.hmc import transition
from vae.types import Key, PyTree

TARGET_ACCEPTANCE = 0.65
FIRST_STEP_SIZE = 0.5
WARM_UP = 25
"""Transitions of the preliminary run at the start, before its first temperature."""


def forward_chain(
    path: Path, key: Key, betas: Array, step_sizes: Float[Array, "steps"], leapfrog_steps: int
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """One chain from the start to the joint density: its log weight and mean acceptance."""
    start_key, key = jax.random.split(key)

    def step(carry, inputs):
        values, log_weight, accepted = carry
        index, before, beta, step_size = inputs
        log_weight += (beta - before) * path.densities(values)[1]
        moved = transition(tempered(path, beta), jax.random.fold_in(key, index), values, step_size, leapfrog_steps)
        return (moved.position, log_weight, accepted + moved.acceptance), None

    first = (path.sample(start_key), jnp.zeros(()), jnp.zeros(()))
    _, log_weight, accepted = jax.lax.scan(step, first, _temperatures(betas, step_sizes))[0]
    return log_weight, accepted / step_sizes.shape[0]


def reverse_chain(
    path: Path, values: PyTree, key: Key, betas: Array, step_sizes: Float[Array, "steps"], leapfrog_steps: int
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The same chain run backwards from a sample of the posterior: its log weight, with E 1/w = 1/p(x), and mean acceptance."""

    def step(carry, inputs):
        values, log_weight, accepted = carry
        index, before, beta, step_size = inputs
        moved = transition(tempered(path, beta), jax.random.fold_in(key, index), values, step_size, leapfrog_steps)
        log_weight += (beta - before) * path.densities(moved.position)[1]
        return (moved.position, log_weight, accepted + moved.acceptance), None

    first = (values, jnp.zeros(()), jnp.zeros(()))
    _, log_weight, accepted = jax.lax.scan(step, first, _temperatures(betas, step_sizes), reverse=True)[0]
    return log_weight, accepted / step_sizes.shape[0]


def adapted_step_sizes(path: Path, key: Key, betas: Array, chains: int, leapfrog_steps: int) -> Float[Array, "steps"]:
    """A step size for each of beta_1, ..., beta_T, from a preliminary run whose chains are then thrown away:

        log eps <- log eps + mean acceptance over the chains - 0.65

    after every transition; a few at beta_0 bring it to the scale of the start. 0.65 is optimal for many dimensions
    (Beskos et al. 2013).
    """
    start_key, key = jax.random.split(key)
    every = jnp.concatenate([jnp.full(WARM_UP, betas[0]), betas[1:]])

    def step(carry, inputs):
        values, log_step = carry
        index, beta = inputs
        keys = jax.random.split(jax.random.fold_in(key, index), chains)

        def move(key, values):
            return transition(tempered(path, beta), key, values, jnp.exp(log_step), leapfrog_steps)

        moved = jax.vmap(move)(keys, values)
        log_step += jnp.mean(moved.acceptance) - TARGET_ACCEPTANCE
        return (moved.position, log_step), log_step

    first = (jax.vmap(path.sample)(jax.random.split(start_key, chains)), jnp.log(FIRST_STEP_SIZE))
    return jnp.exp(jax.lax.scan(step, first, (jnp.arange(every.shape[0]), every))[1][WARM_UP:])


def _temperatures(betas: Array, step_sizes: Array) -> tuple[Array, ...]:
    """What a chain scans over: index, the temperature before, the temperature, its step size."""
    return jnp.arange(step_sizes.shape[0]), betas[:-1], betas[1:], step_sizes
