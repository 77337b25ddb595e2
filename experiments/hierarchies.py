"""Several groups of latent variables: what are two layers, a ladder and residual maps worth beside one layer?

    python -m experiments.hierarchies                 15 minutes of processor time; numbers in RESULTS.md
    python -m experiments.hierarchies --smoke         seconds, on small digits, numbers without meaning
    python -m experiments.hierarchies --preset paper  600 epochs, deeper maps: for an accelerator

Dynamically binarised MNIST, equal steps, starts and data: 784-200-200-50 tanh; two layers, bottom-up; a ladder of three groups;
residual maps of two sizes; the last two with gradient skipping, balanced groups in a warm-up, averaged parameters. And
one layer again for as long as the maps take. kl_0, kl_1, ... are the KL of each group from the top down, 0 where there is none.
Expected after full training: one layer 86.76, two 85.33 (Burda et al. 2016, table 1), a ladder 82 (Sonderby et al. 2016), deep
maps 78 to 79 nats (Child 2021; Vahdat & Kautz 2020). In so short a training the deep models have hardly begun.
"""

from dataclasses import dataclass

import optax

import vae
from vae import models, objectives, schedules
from vae.command import ComparisonFlags
from vae.evaluation.evidence import rate_of_groups


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    data: str = "mnist"
    latent_dims: tuple[int, ...] = (64, 50, 16)
    """Of the ladder, from x upwards; one layer has the second, two layers have twice the second and the second of them."""
    hidden: tuple[int, ...] = (200, 100, 50)
    """Two layers of each width below every group."""
    groups: tuple[int, ...] = (1, 1)
    """Of the maps, by level, the coarsest first."""
    width: int = 32
    """Channels of the maps, four times as many as inside of a block."""
    dearer: float = 25.0
    """Processor time of a step with maps, in steps with one layer; measured at the default sizes."""
    steps: int = 500


PRESETS = {"paper": Config(preset="paper", groups=(2, 4, 6), width=128, steps=445 * 600, images=10_000, samples=5_000)}
SMOKE = {"data": "digits", "latent_dims": (4, 3, 2), "hidden": (8, 6, 4), "width": 4, "dearer": 2.0}
LONGER = "one layer, as long as maps"


def variants(config: Config) -> dict[str, vae.Experiment]:
    """One layer, two, three of a ladder, maps; and one layer for longer."""
    dims, hidden = config.latent_dims, [[width, width] for width in config.hidden]
    one = vae.Experiment(
        data=vae.data.image_splits(config.data),
        model=vae.reference_to(models.mlp, latent_dim=dims[1], hidden=hidden[0], activation="tanh"),
        steps=config.steps,
        objective=objectives.elbo(rates=objectives.log_ratio, monitors=()),  # the only rate that all of them have
        settings={"learning_rate": 1e-3, "beta": 1.0},
        schedules={"learning_rate": schedules.cosine(config.steps)},
    )
    maps = one._replace(
        model=vae.reference_to(models.top_down, groups=config.groups, width=config.width, middle=config.width // 4),
        objective=objectives.elbo(rate_term=objectives.balanced(), monitors=()),
        optimiser=vae.training.skip_large_gradients(optax.adam(1.0), largest_norm=200.0),  # the learning rate multiplies it
        schedules={**one.schedules, "beta": schedules.linear(max(1, config.steps // 5))},
        average_decay=0.99,
    )
    two = vae.reference_to(models.bottom_up, latent_dims=[2 * dims[1], dims[1]], hidden=hidden[:2])
    ladder = vae.reference_to(models.ladder, latent_dims=dims, hidden=hidden, batch_normalised=True)
    longer = {"learning_rate": schedules.cosine(steps(config)[LONGER])}
    deep = {"two layers": one._replace(model=two), "ladder": maps._replace(model=ladder)}
    return {"one layer": one, **deep, "maps": maps, LONGER: one._replace(schedules=longer)}


def steps(config: Config) -> dict[str, int]:
    """As many more of one layer as a step with maps takes longer."""
    return {LONGER: round(config.dearer * config.steps)}


if __name__ == "__main__":
    scores = lambda config: {"kl": rate_of_groups(max(3, sum(config.groups)), objectives.log_ratio)}  # noqa: E731
    vae.command.comparison(variants, title="Groups", presets=PRESETS, smoke=SMOKE, scores=scores, steps=steps)
