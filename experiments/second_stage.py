"""Are samples better when the law of the codes is found after training: second VAE, fitted mixture, regularised autoencoder?

    python -m experiments.second_stage               20 minutes on two cores
    python -m experiments.second_stage --smoke       seconds, on small digits, numbers without meaning

Gray images, a normal likelihood with one learned std. A VAE sampled from N(0, I), from a Gaussian mixture fitted to its codes,
and through a second VAE on them (Dai & Wipf 2019); an autoencoder without noise, small codes and decoder, sampled from a
mixture (RAE-L2, Ghosh et al. 2020). Frechet distances to test images in a digit classifier's features: no FID, so that no
published number stands beside them. Expected: all three come nearer than N(0, I).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
import optax

import vae
from vae.evaluation import features, fit_mixture, generate
from vae.evaluation.comparison import markdown_table, mean_with_errors, over_seeds
from vae.evaluation.sample_quality import DistanceAndCoverage, distance_and_coverage
from vae.models import Generated, with_prior

METHODS = "VAE", "VAE, mixture", "two-stage VAE", "RAE-L2, mixture"


@dataclass(frozen=True)
class Config:
    """The flags; beta weighs |z|^2 / 2 of the autoencoder's codes, decay is its decoder's."""

    data: str = "mnist"
    hidden: tuple[int, ...] = (400,)
    latent_dim: int = 16
    steps: int = 6_000
    beta: float = 0.1
    decay: float = 1e-4
    components: int = 10
    samples: int = 5_000
    seeds: int = 3
    workdir: Path = Path("runs/second_stage")
    smoke: bool = False


SMOKE = {"data": "digits", "hidden": (16,), "latent_dim": 3, "steps": 30, "components": 2, "samples": 60, "seeds": 2}


def main(config: Config) -> None:
    """Train, sample, measure, draw and print."""
    config = replace(config, **SMOKE) if config.smoke else config
    found, data = [], vae.data.load(config.data)
    train, test = (np.asarray(part.x, np.float32) / 255.0 for part in (data.train, data.test))
    extract = features.classifier_features(train[:10_000], data.train.label[:10_000], seed=0).extract
    for seed in range(config.seeds):
        drawn = samples(train, config, seed) | {"training images": train[: config.samples]}
        found.append({name: distance_and_coverage(extract(test), extract(images)) for name, images in drawn.items()})
    rows = [[name, *(mean_with_errors(over_seeds([of[name][i] for of in found])) for i in range(3))] for name in drawn]
    table = markdown_table(["", *DistanceAndCoverage._fields], rows)
    figure = vae.visualise.samples_by_row([np.clip(of[:10], 0.0, 1.0) for of in drawn.values()], row_names=list(drawn))
    vae.visualise.save(figure, config.workdir / "second_stage.png").with_suffix(".md").write_text(table)
    print(table)


def samples(train: np.ndarray, config: Config, seed: int) -> dict[str, np.ndarray]:
    """Decoder means at draws from each law of the codes, of models trained with one seed."""

    def experiment(x, standardise=True, **changed):
        arguments = {"latent_dim": config.latent_dim, "hidden": config.hidden, "likelihood": "normal_common_std"} | changed
        data = vae.data.array_splits(x, space="real", standardise=standardise)
        return vae.Experiment(data, vae.reference_to(vae.models.mlp, **arguments), config.steps, seed=seed)

    def codes(trained):
        return np.asarray(generate.sample_aggregate(trained, train, jax.random.key(seed), len(train))[0])

    decay = optax.add_decayed_weights(config.decay)
    still = experiment(train, False, likelihood="normal", latents="deterministic")._replace(
        objective=vae.elbo(vae.objectives.squared(), monitors=()),
        optimiser={"posterior": optax.adam(1e-3), "generative": optax.chain(decay, optax.adam(1e-3))},
        settings={"beta": config.beta},
    )
    stages = {"first": experiment(train, False), "second": lambda of: experiment(codes(of["first"])), "still": still}
    first, second, point = (run.trained for run in vae.stages(stages, host=vae.Host(progress=False)).values())
    mixtures = [with_prior(of, fit_mixture(codes(of), config.components, seed=seed)) for of in (first, point)]
    models = dict(zip(METHODS, (first, mixtures[0], with_prior(first, Generated(second)), mixtures[1]), strict=True))
    drawn = {name: generate.sample_prior(of, jax.random.key(seed), config.samples) for name, of in models.items()}
    return {name: np.asarray(generate.decode_means(of, drawn[name])) for name, of in models.items()}


if __name__ == "__main__":
    vae.command.run(main, Config)
