"""What data need around a model: units, views of columns and tokens, missing values; for models of every structure."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from vae.models.choices import BY_SPACE, LIKELIHOODS, Observation, lookup
from vae.models.missing import with_missing
from vae.models.standardisation import standardised, standardised_data
from vae.models.views import decoder_view, encoder_view, through
from vae.spec import Data, may_be_missing
from vae.types import Family, Model, Network


class Seen(NamedTuple):
    """The data as a model sees them inside of what `for_data` puts around it.

    data:        with mean 0 and standard deviation 1 where they are standardised.
    likelihood:  the family of p(x | z).
    output_bias: where the outputs of the last layer start: at the mean example, 0 where it is not known.
    """

    data: Data
    likelihood: Family
    output_bias: Any

    def encoder(self, network: Network) -> Network:
        """A network of (x, context), which sees them as networks see these data: `encoder_view`."""
        return through(network, encoder_view(self.data))

    def decoder(self, network: Network) -> Network:
        """A network of (z, context), which sees no mask of missing entries: `decoder_view`."""
        return through(network, decoder_view(self.data))


def for_data(data: Data, compose: Callable[[Seen], Model], likelihood: str | None = None, std: float | None = None) -> Model:
    """The model that compose(seen) makes, with what the data need around it:

    a scale            the networks see (x - mean) / scale, the likelihood stays in the units of x: `standardised`
    columns, tokens    the encoder sees classes as one-hot vectors, and counts as logarithms: `encoder_view`
    an observed mask   what is missing is not scored, and not seen: `with_missing`

    likelihood: a name in `LIKELIHOODS`; without one that of `BY_SPACE`.
    std:        its standard deviation, where it has one to be given.

    Raises ValueError for examples that are no arrays, for an unknown name and for a std that there is not, or that is none.
    """
    if not data.shape:
        raise ValueError(
            "an example of the data has shape (), or is no single array; wanted an array of numbers for each: reshape one "
            "number to (1,), or make data of a dict with x, context and label by vae.data.array_splits."
        )
    observation = lookup("likelihood", LIKELIHOODS, BY_SPACE[data.space] if likelihood is None else likelihood)
    seen = standardised_data(data)
    model = compose(Seen(seen, family_of(observation, seen, std), output_bias(seen, observation)))
    model = model if data.scale is None else standardised(model, data)
    return with_missing(model) if may_be_missing(data.context) else model


def family_of(observation: Observation, data: Data, std: float | None) -> Family:
    """The likelihood of the data, with the standard deviation given; ValueError where there is none to give, or it is none."""
    if std is None:
        return observation.family(data)
    if observation.with_std is None:
        fixed = ", ".join(name for name, other in LIKELIHOODS.items() if other.with_std is not None)
        raise ValueError(f"std is {std}, but the likelihood has none to be given; leave std out, or use one of {fixed}.")
    if not (math.isfinite(std) and std > 0):
        raise ValueError(f"std is {std}; wanted a positive number.")
    return observation.with_std(data, std)


def output_bias(data: Data, observation: Observation) -> Any:
    """Where the decoder's output starts: at the mean example, in the likelihood's own parameters; at 0 where it is not known.

    A bias for each output in both cases: the shapes of a model rebuilt without the mean are those it was trained with.
    """
    return 0.0 if data.mean is None or observation.output_bias is None else observation.output_bias(data)
