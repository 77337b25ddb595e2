"""A model with its parameters: what training gives and everything that looks at it takes."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree as PyTree

from vae.distributions.base import Distribution
from vae.settings import Settings
from vae.spec import Data
from vae.types import Key, Model, Trace


@jax.tree_util.register_pytree_with_keys_class
class Trained:
    """A model with its parameters: what training gives, what `vae.load` reads, what everything in `vae.evaluation` takes first.

    model:       a Model; structure.
    params:      {"posterior": ..., "generative": ...}.
    model_state: what the model carries (codebook averages, batch statistics).
    settings:    the numbers that inference reads (a temperature), at the step of the parameters.
    spec:        what the model was built for, without mean and scale; structure. None where nothing is known of the data.

    A pytree, so that it is one argument of a jitted function; the model and the spec are part of its structure.
    """

    def __init__(
        self,
        model: Model,
        params: PyTree,
        model_state: PyTree = (),
        settings: Mapping[str, Any] | None = None,
        spec: Data | None = None,
    ):
        self.model = model
        self.params = params
        self.model_state = model_state
        self.settings = settings if isinstance(settings, Settings) else Settings(settings)
        self.spec = None if spec is None else spec._replace(mean=None, scale=None)

    def infer(self, x: PyTree, context: PyTree = ()) -> Callable[..., Trace]:
        """draw(key, values=()) -> Trace, of one example."""
        return self.model.infer(self.params, self.model_state, x, context, self.settings)

    def prior(self, key: Key, context: PyTree = (), values: tuple = (), temperature: Any = 1.0) -> tuple:
        """One ancestral sample of every latent group."""
        return self.model.prior(self.params, self.model_state, key, context, values, temperature)

    def decode(self, values: tuple, context: PyTree = ()) -> Distribution:
        """p(x | z, context) of one example."""
        return self.model.decode(self.params, self.model_state, values, context)

    def replace(self, **fields: Any) -> "Trained":
        """The same with other fields (`params`, `settings`, ...)."""
        names = ("model", "params", "model_state", "settings", "spec")
        return Trained(**{name: getattr(self, name) for name in names} | fields)

    def __repr__(self) -> str:
        count = sum(math.prod(jnp.shape(leaf)) for leaf in jax.tree.leaves(self.params))
        of = "" if self.spec is None else f" of {self.spec.space} data {self.spec.shape}"
        numbers = ", ".join(f"{name} {as_text(value)}" for name, value in self.settings.items())
        return f"Trained(a model{of} with {count:,} parameters{'; ' + numbers if numbers else ''})"

    def tree_flatten_with_keys(self):
        """Parameters, state and settings are leaves; the model and the spec are structure."""
        names = ("params", "model_state", "settings")
        children = tuple((jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in names)
        return children, _Structure(self.model, self.spec)

    @classmethod
    def tree_unflatten(cls, structure, children):
        """The inverse of `tree_flatten_with_keys`."""
        trained = object.__new__(cls)
        trained.model, trained.spec = structure.model, structure.spec
        trained.params, trained.model_state, trained.settings = children
        return trained


def as_text(number: Any) -> str:
    """A setting for the eye: a number, or how many of them there are."""
    return f"{float(number):.6g}" if np.ndim(number) == 0 else f"of {np.shape(number)}"


class _Structure:
    """The static part of a `Trained`: hashed by its model, since a context's shapes may stand in a dict."""

    def __init__(self, model: Model, spec: Data | None):
        self.model, self.spec = model, spec

    def __hash__(self) -> int:
        return hash(self.model)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Structure) and self.model == other.model and self.spec == other.spec
