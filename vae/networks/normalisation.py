"""Normalisation layers that see one example.

A normalisation, as an argument of the networks here, is a function `training -> Linen module`, applied to every hidden layer
before its activation; None means none.
"""

from collections.abc import Callable

import flax.linen as nn
from jaxtyping import Array, Float

Normalisation = Callable[[bool], nn.Module]


def group_norm(groups: int = 8, epsilon: float = 1e-5) -> Normalisation:
    """Each example and each group of neighbouring channels to mean 0 and variance 1, then scaled and shifted per channel:

        y = scale (x - mean) / sqrt(variance + epsilon) + bias

    with moments over all places and the channels of the group (Wu & He 2018, eq. 1 and 7). One group is layer normalisation.
    Raises ValueError where the groups do not divide the channels.
    """

    def layer(training: bool) -> nn.Module:
        del training
        return GroupNorm(groups=groups, epsilon=epsilon)

    return layer


def batch_norm(momentum: float = 0.9, epsilon: float = 1e-5) -> Normalisation:
    """Each channel to mean 0 and variance 1 over all places and the batch (Ioffe & Szegedy 2015, algorithm 1).

    In training the batch is the axis that `jax.vmap(..., axis_name="batch")` names; every example of it counts, padding too:
    see `Batch`. Otherwise the running averages of the state are used, average <- momentum * average + (1 - momentum) * batch.
    """

    def layer(training: bool) -> nn.Module:
        axis = "batch" if training else None
        return nn.BatchNorm(use_running_average=not training, axis_name=axis, momentum=momentum, epsilon=epsilon)

    return layer


def normalised(x: Array, normalisation: Normalisation | None, training: bool) -> Array:
    """`x` after the layer that `normalisation` makes, as a submodule of the Linen module that calls this."""
    return x if normalisation is None else normalisation(training)(x)


class GroupNorm(nn.Module):
    """Linen's GroupNorm takes the leading axis for the batch unless it is given every axis; this one gives them."""

    groups: int
    epsilon: float

    @nn.compact
    def __call__(self, x: Float[Array, "*sites channels"]) -> Float[Array, "*sites channels"]:
        """The normalised example."""
        channels, axes = x.shape[-1], tuple(range(x.ndim))
        if self.groups < 1 or channels % self.groups:
            raise ValueError(f"group_norm got {self.groups} groups for {channels} channels, wanted a divisor of the channels.")
        return nn.GroupNorm(num_groups=self.groups, epsilon=self.epsilon, reduction_axes=axes, use_fast_variance=False)(x)
