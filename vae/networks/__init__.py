"""Encoders and decoders: the only place where Flax is imported, behind the pure functions of `vae.types.Network`."""

from vae.networks.base import from_flax
from vae.networks.convolution import conv_decoder, conv_encoder
from vae.networks.fully_connected import mlp
from vae.networks.initialisers import (
    bernoulli_output_bias,
    gain,
    glorot_normal,
    glorot_uniform,
    kaiming_normal,
    kaiming_uniform,
)
from vae.networks.normalisation import batch_norm, group_norm

__all__ = [
    "batch_norm",
    "bernoulli_output_bias",
    "conv_decoder",
    "conv_encoder",
    "from_flax",
    "gain",
    "glorot_normal",
    "glorot_uniform",
    "group_norm",
    "kaiming_normal",
    "kaiming_uniform",
    "mlp",
]
