"""What does a latent code add to a network that completes an image from one, two or three of its quadrants?

    python -m experiments.quadrants                  6 minutes of processor time; numbers in RESULTS.md; --shown 2, --shown 3
    python -m experiments.quadrants --smoke          seconds, on small digits, numbers without meaning
    python -m experiments.quadrants --preset paper   the nets of the example named below, 50 epochs

The hidden pixels of dynamically binarised MNIST given the shown ones (1: bottom left; 2: left half; 3: all but bottom right) by
a network alone, by a VAE whose encoder and decoder see the shown pixels, and by one whose prior sees them too. NLL of the
hidden pixels only; that of the network is exact. Expected: network 100.4 / 61.9 / 25.4, CVAE 71.8 / 51.0 / 24.2 in Pyro's
example, which also scores the hidden pixels only, but gray ones, by the ELBO, on the images by which it stops; its decoder sees
the code alone, its prior the network's guess too. So compare the gaps. (Sohn et al. 2015, section 5.1.)
"""

from dataclasses import dataclass

import jax
import numpy as np

import vae
from vae.command import ComparisonFlags
from vae.evaluation.generate import decode_means, sample_prior
from vae.reports.evaluation import examples_of


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    data: str = "mnist"
    shown: int = 1
    """Quadrants that are seen: 1, 2 or 3."""
    hidden: tuple[int, ...] = (200, 200)
    latent_dim: int = 50
    learning_rate: float = 1e-3
    steps: int = 2_500


PRESETS = {"paper": Config(preset="paper", hidden=(500, 500), latent_dim=200, steps=50 * 445, images=10_000)}
SMOKE = {"data": "digits", "hidden": (16,), "latent_dim": 4}


def completed(name: str, shown: int) -> vae.data.Splits:
    """The images of a data set, all but the shown quadrants to be predicted."""
    whole = vae.data.image_splits(name)
    top, left = (np.indices(whole.train.spec.shape)[axis] < whole.train.spec.shape[axis] // 2 for axis in (0, 1))
    hidden = {1: top | ~left, 2: ~left, 3: ~top & ~left}
    if shown not in hidden:
        raise ValueError(f"shown is {shown}; wanted 1, 2 or 3 quadrants.")
    return vae.data.completion_splits(whole, hidden[shown])


def variants(config: Config) -> dict[str, vae.Experiment]:
    """The network, and two models with latents."""
    reference = vae.Experiment(
        data=completed(config.data, config.shown),
        model=vae.reference_to(vae.models.regression, hidden=config.hidden),
        steps=config.steps,
        objective=vae.elbo(monitors=()),
        settings={"learning_rate": config.learning_rate},
        schedules={"learning_rate": vae.schedules.cosine(config.steps)},
    )
    latent = {"latent_dim": config.latent_dim, "hidden": config.hidden}
    models = {"VAE": vae.models.mlp, "CVAE": vae.models.conditional}
    return {"network": reference} | {n: reference._replace(model=vae.reference_to(m, **latent)) for n, m in models.items()}


def figure(config: Config, found: vae.Comparison, title: str):
    """Test images as they are shown and as they are, then what each model puts in the hidden place: decoder means of draws."""
    x, context, *_ = examples_of(completed(config.data, config.shown), 12)
    rows = {"shown": context["given"], "image": x + context["given"]}
    for name, run in found.first.items():
        for draw in ("",) if name == "network" else (1, 2, 3, 4):
            means = decode_means(run, sample_prior(run, jax.random.key(draw or 0), context=context), context=context)
            rows[f"{name} {draw}".strip()] = np.where(context["observed"], means, context["given"])
    return vae.visualise.image_grid(np.concatenate(list(rows.values())), len(x), title, row_names=list(rows))


if __name__ == "__main__":
    title = "Completed from the shown quadrants: decoder means"
    vae.command.comparison(variants, title=title, presets=PRESETS, smoke=SMOKE, figure=figure)
