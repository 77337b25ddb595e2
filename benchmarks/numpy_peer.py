"""A variational autoencoder in plain NumPy, every gradient derived by hand: nothing here differentiates for you.

Back-propagation of the negative ELBO of one example, with a_i the input of layer i, h = act(a W + b):

    dL/dlogits = sigmoid(logits) - x                              of  sum softplus(l) - x l
    dL/dz      = dL/dlogits back through the decoder
    dL/dmean   = dL/dz + mean                                     KL = sum 1/2 (mean^2 + std^2 - 1) - log_std
    dL/dlog_std = dL/dz * noise * std + std^2 - 1                 z = mean + std * noise, std = exp(log_std)

    back through a layer:  dW = a' dy,  db = sum dy,  da = (dy W') * act'(a)
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.trainer import LEARNING_RATE, Dense, Problem, Trainer, Weights, batches, flat

DECAYS = (0.9, 0.999)
EPSILON = 1e-8

Gradients = dict[str, list[Dense]]


class Activation(NamedTuple):
    """A function and its derivative in terms of its own output."""

    value: Any
    slope: Any


ACTIVATIONS = {
    "relu": Activation(lambda a: np.maximum(a, 0.0), lambda h: (h > 0).astype(h.dtype)),
    "tanh": Activation(np.tanh, lambda h: 1.0 - h * h),
}


def forward(layers: Sequence[Dense], x: np.ndarray, act: Activation) -> tuple[np.ndarray, list[np.ndarray]]:
    """The output of a network and the input of each of its layers."""
    inputs = []
    for kernel, bias in layers[:-1]:
        inputs.append(x)
        x = act.value(x @ kernel + bias)
    kernel, bias = layers[-1]
    return x @ kernel + bias, [*inputs, x]


def backward(
    layers: Sequence[Dense], inputs: list[np.ndarray], d_output: np.ndarray, act: Activation
) -> tuple[list[Dense], np.ndarray]:
    """The gradients of a network's layers from that of its output, and that of what its first layer multiplies.

    The second is left to the caller to carry on, dy W' of the first layer: an encoder's input needs none.
    """
    gradients = []
    for index in range(len(layers) - 1, -1, -1):
        gradients.append((inputs[index].T @ d_output, d_output.sum(axis=0)))
        if index > 0:
            d_output = (d_output @ layers[index][0].T) * act.slope(inputs[index])
    return gradients[::-1], d_output


def kl_standard_normal(mean: np.ndarray, log_std: np.ndarray) -> np.ndarray:
    """KL(N(mean, std^2) || N(0, 1)) per example in nats: sum of 1/2 (mean^2 + std^2 - 1) - log_std."""
    return np.sum(0.5 * (mean**2 + np.exp(2.0 * log_std) - 1.0) - log_std, axis=-1)


def kl_gradient(mean: np.ndarray, log_std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Its derivatives: mean, and std^2 - 1."""
    return mean, np.exp(2.0 * log_std) - 1.0


def loss_and_gradients(weights: Weights, x: np.ndarray, noise: np.ndarray, act: Activation) -> tuple[float, Gradients]:
    """The mean negative ELBO of a batch in nats per example, and the gradient of every weight."""
    encoder, decoder = weights["encoder"], weights["decoder"]
    encoded, encoder_inputs = forward(encoder, x, act)
    mean, log_std = np.split(encoded, 2, axis=1)
    std = np.exp(log_std)
    logits, decoder_inputs = forward(decoder, mean + std * noise, act)

    tail = np.exp(-np.abs(logits))
    softplus = np.maximum(logits, 0.0) + np.log1p(tail)
    loss = np.mean(np.sum(softplus - x * logits, axis=1) + kl_standard_normal(mean, log_std))

    probability = np.where(logits >= 0, 1.0, tail) / (1.0 + tail)
    d_logits = (probability - x) / len(x)
    d_decoder, d_first = backward(decoder, decoder_inputs, d_logits, act)
    d_z = d_first @ decoder[0][0].T
    d_mean, d_log_std = (part / len(x) for part in kl_gradient(mean, log_std))
    d_encoded = np.concatenate([d_mean + d_z, d_log_std + d_z * noise * std], axis=1)
    d_encoder, _ = backward(encoder, encoder_inputs, d_encoded, act)
    return float(loss), {"encoder": d_encoder, "decoder": d_decoder}


class Adam:
    """Adam in place on a list of arrays. (Kingma & Ba 2015, algorithm 1.)"""

    def __init__(self, arrays: list[np.ndarray]):
        self.arrays, self.step = arrays, 0
        self.first = [np.zeros_like(a) for a in arrays]
        self.second = [np.zeros_like(a) for a in arrays]

    def update(self, gradients: list[np.ndarray]) -> None:
        """One step down these gradients."""
        self.step += 1
        one, two = (1.0 - decay**self.step for decay in DECAYS)
        rate = LEARNING_RATE * two**0.5 / one
        for array, gradient, m, v in zip(self.arrays, gradients, self.first, self.second, strict=True):
            m += (1.0 - DECAYS[0]) * (gradient - m)
            v += (1.0 - DECAYS[1]) * (gradient * gradient - v)
            array -= rate * m / (np.sqrt(v) + EPSILON * two**0.5)


def leaves(layers: Weights) -> list[np.ndarray]:
    """Kernels and biases in one order."""
    return [array for part in ("encoder", "decoder") for layer in layers[part] for array in layer]


def build(problem: Problem) -> Trainer:
    """The NumPy peer on resident float32 pixels, binarised afresh in every step."""
    preset = problem.preset
    act = ACTIVATIONS[preset.arguments.get("activation", "relu")]
    weights = {name: [(k.copy(), b.copy()) for k, b in layers] for name, layers in (problem.weights or {}).items()}
    adam = Adam(leaves(weights))
    pixels = flat(problem.images).astype(np.float32) / np.float32(255.0)
    rows, rng = batches(len(pixels), preset.batch_size), np.random.default_rng(0)
    latent_dim = preset.arguments["latent_dim"]

    def step(x, noise) -> float:
        loss, gradients = loss_and_gradients(weights, x, noise, act)
        adam.update(leaves(gradients))
        return loss

    def run(steps: int) -> None:
        for _ in range(steps):
            gray = pixels[next(rows)]
            x = (rng.random(gray.shape, np.float32) < gray).astype(np.float32)
            step(x, rng.standard_normal((len(x), latent_dim), np.float32))

    return Trainer(run, step, lambda: weights)
