"""Examples of which some entries are missing: a context {"observed": mask} beside x, and {"given": ...} where there is more.

What is missing costs nothing and is seen by no network, so that a model learns p(x_observed); what it says of the missing
entries are draws given the others. Sequences shorter than the longest are the same case.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from vae.distributions import Distribution, Masked
from vae.settings import Settings
from vae.spec import GIVEN, OBSERVED, Data
from vae.types import Key, Model, Params, PyTree, Trace


def all_observed(data: Data, number: int, given: PyTree = ()) -> dict[str, PyTree]:
    """The context of `number` rows without a missing entry, for samples from the prior of a model whose data may lack some.

    data:  what the model was built for (`trained.spec`).
    given: rows of what it is conditioned on beside the mask, () for nothing.

    >>> context = all_observed(Data(shape=(3,), space="real"), 2)
    >>> context["observed"].tolist()
    [[True, True, True], [True, True, True]]
    """
    mask = {OBSERVED: jnp.ones((number, *data.shape), bool)}
    return mask if isinstance(given, tuple) and given == () else {**mask, GIVEN: given}


def with_missing(model: Model) -> Model:
    """The model whose likelihood is that of the observed entries, by the mask in the context; see `Masked`.

        log p(x_observed | z) = sum over observed i of log p(x_i | z)

    model: with independent entries given z. It gets x with 0 in the place of what is missing, so that nothing that stands there
           shows; its networks get the whole context, mask and all: see `vae.models.views` for what they make of it.
    """

    def infer(params: Params, state: PyTree, x: Array, context: PyTree, settings: Settings) -> Callable[..., Trace]:
        filled = jnp.where(context[OBSERVED], x, jnp.zeros_like(x))
        draw = model.infer(params, state, filled, context, settings)

        def of_observed(key: Key, values: tuple = ()) -> Trace:
            trace = draw(key, values)
            return trace._replace(likelihood=observed_part(trace.likelihood, context))

        return of_observed

    def decode(params: Params, state: PyTree, values: tuple, context: PyTree) -> Masked:
        return observed_part(model.decode(params, state, values, context), context)

    return model._replace(infer=infer, decode=decode)


def observed_part(likelihood: Distribution, context: PyTree) -> Masked:
    """A likelihood of what the context's mask says is observed."""
    return Masked(base=likelihood, mask=context[OBSERVED])
