"""What is benchmarked: each preset is a model, an objective and the matrix products that a step cannot do without.

A later family is one more entry of `PRESETS`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import vae
from vae.evaluation.evidence import ROWS_IN_FLIGHT
from vae.objectives import importance_weighted
from vae.types import Model, Objective


class Layer(NamedTuple):
    """The matrix products of one layer in one step: y = x W with x (rows, inputs) and W (inputs, outputs).

    products: 1 for y alone; 2 with the gradient of W, x' dy; 3 with that of x as well, dy W'.
    """

    rows: int
    inputs: int
    outputs: int
    products: int = 3

    @property
    def flops(self) -> int:
        """Two per multiplication with addition."""
        return 2 * self.products * self.rows * self.inputs * self.outputs


class Preset(NamedTuple):
    """One row of the benchmark.

    model:     a reference to a function from `Data` to a Model.
    layers:    its matrix products in one step; the benchmark's limit is made of them.
    objective: what is minimised.
    samples:   importance samples per example; 0 for the analytic ELBO.
    shape:     of one image.
    images:    of one evaluation; 0 for a preset that trains.
    repeats:   how often the layers are multiplied in one step.
    log_every: steps between records of the run, which bounds its chunks: about a second of them.
    groups:    of latent variables; the peers that train have models with one.
    """

    model: vae.Reference
    layers: tuple[Layer, ...]
    objective: Callable[[], Objective] = vae.elbo
    batch_size: int = 128
    samples: int = 0
    shape: tuple[int, int, int] = (28, 28, 1)
    images: int = 0
    repeats: int = 1
    log_every: int = 100
    groups: int = 1

    @property
    def flops(self) -> int:
        """Of the matrix products of a step."""
        return self.repeats * sum(layer.flops for layer in self.layers)

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the model's function."""
        return self.model.arguments

    @property
    def convolutional(self) -> bool:
        """Whether the networks are convolutional."""
        return "widths" in self.arguments

    def build(self, data: vae.Data) -> Model:
        """The model for these data."""
        return vae.resolve(self.model, data)


def dense_layers(rows: int, widths: Sequence[int], first: int = 3, others: int = 3) -> tuple[Layer, ...]:
    """The layers of a fully connected network; the first one of an encoder needs no gradient of its input: `first` is 2."""
    products = [first, *[others] * (len(widths) - 2)]
    return tuple(Layer(rows, n, m, p) for n, m, p in zip(widths[:-1], widths[1:], products, strict=True))


def conv_layers(batch: int, side: int, widths: Sequence[int], latent_dim: int) -> tuple[Layer, ...]:
    """The layers of `vae.models.convolutional` on gray images, as the matrix products that its networks are made of.

    The last one has more outputs than its four pixels times the places: it multiplies every place of the padded map.
    """
    sides = [side // 2**level for level in range(len(widths) + 1)]
    channels = [1, *widths]
    features = sides[-1] ** 2 * channels[-1]
    down = [Layer(batch * sides[i + 1] ** 2, 16 * channels[i], channels[i + 1], 2 if i == 0 else 3) for i in range(len(widths))]
    up = [Layer(batch * (sides[i] + 1) ** 2, 4 * channels[i], 4 * channels[i - 1]) for i in range(len(widths), 1, -1)]
    last = Layer(batch * (sides[1] + 2) ** 2, channels[1], 16)
    return (*down, Layer(batch, features, 2 * latent_dim), Layer(batch, latent_dim, features), *up, last)


TANH = vae.reference_to(vae.models.mlp, latent_dim=50, hidden=(200, 200), activation="tanh")
"""784-200-200-50, the one-layer model of Burda et al. 2016."""


def iwae(samples: int, batch_size: int = 128) -> Preset:
    """784-200-200-50 with K importance samples."""
    return Preset(
        model=TANH,
        objective=lambda: importance_weighted(samples),
        batch_size=batch_size,
        samples=samples,
        log_every=100 if samples < 50 else 10,
        layers=dense_layers(batch_size, (784, 200, 200, 100), first=2)
        + dense_layers(batch_size * samples, (50, 200, 200, 784)),
    )


def conv(side: int, batch_size: int = 128) -> Preset:
    """Two levels of 32 and 64 channels and 16 latent dimensions."""
    return Preset(
        model=vae.reference_to(vae.models.convolutional, latent_dim=16, widths=(32, 64)),
        batch_size=batch_size,
        shape=(side, side, 1),
        log_every=10,
        layers=conv_layers(batch_size, side, (32, 64), 16),
    )


def ladder(batch_size: int = 128) -> Preset:
    """The default ladder: three groups, of which each has an output on the way up and a network on the way down."""
    latent_dims, hidden = (64, 32, 16), (512, 256, 128)
    up = dense_layers(batch_size, (784, *(width for width in hidden for _ in range(2))), first=2)
    heads = [Layer(batch_size, width, 2 * latent_dim) for width, latent_dim in zip(hidden, latent_dims, strict=True)]
    outputs = (784, *(2 * latent_dim for latent_dim in latent_dims[:-1]))
    down = [
        layer
        for latent_dim, width, size in zip(latent_dims, hidden, outputs, strict=True)
        for layer in dense_layers(batch_size, (latent_dim, width, width, size))
    ]
    model = vae.reference_to(vae.models.ladder, latent_dims=latent_dims, hidden=[(width, width) for width in hidden])
    return Preset(model=model, layers=(*up, *heads, *down), batch_size=batch_size, groups=3)


def evaluation(images: int, samples: int) -> Preset:
    """NLL-K of 784-200-200-50: the decoder once per importance sample, as many rows at once as the library has in flight.

    The encoder, once per image, is under a thousandth of it and is not counted.
    """
    return Preset(
        model=TANH,
        batch_size=100,
        samples=samples,
        images=images,
        layers=dense_layers(ROWS_IN_FLIGHT, (50, 200, 200, 784), 1, 1),
        repeats=-(-images * samples // ROWS_IN_FLIGHT),
    )


PRESETS: dict[str, Preset] = {
    "mlp": Preset(
        model=vae.reference_to(vae.models.mlp, latent_dim=20, hidden=(400,)),
        layers=dense_layers(128, (784, 400, 40), first=2) + dense_layers(128, (20, 400, 784)),
    ),
    "vamp": Preset(
        model=vae.reference_to(vae.models.mlp, latent_dim=20, hidden=(400,), latents="normal_vamp"),
        objective=lambda: vae.elbo(vae.objectives.log_ratio),
        layers=dense_layers(128, (784, 400, 40), first=2)
        + dense_layers(500, (784, 400, 40))
        + dense_layers(128, (20, 400, 784)),
    ),
    "iwae-1": iwae(1),
    "iwae-5": iwae(5),
    "iwae-50": iwae(50),
    "conv28": conv(28),
    "conv64": conv(64),
    "ladder": ladder(),
    "evaluation": evaluation(images=200, samples=5_000),
    "evaluation-50": evaluation(images=2_000, samples=50),
}
"""By name."""

QUICK_PRESETS: dict[str, Preset] = PRESETS | {"evaluation": evaluation(images=100, samples=200)}
"""The same, with an evaluation that is short."""
