"""What every distribution shares: the protocol, the pytree registration, and the refusal of values of another shape.

A distribution here is ONE example: a frozen dataclass whose fields are arrays without a batch axis. `log_prob` is
summed over the event and has shape (). Batches, importance samples and seeds are axes that the caller adds with
`jax.vmap`, which is why there is no batch shape, event shape or broadcasting rule to remember.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, dataclass_transform, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.spaces import CONTINUOUS
from vae.spaces import DataSpace as DataSpace

T = TypeVar("T")


@runtime_checkable
class Distribution(Protocol):
    """A probability distribution over one example.

    Besides these members a family has what exists for it in closed form: the properties `mean`, `mode` and `variance`,
    and the method `entropy()` in nats. A family without a density (a deterministic encoder) raises TypeError in `log_prob`.

    It declares, as class variables, what the signatures do not say:

        reparameterised: ClassVar[bool] = True     see `is_reparameterised`; without it, no
        is_density: ClassVar[bool] = False         see `is_density`; without it, yes
        own_draws_only: ClassVar[bool] = True      see `is_of_own_draws_only`; without it, no
    """

    @property
    def data_space(self) -> DataSpace:
        """What the values are; a class variable in most families."""
        ...

    def sample(self, key: Array) -> Array:
        """Draw one value."""
        ...

    def sample_and_log_prob(self, key: Array) -> tuple[Array, Array]:
        """Draw one value z and return it with log q(z), without inverting a transformation where that can be avoided."""
        ...

    def log_prob(self, value: Array) -> Float[Array, ""]:
        """Log density (or log mass) of `value` in nats, summed over the event."""
        ...


def is_reparameterised(distribution: Any) -> bool:
    """Whether the family declares that a draw passes a gradient back to every parameter; silence means no.

    The derivative of f(z) along the draw is then the whole derivative of E[f(z)], or, where the family says so, a biased
    stand-in for it (straight-through).
    """
    return getattr(distribution, "reparameterised", False)


def is_continuous(distribution: Any) -> bool:
    """Whether its values are real numbers, along which one can go; classes and codes are none."""
    return distribution.data_space in CONTINUOUS


def is_density(distribution: Any) -> bool:
    """Whether exp log_prob integrates (or sums) to one; silence means yes, since that is what `log_prob` is defined to be."""
    return getattr(distribution, "is_density", True)


def is_of_own_draws_only(distribution: Any) -> bool:
    """Whether its density is known at its own draws only, by `sample_and_log_prob`; silence means no."""
    return getattr(distribution, "own_draws_only", False)


def of_base(declared: Callable[[Any], T], part: str = "base") -> Any:
    """A property of a distribution around another one, its field `part`: what that one declares.

    declared: such as `is_reparameterised`.
    """
    return property(lambda self: declared(getattr(self, part)), doc=f"That of `{part}`: {declared.__doc__}")


def space_of(distribution: Any) -> DataSpace:
    """What the values of a distribution are."""
    return distribution.data_space


@dataclass_transform(frozen_default=True)
def distribution(cls: type[T]) -> type[T]:
    """Turn a class into a frozen dataclass that is a JAX pytree.

    Fields are children; those declared with `static_field()` are part of the tree structure. `__post_init__`, where a family
    refuses bad parameters, runs only when a user constructs the object: rebuilding one from leaves (in `jit`, `vmap`, `grad`)
    skips it, so that transformations may put what they like in the leaves.
    """
    cls = dataclasses.dataclass(frozen=True)(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    children = tuple(f.name for f in fields if not f.metadata.get("static"))
    static = tuple(f.name for f in fields if f.metadata.get("static"))

    def flatten(obj):
        return tuple(getattr(obj, name) for name in children), tuple(getattr(obj, name) for name in static)

    def flatten_with_keys(obj):
        pairs = tuple((jax.tree_util.GetAttrKey(name), getattr(obj, name)) for name in children)
        return pairs, tuple(getattr(obj, name) for name in static)

    def unflatten(aux, leaves):
        obj = object.__new__(cls)
        for name, value in zip(children + static, (*leaves, *aux), strict=True):
            object.__setattr__(obj, name, value)
        return obj

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


def static_field(**kwargs: Any) -> Any:
    """A dataclass field that is structure, not data: it is hashed, never traced."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


def require_value(family: Any, value: Any, event: tuple[int, ...]) -> None:
    """Refuse a value of another shape than the event's: broadcasting would count components twice, or a normaliser once."""
    if jnp.shape(value) != event:
        raise ValueError(
            f"the log density of {type(family).__name__} over {event} was asked at a value of shape {jnp.shape(value)}; "
            "wanted equal shapes: reshape the value, and add batch axes with jax.vmap."
        )


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of an array or of a Python number."""
    return tuple(jnp.shape(value))


def sum_over_event(family: Any, value: Any) -> Float[Array, ""]:
    """The sum of `element_log_prob` for a family all of whose parameters have the shape of the event.

    It is taken over one long axis: XLA's CPU code is far slower at a sum over the axes of an image whose last one has length 1.
    """
    for parameter in jax.tree.leaves(family):
        require_value(family, value, jnp.shape(parameter))
    if jnp.ndim(value) > 1:
        family, value = jax.tree.map(jnp.ravel, (family, value))
    return jnp.sum(family.element_log_prob(value))
