"""The variational autoencoder of the Flax examples, its step jitted and called once per batch from Python.

Written after the example's plan (a Linen module on a batch, a logarithm of the variance, binary cross-entropy by log_sigmoid),
with its input pipeline replaced by NumPy rows, which is faster.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.trainer import LEARNING_RATE, Problem, Trainer, Weights, batches, flat


class VAE(nn.Module):
    """Encoder and decoder with one hidden layer on a batch of flat images."""

    hidden: int
    latent_dim: int
    pixels: int

    def setup(self):
        """The five layers."""
        self.encoder = nn.Dense(self.hidden)
        self.mean = nn.Dense(self.latent_dim)
        self.log_variance = nn.Dense(self.latent_dim)
        self.decoder = nn.Dense(self.hidden)
        self.logits = nn.Dense(self.pixels)

    def __call__(self, x: jax.Array, noise: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Logits, means and log variances."""
        hidden = nn.relu(self.encoder(x))
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        z = mean + jnp.exp(0.5 * log_variance) * noise
        return self.logits(nn.relu(self.decoder(z))), mean, log_variance


def binary_cross_entropy(logits: jax.Array, x: jax.Array) -> jax.Array:
    """Per image, by the logarithm of the sigmoid."""
    log_p = nn.log_sigmoid(logits)
    return -jnp.sum(x * log_p + (1.0 - x) * jnp.log(-jnp.expm1(log_p)), axis=-1)


def kl(mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """Per image."""
    return -0.5 * jnp.sum(1.0 + log_variance - jnp.square(mean) - jnp.exp(log_variance), axis=-1)


def build(problem: Problem) -> Trainer:
    """The peer, started at the given weights."""
    arguments = problem.preset.arguments
    pixels = flat(problem.images).astype(np.float32) / np.float32(255.0)
    module = VAE(arguments["hidden"][0], arguments["latent_dim"], pixels.shape[1])
    optimiser = optax.adam(LEARNING_RATE)

    def loss_of(params, x, noise):
        logits, mean, log_variance = module.apply({"params": params}, x, noise)
        return (binary_cross_entropy(logits, x) + kl(mean, log_variance)).mean()

    @jax.jit
    def step(params, state, x, noise):
        loss, gradients = jax.value_and_grad(loss_of)(params, x, noise)
        updates, state = optimiser.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, loss

    @jax.jit
    def train_step(params, state, gray, key):
        x_key, noise_key = jax.random.split(key)
        x = jax.random.bernoulli(x_key, gray).astype(jnp.float32)
        return step(params, state, x, jax.random.normal(noise_key, (x.shape[0], arguments["latent_dim"])))

    params = flax_params(problem.weights or {})
    held = [params, optimiser.init(params), jax.random.key(0)]
    rows = batches(len(pixels), problem.preset.batch_size)

    def one_step(x, noise) -> float:
        held[0], held[1], loss = step(held[0], held[1], x, noise)
        return float(loss)

    def run(steps: int) -> None:
        for _ in range(steps):
            held[2], key = jax.random.split(held[2])
            held[0], held[1], _ = train_step(held[0], held[1], pixels[next(rows)], key)
        jax.block_until_ready(held[0])

    return Trainer(run, one_step, lambda: plain_weights(held[0]))


def flax_params(weights: Weights) -> dict[str, Any]:
    """The module's parameters; the log variance is twice the log standard deviation."""
    (first, (kernel, bias)), (third, last) = weights["encoder"], weights["decoder"]
    (mean, log_std), (mean_bias, log_std_bias) = np.split(kernel, 2, axis=1), np.split(bias, 2)
    layers = {
        "encoder": first,
        "mean": (mean, mean_bias),
        "log_variance": (2.0 * log_std, 2.0 * log_std_bias),
        "decoder": third,
        "logits": last,
    }
    return {name: {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)} for name, (kernel, bias) in layers.items()}


def plain_weights(params: Any) -> Weights:
    """The inverse of `flax_params`."""
    layer = {name: (np.array(p["kernel"]), np.array(p["bias"])) for name, p in params.items()}
    heads = tuple(
        np.concatenate([mean, 0.5 * scale], axis=-1) for mean, scale in zip(layer["mean"], layer["log_variance"], strict=True)
    )
    return {"encoder": [layer["encoder"], heads], "decoder": [layer["decoder"], layer["logits"]]}
