"""PyTorch as a contestant: its own example's loop, the same with the data resident, and the resident loop compiled.

All three take the binary cross-entropy and the KL summed over the batch, as the example does, and Adam. Importance weighting
and convolutions are written as a PyTorch user would: samples as a leading axis, `Conv2d` and `ConvTranspose2d` with 4x4 filters
and stride 2.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.trainer import LEARNING_RATE, Problem, Trainer, Weights

if TYPE_CHECKING:
    from benchmarks.presets import Preset

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}
HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def device() -> torch.device:
    """The accelerator where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def use_all_cores() -> int:
    """As many threads as this process may use cores; returns how many."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    return torch.get_num_threads()


class PixelBias(nn.Module):
    """One bias for every output, as our decoders have."""

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(*shape))

    def forward(self, x):
        """The sum."""
        return x + self.bias


def dense(widths: Sequence[int], activation: str) -> nn.Sequential:
    """Fully connected layers with an activation between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


def convolutions(preset: "Preset") -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder and decoder of a convolutional preset, images as (batch, channels, height, width)."""
    height, width, channels = preset.shape
    widths, latent_dim = [channels, *preset.arguments["widths"]], preset.arguments["latent_dim"]
    levels = len(widths) - 1
    coarse = (widths[-1], height // 2**levels, width // 2**levels)
    features = math.prod(coarse)
    down, up = (
        [nn.Unflatten(1, (channels, height, width))],
        [nn.Linear(latent_dim, features), nn.ReLU(), nn.Unflatten(1, coarse)],
    )
    for inputs, outputs in pairwise(widths):
        down += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.ReLU()]
    for inputs, outputs in zip(widths[:1:-1], widths[-2:0:-1], strict=True):
        up += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.ReLU()]
    last = nn.ConvTranspose2d(widths[1], channels, 4, 2, 1, bias=False)
    encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(features, 2 * latent_dim))
    return encoder, nn.Sequential(*up, last, PixelBias((channels, height, width)), nn.Flatten())


class VAE(nn.Module):
    """A variational autoencoder on flat images, with a Gaussian posterior by its log variance."""

    def __init__(self, preset: "Preset"):
        super().__init__()
        pixels, latent_dim = math.prod(preset.shape), preset.arguments["latent_dim"]
        if preset.convolutional:
            self.encoder, self.decoder = convolutions(preset)
        else:
            hidden, activation = preset.arguments["hidden"], preset.arguments.get("activation", "relu")
            self.encoder = dense((pixels, *hidden, 2 * latent_dim), activation)
            self.decoder = dense((latent_dim, *reversed(hidden), pixels), activation)

    def forward(self, x, noise):
        """Logits, means, log variances and codes; noise (batch, latent), or (samples, batch, latent)."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_variance) * noise
        return self.decoder(z), mean, log_variance, z


def negative_elbo(model: VAE, x, noise):
    """Binary cross-entropy of the probabilities plus KL, summed over the batch: the loss of the example."""
    logits, mean, log_variance, _ = model(x, noise)
    reconstruction = F.binary_cross_entropy(torch.sigmoid(logits), x, reduction="sum")
    kl = -0.5 * torch.sum(1.0 + log_variance - mean.pow(2) - log_variance.exp())
    return reconstruction + kl


def negative_iwae(model: VAE, x, noise):
    """Minus the log of the mean weight, summed over the batch; noise (samples, batch, latent)."""
    logits, _, log_variance, z = model(x, noise)
    log_p_x = -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)
    log_p_z = -(0.5 * z.pow(2) + HALF_LOG_TWO_PI).sum(-1)
    log_q = -(0.5 * noise.pow(2) + 0.5 * log_variance + HALF_LOG_TWO_PI).sum(-1)
    return -(torch.logsumexp(log_p_x + log_p_z - log_q, dim=0) - math.log(noise.shape[0])).sum()


def trainer(problem: Problem, source: Callable[[Problem], Iterator], compiled: bool) -> Trainer:
    """A training loop: batches of gray images from `source`, binarised, one optimiser step each, the loss read every time.

    Reading it (`loss.item()`) is what the example does; only the compiled loop leaves it out.
    """
    use_all_cores()
    preset, where = problem.preset, device()
    model = VAE(preset).to(where)
    if problem.weights is not None:
        load_dense(model, problem.weights)
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    objective = negative_iwae if preset.samples else negative_elbo
    shape = (preset.samples,) if preset.samples else ()
    latent_dim = preset.arguments["latent_dim"]

    def loss_of(x, noise):
        return objective(model, x, noise)

    if compiled:
        loss_of = torch.compile(loss_of, mode="reduce-overhead" if where.type == "cuda" else None)

    def step(x, noise):
        optimiser.zero_grad()
        loss = loss_of(x, noise)
        loss.backward()
        optimiser.step()
        return loss

    def given(x, noise) -> float:
        noise = np.moveaxis(noise, 1, 0) if preset.samples else noise
        loss = step(torch.tensor(x, device=where), torch.tensor(noise, device=where))
        return loss.item() / len(x)

    stream = source(problem)

    def run(steps: int) -> None:
        for _ in range(steps):
            x = torch.bernoulli(next(stream).to(where))
            loss = step(x, torch.randn(*shape, len(x), latent_dim, device=where))
            if not compiled:
                loss.item()
        if where.type == "cuda":
            torch.cuda.synchronize()

    return Trainer(run, given, lambda: dense_of(model))


class _Images(torch.utils.data.Dataset):
    """Stored uint8 images, one at a time through the usual transform: to a tensor, channels first, in [0, 1]."""

    def __init__(self, images: np.ndarray):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int):
        image = torch.from_numpy(self.images[index]).permute(2, 0, 1).contiguous()
        return image.to(torch.float32).div(255.0), 0


def from_loader(problem: Problem) -> Iterator[Any]:
    """Batches as the example gets them: a shuffling DataLoader over single images, in this process."""
    loader = torch.utils.data.DataLoader(
        _Images(problem.images), batch_size=problem.preset.batch_size, shuffle=True, drop_last=True
    )
    while True:
        for images, _ in loader:
            yield images.reshape(len(images), -1)


def resident(problem: Problem) -> Iterator[Any]:
    """Batches gathered from one float tensor that lives on the device."""
    where, batch_size = device(), problem.preset.batch_size
    pixels = torch.tensor(problem.images, device=where).reshape(len(problem.images), -1).to(torch.float32) / 255.0
    while True:
        order = torch.randperm(len(pixels), device=where)
        for start in range(0, len(pixels) - batch_size + 1, batch_size):
            yield pixels[order[start : start + batch_size]]


def build_example(problem: Problem) -> Trainer:
    """The loop of PyTorch's own VAE example."""
    return trainer(problem, from_loader, compiled=False)


def build_resident(problem: Problem) -> Trainer:
    """The same without a loader."""
    return trainer(problem, resident, compiled=False)


def build_compiled(problem: Problem) -> Trainer:
    """The resident loop with loss and gradient compiled; on a GPU as CUDA graphs."""
    return trainer(problem, resident, compiled=True)


def linear_layers(network: nn.Sequential) -> list[nn.Linear]:
    """The linear layers in order."""
    return [layer for layer in network if isinstance(layer, nn.Linear)]


@torch.no_grad()
def load_dense(model: VAE, weights: Weights) -> None:
    """Copy weights in; the log variance is twice the log standard deviation."""
    for name, network in (("encoder", model.encoder), ("decoder", model.decoder)):
        for layer, (kernel, bias) in zip(linear_layers(network), weights[name], strict=True):
            layer.weight.copy_(torch.tensor(kernel.T))
            layer.bias.copy_(torch.tensor(bias))
    scale_log_variance(linear_layers(model.encoder)[-1], 2.0)


def scale_log_variance(layer: nn.Linear, factor: float) -> None:
    """Multiply the second half of a layer's outputs."""
    half = layer.out_features // 2
    layer.weight[half:] *= factor
    layer.bias[half:] *= factor


@torch.no_grad()
def dense_of(model: VAE) -> Weights:
    """The inverse of `load_dense`."""
    weights = {
        name: [(layer.weight.T.cpu().numpy().copy(), layer.bias.cpu().numpy().copy()) for layer in linear_layers(network)]
        for name, network in (("encoder", model.encoder), ("decoder", model.decoder))
    }
    kernel, bias = weights["encoder"][-1]
    half = bias.shape[0] // 2
    kernel[:, half:] *= 0.5
    bias[half:] *= 0.5
    return weights
