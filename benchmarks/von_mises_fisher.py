"""How many von Mises-Fisher draws a second, beside the usual route through SciPy and a rejection loop?

    python -m benchmarks.von_mises_fisher

Both sides turn 4,096 pairs of direction and concentration, dimension 64, into a draw and its divergence from the uniform
distribution, which is what the forward pass of a hyperspherical autoencoder needs. The usual route leaves the device: Bessel
functions from SciPy, and in NumPy a loop of Ulrich-Wood proposals that ends when the last example has accepted. The rounds
are interleaved; the table quotes the fastest round and the median of the paired ratios. It runs in about ten seconds.

Measured on two AVX-512 cores of a shared, busy machine, fastest of 60 rounds: 252,000 draws a second by the usual route,
505,000 here (1.76 x, paired median) and 463,000 with the gradient in both parameters (1.62 x).
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from vae.distributions import UniformSphere, VonMisesFisher
from vae.divergences import kl_divergence


def usual_draws(rng, directions, concentrations):
    """Ulrich (1984) and Wood (1994) in NumPy, looping until all have accepted; the divergence by scaled Bessel functions."""
    count, dim = directions.shape
    b = (-2 * concentrations + np.sqrt(4 * concentrations**2 + (dim - 1) ** 2)) / (dim - 1)
    x = (1 - b) / (1 + b)
    c = concentrations * x + (dim - 1) * np.log(1 - x**2)
    cosines, waiting = np.empty(count), np.arange(count)
    while waiting.size:
        z = rng.beta((dim - 1) / 2, (dim - 1) / 2, waiting.size)
        w = (1 - (1 + b[waiting]) * z) / (1 - (1 - b[waiting]) * z)
        level = concentrations[waiting] * w + (dim - 1) * np.log(1 - x[waiting] * w) - c[waiting]
        accepted = level >= np.log(rng.uniform(size=waiting.size))
        cosines[waiting[accepted]] = w[accepted]
        waiting = waiting[~accepted]
    tangent = rng.standard_normal((count, dim - 1))
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    points = np.concatenate([cosines[:, None], np.sqrt(1 - cosines[:, None] ** 2) * tangent], axis=1)
    axes = np.eye(dim)[0] - directions
    axes /= np.linalg.norm(axes, axis=1, keepdims=True) + 1e-5
    points -= 2 * axes * np.sum(axes * points, axis=1, keepdims=True)
    order = dim / 2 - 1
    scaled = special.ive(order, concentrations)
    ratio = special.ive(order + 1, concentrations) / scaled
    constant = special.gammaln(order + 1) + order * np.log(2 / concentrations)
    return points, concentrations * ratio - (np.log(scaled) + concentrations + constant)


@jax.jit
def our_draws(key, directions, concentrations):
    """The same two numbers per example by this library, one compiled program."""

    def one(key, direction, concentration):
        posterior = VonMisesFisher(direction=direction, concentration=concentration)
        return posterior.sample(key), kl_divergence(posterior, UniformSphere(dim=direction.shape[0]))

    return jax.vmap(one)(jax.random.split(key, directions.shape[0]), directions, concentrations)


@jax.jit
def our_gradient(key, directions, concentrations):
    """Draw, divergence, and the gradient of a loss in both parameters."""

    def loss(directions, concentrations):
        points, rates = our_draws(key, directions, concentrations)
        return jnp.sum(jnp.square(points - 0.1)) + jnp.sum(rates)

    return jax.grad(loss, argnums=(0, 1))(directions, concentrations)


def seconds(function, *arguments):
    """Wall time of one call, its results on the device included."""
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start


def main(dim: int = 64, batch: int = 4096, rounds: int = 30):
    """Print the table."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((batch, dim))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    concentrations = rng.uniform(1.0, 200.0, batch)
    on_device = jnp.asarray(directions, jnp.float32), jnp.asarray(concentrations, jnp.float32)
    key = jax.random.key(0)
    jax.block_until_ready((our_draws(key, *on_device), our_gradient(key, *on_device)))
    times = np.array(
        [
            (
                seconds(usual_draws, rng, directions, concentrations),
                seconds(our_draws, key, *on_device),
                seconds(our_gradient, key, *on_device),
            )
            for _ in range(rounds)
        ]
    )
    print(f"dimension {dim}, batch {batch}, {rounds} rounds, {jax.devices()[0].device_kind}")
    for name, column in zip(("NumPy and SciPy", "this library", "with its gradient"), times.T, strict=True):
        ratio = np.median(times[:, 0] / column)
        print(f"{name:20s} {batch / column.min():12,.0f} draws/s   {ratio:5.2f} x the usual route")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    main(rounds=parser.parse_args().rounds)
