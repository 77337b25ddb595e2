"""What a family with independent components offers beyond `Distribution`: its log density, unsummed."""

from typing import Protocol, runtime_checkable

from jaxtyping import Array

from vae.distributions.base import Distribution


@runtime_checkable
class Factorised(Distribution, Protocol):
    """A distribution over independent components; `log_prob` is the sum of `element_log_prob`.

    A component is an entry of the event, or, where entries belong together (the channels of a pixel in a mixture), the group
    of entries along the event's last axes.
    """

    def element_log_prob(self, value: Array) -> Array:
        """Log density (or log mass) of each component in nats."""
        ...


def require_factorised(wrapper: str, base: object) -> None:
    """Refuse a base whose log density comes as one number only."""
    if not hasattr(base, "element_log_prob"):
        raise TypeError(
            f"{wrapper} got a {type(base).__name__}, which has no element_log_prob; wanted a family of independent components, "
            "such as Normal, Bernoulli or Categorical: a joint density cannot be taken apart."
        )
