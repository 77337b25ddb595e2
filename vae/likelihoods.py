"""From a decoder's output to a distribution over data: the only place where that choice is made.

Each function takes the shape of one example and returns a `Family(outputs, build)`: the shape the network must produce, and
the function that reads such an array as a distribution over one example. What the network gives for a scale, a rate or a
dispersion is its logarithm, bounded smoothly, so that no gradient is cut off. The data space of the result says in what form
the data must come: 0 and 1, bytes 0..255, real numbers, counts or tokens.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vae.distributions.bernoulli import Bernoulli
from vae.distributions.categorical import Categorical
from vae.distributions.continuous_bernoulli import ContinuousBernoulli
from vae.distributions.dequantised import Dequantised
from vae.distributions.discretised_logistic import LARGEST, DiscretisedLogistic
from vae.distributions.discretised_logistic_mixture import DiscretisedLogisticMixture
from vae.distributions.factorised import Factorised
from vae.distributions.laplace import Laplace
from vae.distributions.masked import Masked
from vae.distributions.mixed import Mixed
from vae.distributions.negative_binomial import NegativeBinomial
from vae.distributions.normal import Normal
from vae.distributions.optimal_sigma import OptimalSigmaNormal
from vae.distributions.poisson import Poisson
from vae.distributions.zero_inflated import ZeroInflated
from vae.spec import Column
from vae.special import smooth_bound
from vae.types import Family

Shape = tuple[int, ...]
SCALE_LIMIT = 7.0
COUNT_LIMIT = 15.0
CENTRE = LARGEST / 2
IMPOSSIBLE = -1e30  # the logit of a class that there is not: 0 times it is 0, which it is not of an infinity


def bernoulli(shape: Shape) -> Family:
    """Binary data: a logit for each entry."""
    return Family(outputs=shape, build=Bernoulli)


def continuous_bernoulli(shape: Shape) -> Family:
    """Real data in [0, 1], such as gray pixels: a logit for each entry."""
    return Family(outputs=shape, build=ContinuousBernoulli)


def normal(shape: Shape, log_std: float = 0.0) -> Family:
    """Real data with a fixed standard deviation exp(log_std): the mean of each entry.

    -log p(x | z) = |x - mean|^2 / (2 std^2) + a constant, so 1 / (2 std^2) is what weighs the squared error against the KL.
    """

    def build(mean: Array) -> Normal:
        return Normal(mean=mean, log_std=jnp.full_like(mean, log_std))

    return Family(outputs=shape, build=build)


def normal_learned_std(shape: Shape, limit: float = SCALE_LIMIT) -> Family:
    """Real data with a standard deviation for every entry: (..., 2 C) for data (..., C), the means and then the log stds."""
    return _with_learned_scale(Normal, shape, limit)


def normal_shared_std(shape: Shape, limit: float = SCALE_LIMIT) -> Family:
    """Real data with one standard deviation for the whole example: (..., 2 C) for data (..., C).

    The first C are the means; the log std is the average of all the others.
    """

    def build(array: Array) -> Normal:
        mean, raw = jnp.split(array, 2, axis=-1)
        return Normal(mean=mean, log_std=jnp.broadcast_to(smooth_bound(jnp.mean(raw), limit), mean.shape))

    return Family(outputs=widened(shape, 2), build=build)


def normal_common_std(shape: Shape, limit: float = SCALE_LIMIT) -> Family:
    """Real data with one learned std for all entries of all examples, which starts at 1. (Rybkin et al. 2021, section 4.1.)"""

    def build(mean: Array, raw: Float[Array, ""]) -> Normal:
        return Normal(mean=mean, log_std=jnp.broadcast_to(smooth_bound(raw, limit), mean.shape))

    return Family(outputs=shape, build=build, init=lambda key: jnp.zeros(()))


def normal_optimal_std(shape: Shape, smallest_std: float = 1e-3) -> Family:
    """Real data with the standard deviation that suits each example best (sigma-VAE): the mean of each entry.

    A profile likelihood: for training, not for a reported NLL; see `OptimalSigmaNormal`.
    """

    def build(mean: Array) -> OptimalSigmaNormal:
        return OptimalSigmaNormal(mean=mean, smallest_std=smallest_std)

    return Family(outputs=shape, build=build)


def laplace(shape: Shape, log_scale: float = 0.0) -> Family:
    """Real data with a fixed scale exp(log_scale), an absolute error: the location of each entry."""

    def build(mean: Array) -> Laplace:
        return Laplace(mean=mean, log_scale=jnp.full_like(mean, log_scale))

    return Family(outputs=shape, build=build)


def laplace_learned_scale(shape: Shape, limit: float = SCALE_LIMIT) -> Family:
    """Real data with a scale for every entry: (..., 2 C) for data (..., C), the locations and then the log scales."""
    return _with_learned_scale(Laplace, shape, limit)


def discretised_logistic(shape: Shape, limit: float = SCALE_LIMIT) -> Family:
    """Bytes 0..255: (..., 2 C) for data (..., C), the locations and then the log scales.

    Both are on the scale on which bytes run from -1 to 1, where the outputs of a fresh network belong; the distribution holds
    them in pixel values.
    """

    def build(array: Array) -> DiscretisedLogistic:
        location, raw = jnp.split(array, 2, axis=-1)
        return DiscretisedLogistic(location=CENTRE * (1.0 + location), log_scale=math.log(CENTRE) + smooth_bound(raw, limit))

    return Family(outputs=widened(shape, 2), build=build)


def discretised_logistic_mixture(shape: Shape, components: int = 10, limit: float = SCALE_LIMIT) -> Family:
    """Bytes 0..255 with coupled channels: (..., K (1 + 2 C + C (C-1)/2)) for data (..., C), 100 for K = 10 and RGB.

    For each pixel K logits, and for each component C locations, C log scales, and the tanh of the couplings of a channel to
    those before it (Salimans et al. 2017, section 2.1), on the scale on which bytes run from -1 to 1.
    """
    *sites, channels = _nonempty(shape)
    pairs = channels * (channels - 1) // 2
    rows, columns = [c for c in range(channels) for _ in range(c)], [i for c in range(channels) for i in range(c)]

    def build(array: Array) -> DiscretisedLogisticMixture:
        logits, rest = jnp.split(array, [components], axis=-1)
        rest = rest.reshape(*sites, components, 2 * channels + pairs)
        location, raw, lower = jnp.split(rest, [channels, 2 * channels], axis=-1)
        coupling = jnp.zeros((*sites, components, channels, channels), array.dtype)
        return DiscretisedLogisticMixture(
            logits=logits,
            location=CENTRE * (1.0 + location),
            log_scale=math.log(CENTRE) + smooth_bound(raw, limit),
            coupling=coupling.at[..., rows, columns].set(jnp.tanh(lower)) if pairs else None,
        )

    return Family(outputs=(*sites, components * (1 + 2 * channels + pairs)), build=build)


def categorical(shape: Shape, levels: int = 256) -> Family:
    """Pixel values 0..levels-1 as classes without an order: (*shape, levels) logits."""

    def build(logits: Array) -> Categorical:
        return Categorical(logits=logits, data_space="uint8")

    return Family(outputs=(*shape, levels), build=build)


def tokens(length: int | Shape, vocabulary: int) -> Family:
    """A sequence (or an array) of tokens, independent given z: (length, vocabulary) logits. Pad with `masked`."""
    return Family(outputs=(*((length,) if isinstance(length, int) else length), vocabulary), build=Categorical)


def classes(sizes: Sequence[int]) -> Family:
    """Classes of so many categories each: sum(sizes) logits behind each other, padded to the widest by `IMPOSSIBLE`."""
    within = np.arange(max(sizes))
    there = within < np.array(sizes)[:, None]
    index = np.where(there, np.cumsum([0, *sizes[:-1]])[:, None] + within, 0)

    def build(logits: Array) -> Categorical:
        return Categorical(logits=jnp.where(there, logits[index], IMPOSSIBLE))

    return Family(outputs=(sum(sizes),), build=build)


def poisson(shape: Shape, limit: float = COUNT_LIMIT) -> Family:
    """Counts whose variance is their mean: a log rate for each entry. For `library_size` see `log_mean`."""

    def build(raw: Array, library_size: Float[Array, ""] | float | None = None) -> Poisson:
        return Poisson(log_rate=log_mean(raw, library_size, limit))

    return Family(outputs=shape, build=build)


def negative_binomial(shape: Shape, limit: float = COUNT_LIMIT) -> Family:
    """Overdispersed counts: (..., 2 C) for data (..., C), the log means and then the log inverse dispersions.

    For `library_size` see `log_mean`.
    """

    def build(array: Array, library_size: Float[Array, ""] | float | None = None) -> NegativeBinomial:
        mean, dispersion = jnp.split(array, 2, axis=-1)
        return NegativeBinomial(log_mean=log_mean(mean, library_size, limit), log_dispersion=smooth_bound(dispersion, limit))

    return Family(outputs=widened(shape, 2), build=build)


def zero_inflated_negative_binomial(shape: Shape, limit: float = COUNT_LIMIT) -> Family:
    """Single-cell counts: (..., 3 C) for data (..., C), the log means, the log inverse dispersions, the logits of a dropout.

    For `library_size` see `log_mean`. (Lopez et al. 2018, online methods.)
    """

    def build(array: Array, library_size: Float[Array, ""] | float | None = None) -> ZeroInflated:
        mean, dispersion, logits = jnp.split(array, 3, axis=-1)
        base = NegativeBinomial(log_mean=log_mean(mean, library_size, limit), log_dispersion=smooth_bound(dispersion, limit))
        return ZeroInflated(base=base, logits=logits)

    return Family(outputs=widened(shape, 3), build=build)


COLUMNS: Mapping[str, Callable[[Sequence[Column]], Family]] = {
    "real": lambda columns: normal_learned_std((len(columns),)),
    "binary": lambda columns: bernoulli((len(columns),)),
    "count": lambda columns: negative_binomial((len(columns),)),
    "tokens": lambda columns: classes([len(column.categories) for column in columns]),
}
"""The likelihood of the columns of a table that are of one space."""


def mixed(columns: Sequence[Column]) -> Family:
    """The columns of a table, independent given z, each by its space as `COLUMNS` has it; see `Mixed`.

    The outputs are one vector: those of all real columns (the means, then the log stds), of all binary ones (the logits), of
    all counts (the log means, then the log inverse dispersions), of all classes (the logits of the first, of the second, ...).

    Raises ValueError for no columns, a column of another space, and one of classes without categories.
    """
    unusable = [c.name for c in columns if c.space not in COLUMNS or (c.space == "tokens" and not c.categories)]
    if not columns or unusable:
        raise ValueError(
            f"mixed got {f'the column {unusable[0]!r}' if unusable else 'no columns'}; wanted columns of the spaces "
            f"{', '.join(COLUMNS)}, the last with its categories."
        )
    places = [tuple(i for i, column in enumerate(columns) if column.space == space) for space in COLUMNS]
    parts = [of([columns[i] for i in own]) for of, own in zip(COLUMNS.values(), places, strict=True) if own]
    ends = np.cumsum([part.outputs[0] for part in parts]).tolist()

    def build(array: Array) -> Mixed:
        pieces = jnp.split(array, ends[:-1])
        built = tuple(part.build(piece) for part, piece in zip(parts, pieces, strict=True))
        return Mixed(parts=built, places=tuple(filter(None, places)))

    return Family(outputs=(ends[-1],), build=build)


def log_mean(raw: Float[Array, "*event"], library_size: Float[Array, ""] | float | None, limit: float) -> Array:
    """The log means of counts: the bounded output itself, or the shares of a known total.

    With a library size (the total count of a cell, from the context of the example: `family.build(array, library_size)`) the
    output is a logit and the mean library_size * softmax(raw), over all entries together.
    """
    if library_size is None:
        return smooth_bound(raw, limit)
    return jnp.log(library_size) + raw - jax.nn.logsumexp(raw)


def dequantised(family: Family) -> Family:
    """A family of real data in [0, 1], made a likelihood of bytes with noise; see `Dequantised`."""

    def build(*array_and_params: Any) -> Dequantised:
        return Dequantised(base=family.build(*array_and_params))

    return family._replace(build=build)


def masked(likelihood: Factorised, mask: Bool[Array, "*event"], fill: float = 0) -> Masked:
    """`likelihood`, scored where `mask` is true: for missing data and padding; see `Masked`."""
    return Masked(base=likelihood, mask=mask, fill=fill)


def widened(shape: Shape, factor: int) -> Shape:
    """`shape` with `factor` numbers for each entry of its last axis."""
    *sites, channels = _nonempty(shape)
    return (*sites, factor * channels)


def _with_learned_scale(family: Callable[[Array, Array], Normal | Laplace], shape: Shape, limit: float) -> Family:
    """A family of locations and log scales, both read off the network."""

    def build(array: Array) -> Normal | Laplace:
        mean, raw = jnp.split(array, 2, axis=-1)
        return family(mean, smooth_bound(raw, limit))

    return Family(outputs=widened(shape, 2), build=build)


def _nonempty(shape: Shape) -> Shape:
    """Refuse the shape of a scalar, which has no axis to hold several numbers."""
    if len(shape) == 0:
        raise ValueError("a likelihood with several numbers per entry got shape (), wanted an axis to hold them: use (1,).")
    return shape
