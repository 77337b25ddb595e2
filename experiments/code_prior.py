"""A VQ-VAE that samples and has bits: codes of images, and a prior over the codes trained beside them.

    python -m experiments.code_prior --workdir runs/codes               MNIST, 7x7 places of 512 codes
    python -m experiments.code_prior sample --workdir runs/codes        images from the prior over codes
    python -m experiments.code_prior --quantiser gumbel --workdir runs/gumbel      soft codes that harden
    python -m experiments.code_prior --preset cifar10                   the paper's setting: K 512, D 64, batch 32, Adam 3e-4
    python -m experiments.code_prior --second-stage runs/codes --prior-layers 2 --workdir runs/codes-prior

The total -log2 p(x, codes) is what a lossless coder would send: the codes under the prior, then the image given the codes. No
gradient goes from the prior through nearest codes, so that both trained at once are two stages in one (soft ones it reaches);
`--second-stage` goes on with the prior alone. Expected of the paper's setting: a perplexity of about 328 on CIFAR-10 after
10,000 steps with moving averages (Sonnet's example, with a fixed variance). (van den Oord et al. 2017, sections 3 and 4.1.)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import vae
from vae import objectives, schedules
from vae.command import Flags
from vae.models.code_choices import CODE_PRIORS, QUANTISERS


@dataclass(frozen=True)
class Config(Flags):
    """The flags of the experiment."""

    data: str = "mnist"
    steps: int = 2_000
    samples: int = 1
    """Importance samples of the test NLL: a nearest code has no second one."""
    quantiser: Literal[tuple(QUANTISERS)] = "moving_average"  # type: ignore[valid-type]
    """How vectors become codes."""
    prior: Literal[tuple(CODE_PRIORS)] = "transformer"  # type: ignore[valid-type]
    """Over the codes."""
    codes: int = 512
    dim: int = 16
    depth: int = 1
    """Codes at a place, of residual and product."""
    widths: tuple[int, ...] = (16, 32)
    blocks: int = 0
    """Residual ones at the level of the codes."""
    prior_width: int = 64
    prior_layers: int = 2
    likelihood: str | None = None
    """By default that of the data."""
    temperature: float = 0.3
    """To which a Gumbel-softmax cools from 1."""
    learning_rate: float = 2e-3
    second_stage: Path | None = None
    """A run of this script with the same networks, whose prior alone is trained further."""


CIFAR = {"dim": 64, "widths": (128, 128), "blocks": 2, "batch_size": 32, "learning_rate": 3e-4, "steps": 10_000}
PRESETS = {"cifar10": Config(preset="cifar10", data="cifar10", **CIFAR)}


def experiment(config: Config) -> vae.Experiment:
    """Everything that decides the numbers."""
    names = ("quantiser", "prior", "codes", "dim", "depth", "widths", "blocks", "prior_width", "prior_layers", "likelihood")
    arguments = {name: getattr(config, name) for name in names}
    relaxed = config.quantiser == "gumbel" and config.second_stage is None
    soft = {"temperature": schedules.exponential(config.steps, 1.0, config.temperature)} if relaxed else {}
    first = {} if config.second_stage is None else {"first": vae.load(config.second_stage)}
    return vae.Experiment(
        data=lambda: vae.data.image_splits(config.data),
        model=vae.reference_to(vae.models.vector_quantised, settled=bool(first), **arguments),
        steps=config.steps,
        objective=vae.elbo(rates=objectives.chain_rule, monitors=()),
        settings={"learning_rate": config.learning_rate, **dict.fromkeys(soft, 1.0)},
        schedules=soft,
        start=first.get("first"),
        parents=first,
    )


if __name__ == "__main__":
    vae.main(experiment, presets=PRESETS)
