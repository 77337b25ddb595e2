"""What the tests of the networks share."""

import math

import jax
import jax.numpy as jnp
import numpy as np


def waves(key, shape, dtype=jnp.float32):
    """Weights without pattern and without a random generator, whose compilation would be most of the tests' time."""
    del key
    size = math.prod(shape)
    return jnp.sin(1.0 + jnp.arange(size, dtype=dtype) ** 2 % 97.0).reshape(shape) / math.sqrt(math.prod(shape[:-1]))


def run(net, params, *inputs):
    """The output for one example, compiled as a whole: operation by operation takes many times as long to compile."""
    return np.asarray(jax.jit(lambda params, inputs: net.apply(params, {}, *inputs)[0])(params, inputs))
