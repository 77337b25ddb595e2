"""What does a spike-and-slab latent do that a Gaussian does not, as there are more dimensions than are needed?

    python -m experiments.sparse_coding                not timed yet
    python -m experiments.sparse_coding --smoke        seconds, on small digits, numbers without meaning
    python -m experiments.sparse_coding --preset long  100 epochs, 8 to 256 dimensions

Variational sparse coding (Tonolini et al. 2020): a spike-and-slab posterior, and a prior made of 500 encoded pseudo-inputs
whose gates are drawn to a share of 0.2 by a penalty; its KL is charged by the bound from the components. Beside it a plain
VAE. Used dimensions of an image, active units, NLL, and the accuracy of a linear probe on posterior means. Expected: the VAE
leaves what it does not need unused for all images alike, sparse coding uses more dimensions, few for each image. Other nets
than the paper's.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

import vae
from vae import objectives
from vae.command import ComparisonFlags
from vae.evaluation import generate, of_means, probes


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    data: str = "mnist"
    hidden: tuple[int, ...] = (200,)
    dimensions: tuple[int, ...] = (8, 64)
    used: float = 0.2
    """Share of the dimensions that the prior's gates are drawn to."""
    sparsity: float = 10.0
    """Weight of that penalty."""
    learning_rate: float = 1e-3
    seeds: int = 2


PRESETS = {"long": Config(preset="long", dimensions=(8, 32, 64, 128, 256), steps=44_500, seeds=3, images=10_000)}
SMOKE = {"data": "digits", "hidden": (16,), "dimensions": (3,), "steps": 20}
COLUMNS = {"nll": ("NLL, at most", 2), "rate": ("rate", 2), "active_units": ("active units", 1)}
COLUMNS |= {"used": ("used by an image", 1), "probe": ("probe accuracy", 3)}


def variants(config: Config) -> dict[str, vae.Experiment]:
    """Both in every number of dimensions; the plain VAE is charged by the log ratio, by which all are measured."""
    penalty = objectives.gate_sparsity(config.used, config.sparsity)
    sparse = objectives.elbo(objectives.mixture_bound, regularisers=[penalty], monitors=())
    plain = objectives.elbo(objectives.log_ratio, monitors=())
    return {
        f"{name}, {size} dimensions": vae.Experiment(
            data=vae.data.image_splits(config.data),
            model=vae.reference_to(vae.models.mlp, latent_dim=size, hidden=config.hidden, latents=latents),
            steps=config.steps,
            objective=objective,
            settings={"learning_rate": config.learning_rate},
        )
        for size in config.dimensions
        for name, latents, objective in (("VAE", "normal", plain), ("sparse coding", "spike_and_slab_vamp", sparse))
    }


def scores(config: Config) -> dict:
    """Dimensions of a draw that are not exactly 0, and how well classes are told from posterior means of half the images."""

    def used(trained, examples):
        (codes,) = generate.sample_aggregate(trained, examples.x, jax.random.key(0), 1_000)
        return jnp.mean(jnp.sum(codes != 0, axis=1))

    def probe(codes, labels):
        half = len(codes) // 2
        return probes.linear_probe(codes[:half], labels[:half], codes[half:], labels[half:])

    return {"used": used, "probe": of_means(probe)}


if __name__ == "__main__":
    own = {"presets": PRESETS, "smoke": SMOKE, "columns": COLUMNS, "scores": scores}
    vae.command.comparison(variants, title="Sparse coding beside a plain VAE", **own)
