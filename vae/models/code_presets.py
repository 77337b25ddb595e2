"""Quantised models of images by plain numbers and names, as a configuration file can hold them."""

from collections.abc import Sequence
from typing import Any

from vae.models.choices import ACTIVATIONS, lookup
from vae.models.code_choices import CODE_PRIORS, QUANTISERS
from vae.models.quantised import quantised_autoencoder, with_settled_codes
from vae.models.seen import Seen, for_data
from vae.networks import grid_decoder, grid_encoder
from vae.networks.grids import grid_sizes
from vae.spec import Data, given_of
from vae.types import Model


def vector_quantised(
    data: Data,
    codes: int = 512,
    dim: int = 64,
    depth: int = 1,
    quantiser: str = "moving_average",
    widths: Sequence[int] = (32, 64),
    blocks: int = 0,
    prior: str = "transformer",
    prior_width: int = 64,
    prior_layers: int = 2,
    activation: str = "relu",
    likelihood: str | None = None,
    std: float | None = None,
    settled: bool = False,
) -> Model:
    """A VQ-VAE of images of any size, with its prior over the codes: convolutional networks around a grid of codes.

    codes, dim, depth:  of the quantiser: how many codes, of what dimension, how many at a place (residual and product).
    quantiser:          a name in `vae.models.code_choices.QUANTISERS`: "gradient", "moving_average", "residual", "product",
                        "finite_scalar", "lookup_free" or "gumbel".
    widths, blocks:     each width halves the sides; blocks are residual ones at the level of the codes.
    prior:              a name in `vae.models.code_choices.CODE_PRIORS`; width and layers where it is a network.
    settled:            train nothing but the prior: a second stage, see `with_settled_codes`.

    The other arguments are those of `vae.models.mlp`. Charge it with the default rates, or with `chain_rule`; a Gumbel-softmax
    needs the latter. (van den Oord et al. 2017, section 4.1.)

    Raises ValueError for data that are no images, unknown names and sizes that do not fit.
    """
    if len(data.shape) not in (2, 3):
        raise ValueError(
            f"an example of the data has shape {data.shape}, and vector_quantised is of images (height, width, channels); "
            f"compose "
            "vae.models.quantised_autoencoder with networks of your own."
        )
    chosen = lookup("quantiser", QUANTISERS, quantiser)(codes, dim, depth)
    grid, act = grid_sizes(data.shape, len(widths)), lookup("activation", ACTIVATIONS, activation)
    over_codes = lookup("prior", CODE_PRIORS, prior)

    def compose(seen: Seen) -> Model:
        up, bias = tuple(reversed(widths)), seen.output_bias
        shape, context = (*grid, chosen.depth), given_of(seen.data.context)
        return quantised_autoencoder(
            encoder=seen.encoder(grid_encoder(tuple(widths), chosen.inputs, blocks, act)),
            decoder=seen.decoder(grid_decoder(up, seen.likelihood.outputs, blocks, act, output_bias=bias)),
            quantiser=chosen,
            grid=grid,
            prior=over_codes(shape, chosen.codes, context, width=prior_width, layers=prior_layers),
            likelihood=seen.likelihood,
            data=seen.data,
        )

    model = for_data(data, compose, likelihood, std)
    return with_settled_codes(model) if settled else model


def gumbel(data: Data, codes: int = 512, dim: int = 64, prior: str = "independent", **arguments: Any) -> Model:
    """`vector_quantised` with classes drawn from logits, relaxed in training by the setting "temperature": Gumbel-softmax.

    (Jang et al. 2017, section 2; Ramesh et al. 2021, section 2.1.)
    """
    return vector_quantised(data, codes, dim, quantiser="gumbel", prior=prior, **arguments)
