"""Latent groups that are observed: a label that is known for some examples (Kingma et al. 2014, section 3.1.2).

Where a batch gives the value of a group, that group is data: it costs -log p(value | parents), neither a KL nor a sample's log
ratio, and the bound is one on log p(x, value).
"""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions.base import DataSpace, distribution
from vae.types import Key, Latent, Model, PyTree, Trace


@distribution
class KnownValue:
    """The posterior of what is known: all mass at the value, whose log density counts as 0.

    value:    what was observed.
    inferred: q(z | x) that the model would have had, which has its uses (`objectives.classification`) and no part in the bound.
    """

    value: PyTree
    inferred: Any = None

    data_space: ClassVar[DataSpace] = "real"
    reparameterised: ClassVar[bool] = True

    @property
    def mean(self) -> PyTree:
        """The value."""
        return self.value

    def sample(self, key: Array) -> PyTree:
        """The value."""
        return self.value

    def sample_and_log_prob(self, key: Array) -> tuple[PyTree, Float[Array, ""]]:
        """The value and 0."""
        return self.value, jnp.zeros(())

    def log_prob(self, value: PyTree) -> Float[Array, ""]:
        """0, since it is only ever asked at the value."""
        return jnp.zeros(())


def any_observed(values: tuple) -> bool:
    """Whether the value of any group is given."""
    return any(value is not None for value in values)


def observing(draw: Callable[..., Trace], values: tuple) -> Callable[..., Trace]:
    """A model's draw in which the groups with a given value are observed; the others stay latent.

    values: of one example, in ancestral order, None for a group that is not observed.

    Raises ValueError for more values than the model has groups.
    """
    if not any_observed(values):
        return draw

    def observed_draw(key: Key, chosen: tuple = ()) -> Trace:
        trace = draw(key, merged(values, chosen))
        if len(values) > len(trace.latents):
            raise ValueError(f"got values for {len(values)} latent groups, but the model has {len(trace.latents)}; give fewer.")
        known = (*values, *(None,) * (len(trace.latents) - len(values)))
        pairs = zip(trace.latents, known, strict=True)
        return trace._replace(latents=tuple(latent if value is None else as_observed(latent) for latent, value in pairs))

    return observed_draw


def merged(values: tuple, chosen: tuple) -> tuple:
    """The observed values, and those chosen for the other groups."""
    count = max(len(values), len(chosen))
    first, second = ((*each, *(None,) * (count - len(each))) for each in (values, chosen))
    return tuple(other if value is None else value for value, other in zip(first, second, strict=True))


def as_observed(latent: Latent) -> Latent:
    """A group that is known."""
    return latent._replace(posterior=KnownValue(latent.value, inferred=latent.posterior), log_q=jnp.zeros(()))


def with_observed(model: Model, values: tuple) -> Model:
    """The model of one example of which some groups are observed; the model itself where none is."""
    if not any_observed(values):
        return model

    def infer(*arguments: Any) -> Callable[..., Trace]:
        return observing(model.infer(*arguments), values)

    return model._replace(infer=infer)
