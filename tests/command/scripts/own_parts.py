"""A posterior family, its KL, a model and a report of the script's own.   python -m own_parts --workdir W"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

import vae
from vae.distributions import distribution


@dataclass(frozen=True)
class Layers:
    """Of the encoder; the decoder has them the other way round."""

    widths: tuple[int, ...] = (8,)


@dataclass(frozen=True)
class Config(vae.Flags):
    """The flags."""

    steps: int = 200
    layers: Layers = field(default_factory=Layers)
    posterior: Literal["logistic"] = "logistic"
    learning_rate: float | Literal["none"] = 1e-3
    note: Path = Path("notes/first.txt")


@distribution
class Logistic:
    """log p(z) = sum_i [ -s_i - 2 log(1 + exp(-s_i)) - log_scale_i ] with s = (z - mean) / scale."""

    mean: jax.Array
    log_scale: jax.Array

    data_space: ClassVar[str] = "real"
    reparameterised: ClassVar[bool] = True

    def sample(self, key):
        return self.mean + jnp.exp(self.log_scale) * jax.random.logistic(key, self.mean.shape)

    def sample_and_log_prob(self, key):
        value = self.sample(key)
        return value, self.log_prob(value)

    def log_prob(self, value):
        standardised = (value - self.mean) * jnp.exp(-self.log_scale)
        return jnp.sum(-standardised - 2.0 * jax.nn.softplus(-standardised) - self.log_scale)


def kl_of_logistic(q: Logistic, p: vae.Normal) -> jax.Array:
    """Minus the entropy, and the cross-entropy with the standard normal distribution, whose variance of q is pi^2 / 3 s^2."""
    second_moment = q.mean**2 + jnp.pi**2 / 3.0 * jnp.exp(2.0 * q.log_scale)
    return -(q.log_scale + 2.0) + 0.5 * second_moment + 0.5 * jnp.log(2.0 * jnp.pi)


RATES = vae.objectives.analytic_with({(Logistic, vae.Normal): kl_of_logistic})


def model(spec: vae.Data, widths: list[int]) -> vae.Model:
    """Two latent dimensions."""
    family = vae.Family((4,), lambda outputs: Logistic(outputs[:2], outputs[2:]))
    encoder, decoder = vae.networks.mlp(tuple(widths), (4,)), vae.networks.mlp(tuple(widths[::-1]), spec.shape)
    likelihood = vae.likelihoods.bernoulli(spec.shape)
    return vae.variational_autoencoder(encoder, decoder, family, vae.priors.normal(2), likelihood, spec)


def data() -> vae.data.Splits:
    """Stripes."""
    draw = np.random.default_rng(0)
    images = np.broadcast_to(draw.integers(0, 2, (120, 6, 1, 1)), (120, 6, 6, 1)).astype(np.float32)
    feeds = [vae.data.feed(part, spec=vae.Data((6, 6, 1), "binary")) for part in np.split(images, [80, 100])]
    return vae.data.Splits(*feeds)


def experiment(config: Config) -> vae.Experiment:
    """Everything that decides the numbers."""
    return vae.Experiment(
        data=data,
        model=vae.reference_to(model, widths=config.layers.widths),
        steps=config.steps,
        objective=vae.elbo(RATES),
        settings={"learning_rate": 0.0 if config.learning_rate == "none" else config.learning_rate, "beta": 1.0},
    )


def report(config: Config) -> vae.Report:
    """How much ink there is."""
    return vae.Report(metrics={"ink": lambda trained, examples: examples.x.sum(axis=(1, 2, 3)).mean()})


PRESETS = {"wide": Config(preset="wide", layers=Layers((16, 16)))}

if __name__ == "__main__":
    vae.main(experiment, presets=PRESETS, smoke={"batch_size": 20}, report=report)
