"""Quantisers and priors over codes by name, as a configuration file can hold them."""

from collections.abc import Callable, Mapping

from vae import priors, quantisation
from vae.networks import causal_convolution, causal_transformer
from vae.quantisation import Quantiser
from vae.requirements import require
from vae.types import Prior

LEVELS: Mapping[int, tuple[int, ...]] = {
    16: (5, 3),
    64: (8, 8),
    128: (8, 4, 4),
    256: (8, 6, 5),
    512: (8, 8, 8),
    1024: (8, 5, 5, 5),
    4096: (7, 5, 5, 5, 5),
    16384: (8, 8, 8, 6, 5),
}
"""Levels of a finite scalar quantiser with about as many codes. (Mentzer et al. 2024, table 1; smaller ones are ours.)"""


def _finite_scalar(codes: int, dim: int, depth: int) -> Quantiser:
    """With about so many codes; the dimension is that of the levels."""
    if codes not in LEVELS:
        raise ValueError(f"finite_scalar has levels for {', '.join(map(str, LEVELS))} codes, got {codes}; use one of these.")
    return quantisation.finite_scalar(LEVELS[codes])


def _lookup_free(codes: int, dim: int, depth: int) -> Quantiser:
    """With as many bits as the codes take."""
    require(codes >= 2 and codes & (codes - 1) == 0, f"lookup_free got {codes} codes; wanted a power of two, 2 to the bits.")
    return quantisation.lookup_free(codes.bit_length() - 1)


def _residual(codes: int, dim: int, depth: int) -> Quantiser:
    """By moving average; codes ** depth combinations share one codebook."""
    return quantisation.residual(quantisation.by_moving_average(codes, dim), depth)


def _product(codes: int, dim: int, depth: int) -> Quantiser:
    """By moving average, in pieces that share the dimensions."""
    require(dim % depth == 0, f"product got a dim of {dim} for {depth} pieces; wanted a multiple.")
    return quantisation.product(quantisation.by_moving_average(codes, dim // depth), depth)


QUANTISERS: Mapping[str, Callable[[int, int, int], Quantiser]] = {
    "gradient": lambda codes, dim, depth: quantisation.of_directions(quantisation.by_gradient(codes, dim)),
    "moving_average": lambda codes, dim, depth: quantisation.by_moving_average(codes, dim),
    "residual": _residual,
    "product": _product,
    "finite_scalar": _finite_scalar,
    "lookup_free": _lookup_free,
    "gumbel": lambda codes, dim, depth: quantisation.gumbel_softmax(codes, dim),
}
"""(codes, dim, depth) -> quantiser; those with one code at a place have no use for the depth, those on a grid none for the
dim.
"""


def _of(network: Callable) -> Callable[..., Prior]:
    return lambda shape, codes, context, **sizes: priors.autoregressive(
        network(shape[:-1], shape[-1], codes, context=context, **sizes)
    )


CODE_PRIORS: Mapping[str, Callable[..., Prior]] = {
    "uniform": lambda shape, codes, context, **sizes: priors.uniform_codes(shape, codes),
    "independent": lambda shape, codes, context, **sizes: priors.independent_codes(shape, codes),
    "transformer": _of(causal_transformer),
    "convolution": _of(causal_convolution),
}
"""(shape, codes, context, width=, layers=) -> prior over integers of that shape; the first two know no sizes and no context."""
