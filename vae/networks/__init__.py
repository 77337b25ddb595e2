"""Encoders and decoders: the only place where Flax is imported, behind the pure functions of `vae.types.Network`."""

from vae.networks.base import from_flax
from vae.networks.causal import CodeNetwork, causal_convolution, causal_transformer
from vae.networks.convolution import conv_decoder, conv_encoder
from vae.networks.fully_connected import mlp
from vae.networks.grids import grid_decoder, grid_encoder
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
    "CodeNetwork",
    "batch_norm",
    "bernoulli_output_bias",
    "causal_convolution",
    "causal_transformer",
    "conv_decoder",
    "conv_encoder",
    "from_flax",
    "gain",
    "glorot_normal",
    "glorot_uniform",
    "grid_decoder",
    "grid_encoder",
    "group_norm",
    "kaiming_normal",
    "kaiming_uniform",
    "mlp",
]
