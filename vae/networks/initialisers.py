"""How weights and biases start: Glorot's and He's scales, and the output bias that already predicts the mean image.

Glorot's and He's functions return a function (key, shape, dtype) -> array for kernels whose last axes are (inputs, outputs):
those of dense layers, and of convolutions (height, width, inputs, outputs). The fan is the number of terms in one sum:

    fan_in = height * width * inputs        terms that make one output
    fan_out = height * width * outputs      outputs that one input takes part in

A uniform distribution of standard deviation s has the bound sqrt(3) s.
"""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.networks.base import Initialiser
from vae.requirements import require

Fan = Literal["fan_in", "fan_out"]


def gain(slope: float = 0.0) -> float:
    """sqrt(2 / (1 + a^2)), which keeps the second moment through a rectifier with slope a below zero. (He et al. 2015, eq. 15.)

    ReLU has a = 0, a linear layer a = 1; PyTorch's Linear starts with a = sqrt(5), a uniform bound of 1 / sqrt(fan_in).
    """
    return math.sqrt(2.0 / (1.0 + slope**2))


def kaiming_normal(slope: float = 0.0, fan: Fan = "fan_in") -> Initialiser:
    """N(0, s^2) with s = gain(slope) / sqrt(fan). (He et al. 2015, eq. 10 for fan_in, eq. 14 for fan_out.)"""
    return jax.nn.initializers.variance_scaling(gain(slope) ** 2, fan, "normal")


def kaiming_uniform(slope: float = 0.0, fan: Fan = "fan_in") -> Initialiser:
    """U(-sqrt(3) s, sqrt(3) s) with s = gain(slope) / sqrt(fan). (He et al. 2015, eq. 10 and 14.)"""
    return jax.nn.initializers.variance_scaling(gain(slope) ** 2, fan, "uniform")


def glorot_normal(scale: float = 1.0) -> Initialiser:
    """N(0, s^2) with s = scale sqrt(2 / (fan_in + fan_out)). (Glorot & Bengio 2010, eq. 12.)"""
    return jax.nn.initializers.variance_scaling(scale**2, "fan_avg", "normal")


def glorot_uniform(scale: float = 1.0) -> Initialiser:
    """U(-r, r) with r = scale sqrt(6 / (fan_in + fan_out)). (Glorot & Bengio 2010, eq. 16.)"""
    return jax.nn.initializers.variance_scaling(scale**2, "fan_avg", "uniform")


def bernoulli_output_bias(mean_image: Any, clip: float = 1e-3) -> Float[Array, "*shape"]:
    """The logits ln(m / (1 - m)) of the mean pixel m in [0, 1], clipped to [clip, 1 - clip].

    As a decoder's `output_bias` it starts training at the entropy of independent pixels rather than at ln 2 for each of them.
    Raises ValueError for means outside [0, 1] and a clip outside (0, 1/2).
    """
    mean = jnp.asarray(mean_image, jnp.float32)
    require((mean >= 0) & (mean <= 1), "bernoulli_output_bias got mean pixels outside [0, 1]: divide stored pixels by 255.")
    require(0 < clip < 0.5, f"bernoulli_output_bias got clip={clip}, wanted a number between 0 and 1/2.")
    mean = jnp.clip(mean, clip, 1.0 - clip)
    return jnp.log(mean) - jnp.log1p(-mean)
