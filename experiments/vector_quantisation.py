"""Which quantiser loses least for its bits, and how many of its codes are in use?

    python -m experiments.vector_quantisation                 4x4 places of 8 bits each; 25 minutes of processor time
    python -m experiments.vector_quantisation --smoke         on small digits, numbers without meaning
    python -m experiments.vector_quantisation --preset gpu    the full setting

Seven quantisers between the same networks, each with a Transformer over its codes trained beside it: all pay a rate, and the
NLL is the length of a lossless code. Residual and product codes are 2 of 16 in place of one of 256. Expected: averages use
more codes than gradients, grids nearly all (Mentzer et al. 2024, figure 3); so short a training says little of the NLL.
"""

from dataclasses import dataclass

import jax

import vae
from vae import objectives, schedules, visualise
from vae.command import ComparisonFlags
from vae.evaluation import code_usage
from vae.evaluation.comparison import COLUMNS

OBJECTIVE = vae.elbo(rates=objectives.chain_rule, monitors=())
TABLE = {name: COLUMNS[name] for name in ("nll", "rate", "distortion")} | {"perplexity": ("perplexity", 1)}
USED = {"perplexity": lambda trained, examples: code_usage(trained, examples.x, jax.random.key(0))[0].perplexity}
QUANTISERS = ("gradient", "moving_average", "residual", "product", "finite_scalar", "lookup_free", "gumbel")
SEVERAL = {name: {"codes": 16, "depth": 2} for name in ("residual", "product")}


@dataclass(frozen=True)
class Config(ComparisonFlags):
    """The flags of the experiment."""

    data: str = "mnist"
    steps: int = 400
    batch_size: int = 64
    samples: int = 1  # a nearest code has no second one
    codes: int = 256
    dim: int = 16
    widths: tuple[int, ...] = (16, 32, 64)  # of the levels; each halves the image
    prior_width: int = 64
    commitment: float = 0.25  # weight of the squared distance from the encoder's vectors to their codes
    temperature: float = 0.3  # to which Gumbel-softmax cools from 1, while the weight of its KL rises from 0
    learning_rate: float = 2e-3


PRESETS = {"gpu": Config(preset="gpu", steps=100 * 890, images=10_000, widths=(32, 64, 128), dim=64, prior_width=256)}
SMOKE = {"data": "digits", "widths": (4, 4), "dim": 4, "prior_width": 8, "steps": 4}


def variants(config: Config) -> dict[str, vae.Experiment]:
    """Each quantiser."""
    return {name.replace("_", " "): variant(config, name, SEVERAL.get(name, {})) for name in QUANTISERS}


def variant(config: Config, quantiser: str, several: dict[str, int]) -> vae.Experiment:
    """The model with one quantiser, with the weights and schedules that it reads."""
    common = {name: getattr(config, name) for name in ("codes", "dim", "widths", "prior_width")}
    committed = {} if quantiser in ("finite_scalar", "gumbel") else {"commitment": config.commitment}
    falling, rising = schedules.exponential(config.steps, 1.0, config.temperature), schedules.linear(config.steps)
    soft = {"temperature": falling, "beta": rising} if quantiser == "gumbel" else {}
    return vae.Experiment(
        data=vae.data.image_splits(config.data),
        model=vae.reference_to(vae.models.vector_quantised, quantiser=quantiser, **{**common, **several}),
        steps=config.steps,
        objective=OBJECTIVE,
        settings={"learning_rate": config.learning_rate, **committed, **dict.fromkeys(soft, 1.0)},
        schedules={"learning_rate": schedules.cosine(config.steps), **soft},
    )


def figure(config: Config, found: vae.Comparison, title: str):
    """What the codes cost against what they lose, each point with its perplexity."""
    means = {n: [of[q]["mean"] for q in ("perplexity", "rate", "distortion")] for n, of in found.numbers["models"].items()}
    curves = {n: [visualise.RateDistortion(f"{used:.0f}", *of)] for n, (used, *of) in means.items()}
    return visualise.rate_distortion(curves, title)


if __name__ == "__main__":
    shown = {"columns": TABLE, "figure": figure, "scores": lambda config: USED}
    vae.command.comparison(variants, title="Quantisers with a prior over their codes", presets=PRESETS, smoke=SMOKE, **shown)
