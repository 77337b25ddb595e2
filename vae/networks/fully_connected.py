"""Fully connected networks."""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float

from vae.networks.base import Activation, Initialiser, checked_sizes, flatten, from_flax, output_bias_initialiser
from vae.networks.initialisers import glorot_uniform
from vae.networks.normalisation import Normalisation, normalised
from vae.requirements import require
from vae.types import Network, PyTree


def mlp(
    hidden: Sequence[int],
    outputs: tuple[int, ...],
    activation: Activation = nn.relu,
    kernel_init: Initialiser | None = None,
    normalisation: Normalisation | None = None,
    output_bias: Any = None,
    dropout: float = 0.0,
) -> Network:
    """A multilayer perceptron from (x, context) to an array of shape `outputs`:

        h_0 = [x, context],    h_i = activation(W_i h_(i-1) + b_i),    output = W h_n + b

    Every leaf of x and then of the context is flattened; uint8 becomes a number in [0, 1]. No hidden layer makes it linear.

    kernel_init:   start of the W, Glorot's uniform distribution by default.
    normalisation: `group_norm()` or `batch_norm()`, before each activation.
    output_bias:   start of the last b, a scalar or an array of shape `outputs`; zero by default.
    dropout:       share of the hidden units left out in training; of a decoder only, since an encoder has no key.

    Raises ValueError for widths and output sizes that are not positive integers, for a bias of another shape and for a share
    outside [0, 1).
    """
    require(0.0 <= dropout < 1.0, f"mlp got dropout = {dropout}, wanted a share in [0, 1).")
    hidden, outputs = checked_sizes("mlp", "hidden widths", hidden), checked_sizes("mlp", "outputs", outputs)
    layers = HiddenLayers(hidden, activation, kernel_init or glorot_uniform(), normalisation, dropout)
    module = _MLP(layers, outputs, output_bias_initialiser("mlp", output_bias, outputs))
    return from_flax(module, stochastic=dropout > 0.0)


def mlp_ladder(
    hidden: Sequence[Sequence[int]],
    outputs: Sequence[tuple[int, ...]],
    activation: Activation = nn.relu,
    kernel_init: Initialiser | None = None,
    normalisation: Normalisation | None = None,
) -> Network:
    """A multilayer perceptron with an output at several levels, the highest first:

        d_0 = [x, context],    d_l = the layers hidden[l - 1] of d_(l-1),    output_l = W_l d_l + b_l

    hidden:  widths of the layers of each level, from x upwards.
    outputs: shape of the output of each level, from x upwards; the network gives them from the top down, as a tuple.

    (Sonderby et al. 2016, eq. 10 to 12.) The other arguments and the errors are those of `mlp`; ValueError too for another
    number of outputs than levels.
    """
    if len(hidden) != len(outputs) or not hidden:
        raise ValueError(
            f"mlp_ladder got {len(hidden)} levels of hidden layers and {len(outputs)} outputs; wanted equally many."
        )
    levels = tuple(
        HiddenLayers(
            checked_sizes("mlp_ladder", "hidden widths", each), activation, kernel_init or glorot_uniform(), normalisation
        )
        for each in hidden
    )
    return from_flax(_Ladder(levels, tuple(checked_sizes("mlp_ladder", "outputs", each) for each in outputs)))


class HiddenLayers(nn.Module):
    """Dense layers from a vector to a vector; the vector itself where there are none."""

    widths: tuple[int, ...]
    activation: Activation
    kernel_init: Initialiser
    normalisation: Normalisation | None
    dropout: float = 0.0

    @nn.compact
    def __call__(self, features: Float[Array, "inputs"], training: bool = False) -> Float[Array, "width"]:
        """The features of the last layer."""
        for width in self.widths:
            features = nn.Dense(width, kernel_init=self.kernel_init)(features)
            features = self.activation(normalised(features, self.normalisation, training))
            features = nn.Dropout(self.dropout, deterministic=not training)(features) if self.dropout else features
        return features


class _MLP(nn.Module):
    hidden: HiddenLayers
    outputs: tuple[int, ...]
    bias_init: Initialiser

    @nn.compact
    def __call__(self, x: PyTree, context: PyTree = (), training: bool = False) -> Float[Array, "*outputs"]:
        features = self.hidden(flatten((x, context)), training)
        size, kernel_init = math.prod(self.outputs), self.hidden.kernel_init
        last = nn.Dense(size, kernel_init=kernel_init, bias_init=self.bias_init, name="output")
        return last(features).reshape(self.outputs)


class _Ladder(nn.Module):
    levels: tuple[HiddenLayers, ...]
    outputs: tuple[tuple[int, ...], ...]

    @nn.compact
    def __call__(self, x: PyTree, context: PyTree = (), training: bool = False) -> tuple[Array, ...]:
        features, found = flatten((x, context)), []
        for index, (level, outputs) in enumerate(zip(self.levels, self.outputs, strict=True), 1):
            features = level(features, training)
            last = nn.Dense(math.prod(outputs), kernel_init=level.kernel_init, name=f"output_{index}")
            found.append(last(features).reshape(outputs))
        return tuple(reversed(found))
