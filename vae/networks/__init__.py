"""Encoders and decoders: the only place where Flax is imported, behind the pure functions of `vae.types.Network`."""

from vae.networks.base import from_flax, from_function
from vae.networks.causal import CodeNetwork, causal_convolution, causal_transformer
from vae.networks.convolution import conv_decoder, conv_encoder
from vae.networks.fully_connected import mlp, mlp_ladder
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
from vae.networks.residual import block_of_maps, first_maps, joined_maps, maps_to_image, residual_encoder

__all__ = [
    "CodeNetwork",
    "batch_norm",
    "bernoulli_output_bias",
    "block_of_maps",
    "causal_convolution",
    "causal_transformer",
    "conv_decoder",
    "conv_encoder",
    "first_maps",
    "from_flax",
    "from_function",
    "gain",
    "glorot_normal",
    "glorot_uniform",
    "grid_decoder",
    "grid_encoder",
    "group_norm",
    "joined_maps",
    "kaiming_normal",
    "kaiming_uniform",
    "maps_to_image",
    "mlp",
    "mlp_ladder",
    "residual_encoder",
]
