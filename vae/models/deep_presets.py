"""Models with several groups of latent variables, by plain numbers and names, as a configuration file can hold them."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from vae import posteriors, priors
from vae.models.chains import Link, bottom_up_chain
from vae.models.choices import ACTIVATIONS, lookup
from vae.models.conditionals import Conditional
from vae.models.hierarchy import TopDownGroup, precision_weighted, top_down_hierarchy
from vae.models.seen import Seen, for_data
from vae.networks import (
    batch_norm,
    block_of_maps,
    first_maps,
    from_function,
    joined_maps,
    maps_to_image,
    mlp_ladder,
    residual_encoder,
)
from vae.networks import mlp as mlp_network
from vae.networks.residual import sizes_of_levels
from vae.spec import Data
from vae.types import Model

Widths = Sequence[Sequence[int]]
"""Widths of the hidden layers between two groups, or between x and the first of them, from x upwards."""


def bottom_up(
    data: Data,
    latent_dims: Sequence[int] = (100, 50),
    hidden: Widths = ((200, 200), (100, 100)),
    activation: str = "tanh",
    likelihood: str | None = None,
    std: float | None = None,
) -> Model:
    """Groups inferred one from the other, x -> z_1 -> z_2 ..., all networks fully connected. (Burda et al. 2016, section 5.)

    latent_dims, hidden: from x upwards: x - hidden[0] - latent_dims[0] - hidden[1] - latent_dims[1], and down with the hidden
                         layers reversed.

    The lower groups cost a log ratio: vae.elbo(rates=vae.objectives.log_ratio), or one rate per group, see `bottom_up_chain`.
    The other arguments are those of `mlp`.
    """
    act = lookup("activation", ACTIVATIONS, activation)
    require_layers("bottom_up", latent_dims, hidden)

    def compose(seen: Seen) -> Model:
        links: list[Link] = []
        for level, (latent_dim, widths) in enumerate(zip(latent_dims, hidden, strict=True)):
            posterior = posteriors.normal(latent_dim)
            below = seen.likelihood if level == 0 else links[-1].posterior.family
            bias = seen.output_bias if level == 0 else None
            up = mlp_network(widths, posterior.outputs, activation=act)
            down = mlp_network(widths[::-1], below.outputs, activation=act, output_bias=bias)
            up = seen.encoder(up) if level == 0 else seen.decoder(up)
            links.append(Link(Conditional(up, posterior), Conditional(seen.decoder(down), below)))
        return bottom_up_chain(links, priors.normal(latent_dims[-1]), seen.data)

    return for_data(data, compose, likelihood, std)


def ladder(
    data: Data,
    latent_dims: Sequence[int] = (64, 32, 16),
    hidden: Widths = ((512, 512), (256, 256), (128, 128)),
    activation: str = "relu",
    batch_normalised: bool = False,
    likelihood: str | None = None,
    std: float | None = None,
) -> Model:
    """A deterministic path up and a stochastic one down, whose posteriors weigh both by their precision; fully connected.

        d_l = the layers hidden[l - 1] of d_(l-1),    d_0 = x,    N_l = the Gaussian read off a linear function of d_l,
        q(z_L | x) = N_L,    q(z_l | x, z_(l+1)) in proportion to N_l(z_l) p(z_l | z_(l+1))

    latent_dims, hidden: from x upwards, as in `bottom_up`; the groups of a trace are from the top down.
    batch_normalised:    whether all hidden layers are, as in the paper.

    (Sonderby et al. 2016, section 2.2.) The other arguments are those of `mlp`.
    """
    act = lookup("activation", ACTIVATIONS, activation)
    require_layers("ladder", latent_dims, hidden)
    normalisation = batch_norm() if batch_normalised else None
    families = [posteriors.normal(latent_dim) for latent_dim in latent_dims]
    evidence = from_function(lambda inputs, context: inputs[0])
    value = from_function(lambda inputs, context: inputs[1])

    def down(level: int, outputs: tuple[int, ...], bias: Any = None):
        return mlp_network(hidden[level][::-1], outputs, activation=act, normalisation=normalisation, output_bias=bias)

    def compose(seen: Seen) -> Model:
        top = families[-1]
        standard = from_function(lambda inputs, context: jnp.zeros(top.outputs))
        groups = [TopDownGroup(Conditional(standard, top), Conditional(evidence, top), value)]
        for level in range(len(families) - 2, -1, -1):
            own = families[level]
            prior = Conditional(seen.decoder(down(level + 1, own.outputs)), own)
            groups.append(TopDownGroup(prior, Conditional(evidence, own), value, precision_weighted))
        up = mlp_ladder(hidden, [family.outputs for family in families], activation=act, normalisation=normalisation)
        last = seen.decoder(down(0, seen.likelihood.outputs, seen.output_bias))
        nothing = from_function(lambda inputs, context: ())
        return top_down_hierarchy(seen.encoder(up), nothing, groups, Conditional(last, seen.likelihood), seen.data)

    return for_data(data, compose, likelihood, std)


def top_down(
    data: Data,
    groups: Sequence[int] = (2, 2),
    latent_channels: int = 8,
    width: int = 32,
    middle: int = 16,
    halvings: int = 2,
    likelihood: str | None = None,
    std: float | None = None,
) -> Model:
    """Residual maps of several sizes, to which group after group of latent maps is added. (Child 2021, section 3.)

    groups:          by level, the coarsest first, how many groups it has; each level has half the sides of the next one,
                     rounded up, so that images of any height and width will do.
    latent_channels: of each group, at every place of its level.
    width, middle:   channels of the maps, and inside of a residual block.
    halvings:        how often the image is halved before the finest level; 0 has groups of the size of the image, as the paper.

    Of 28x28 images the defaults have two groups of 4x4 and two of 7x7 maps. The other arguments are those of `mlp`.
    Raises ValueError for data that are no images.
    """
    if len(data.shape) not in (2, 3):
        raise ValueError(f"top_down got data of shape {data.shape}; wanted images (height, width, channels): use ladder.")
    if not groups or any(not isinstance(count, int) or count < 1 for count in groups) or halvings < 0:
        raise ValueError(
            f"top_down got groups {tuple(groups)} and {halvings} halvings; wanted one group or more at each level."
        )
    sizes = sizes_of_levels(data.shape, len(groups), halvings)
    own_sizes = [size for size, count in zip(sizes, groups, strict=True) for _ in range(count)]
    number = len(own_sizes)

    def compose(seen: Seen) -> Model:
        listed = []
        for size, after in zip(own_sizes, [*own_sizes[1:], own_sizes[-1]], strict=True):
            family = posteriors.normal_maps(*size, latent_channels)
            prior = seen.decoder(block_of_maps(family.outputs[-1], middle, last_scale=0.0))
            posterior = seen.decoder(block_of_maps(family.outputs[-1], middle))
            join = seen.decoder(joined_maps(width, middle, after, number))
            listed.append(TopDownGroup(Conditional(prior, family), Conditional(posterior, family), join))
        encoder = seen.encoder(residual_encoder(width, middle, groups, halvings))
        start = seen.decoder(first_maps(own_sizes[0], width))
        image = seen.decoder(maps_to_image(seen.likelihood.outputs, width, halvings, seen.output_bias))
        return top_down_hierarchy(encoder, start, listed, Conditional(image, seen.likelihood), seen.data)

    return for_data(data, compose, likelihood, std)


def require_layers(name: str, latent_dims: Sequence[int], hidden: Widths) -> None:
    """Refuse other numbers of groups than of hidden layers between them."""
    if not latent_dims or len(latent_dims) != len(hidden):
        raise ValueError(
            f"{name} got {len(latent_dims)} latent_dims and {len(hidden)} lists of hidden widths; wanted one list for "
            "each group, from x upwards."
        )
