"""Does a tighter bound drown the encoder's gradient in noise, and does the doubly reparameterised gradient not?

    python -m experiments.signal_to_noise                    a minute of processor time
    python -m experiments.signal_to_noise --smoke            a few seconds, numbers without meaning
    python -m experiments.signal_to_noise --preset gpu       ten times the gradients

On the linear-Gaussian model, whose exact posterior is known, the parameters of the posterior are moved away from it and the
gradient of the importance-weighted bound is drawn many times. Expected: the signal-to-noise ratio of the reparameterised
gradient falls with the number K of samples, from 0.36 at K = 1 with a slope of -0.5 on log axes; that of the doubly
reparameterised one rises from 1.0 to about 2 at K = 64.
(Rainforth et al. 2018, section 3; Tucker et al. 2019, section 6.)
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from vae import command, objectives, testing, visualise
from vae.settings import Settings
from vae.training.origin import flags_as_json
from vae.types import Batch, Carried

ESTIMATORS = {
    "IWAE": objectives.reparameterised,
    "sticking the landing": objectives.sticking_the_landing,
    "DReG": objectives.doubly_reparameterised,
}
BLOCKS = 10


@dataclass(frozen=True)
class Config:
    """The flags of the experiment."""

    preset: str = "default"
    """default or gpu; the other flags change it."""
    samples: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    """Numbers K of importance samples."""
    gradients: int = 10_000
    """Draws of the gradient behind each ratio."""
    perturbation: float = 0.2
    """Standard deviation by which every parameter of the posterior is moved."""
    examples: int = 1
    seed: int = 0
    workdir: Path = Path("runs/signal_to_noise")
    smoke: bool = False
    """A few gradients, to see that everything works."""


PRESETS = {"default": Config(), "gpu": Config(preset="gpu", gradients=100_000)}


def main(config: Config) -> int:
    """Measure, print, draw; return the exit code."""
    if config.smoke:
        config = dataclasses.replace(config, samples=(1, 4), gradients=200)
    ratios = {name: [ratio(config, estimator, k) for k in config.samples] for name, estimator in ESTIMATORS.items()}
    slopes = {name: slope(config.samples, [mean for mean, _ in pairs]) for name, pairs in ratios.items()}
    print("K".rjust(24) + "".join(f"{k:>14}" for k in config.samples) + "   slope")
    for name, pairs in ratios.items():
        print(name.rjust(24) + "".join(f"{mean:8.4f}+{error:.4f}" for mean, error in pairs) + f"{slopes[name]:8.2f}")
    curves, errors = ({name: [pair[i] for pair in pairs] for name, pairs in ratios.items()} for i in (0, 1))
    config.workdir.mkdir(parents=True, exist_ok=True)
    record = {"config": flags_as_json(config), "ratios": curves, "standard_errors": errors, "slopes": slopes}
    (config.workdir / "signal_to_noise.json").write_text(json.dumps(record, indent=1) + "\n")
    figure = visualise.signal_to_noise(np.asarray(config.samples), curves, errors, slopes=(-0.5, 0.5))
    visualise.save(figure, config.workdir / "signal_to_noise.png")
    print(f"wrote {config.workdir / 'signal_to_noise.json'} and signal_to_noise.png beside it.")
    return 0


def ratio(config: Config, estimator: objectives.Estimator, samples: int) -> tuple[float, float]:
    """|mean| / standard deviation of the gradient, averaged over the posterior's parameters, and its jackknife error."""
    gradients = draw_gradients(config, estimator, samples)
    blocks = gradients.reshape(BLOCKS, -1, gradients.shape[-1])
    jackknife = [signal_over_noise(np.delete(blocks, i, axis=0).reshape(-1, gradients.shape[-1])) for i in range(BLOCKS)]
    return signal_over_noise(gradients), float(np.std(jackknife) * np.sqrt(BLOCKS - 1))


def signal_over_noise(gradients: np.ndarray) -> float:
    """The mean over parameters of |mean| / standard deviation over draws."""
    return float(np.mean(np.abs(gradients.mean(axis=0)) / gradients.std(axis=0)))


def draw_gradients(config: Config, estimator: objectives.Estimator, samples: int) -> np.ndarray:
    """Gradients of the posterior's parameters, (draws, parameters), at the same parameters and examples for every K."""
    params_key, data_key, draws_key = jax.random.split(jax.random.key(config.seed), 3)
    model, objective = testing.linear_gaussian(), objectives.importance_weighted(samples, estimator, monitors=())
    params, state = model.init(params_key)
    batch = Batch(testing.linear_gaussian_data(data_key, config.examples), (), jnp.ones(config.examples))
    flat, unravel = jax.flatten_util.ravel_pytree(params["posterior"])
    moved = flat + config.perturbation * jax.random.normal(params_key, flat.shape)

    def gradient(key):
        def loss(vector):
            given = params | {"posterior": unravel(vector)}
            return objective.loss(given, Carried(state, ()), key, batch, Settings(training=True), model)[0]

        return jax.grad(loss)(moved)

    drawn = jax.jit(lambda keys: jax.lax.map(gradient, keys, batch_size=100))
    return np.asarray(drawn(jax.random.split(draws_key, config.gradients)), np.float64)


def slope(samples: tuple[int, ...], ratios: list[float]) -> float:
    """The exponent s of ratio ~ K^s, by least squares on log axes."""
    return float(np.polyfit(np.log(samples), np.log(ratios), 1)[0])


if __name__ == "__main__":
    command.run(main, Config, PRESETS)
