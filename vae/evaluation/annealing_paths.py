"""Paths of densities for annealing: from a start that can be sampled to the joint density of one example,

    log f_beta(z) = (1 - beta) log start(z) + beta log p(x, z),    0 = beta_0 < ... < beta_T = 1

Latent variables have to be vectors of real numbers with a density; others are refused here.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.distributions import (
    ExpRelaxedCategorical,
    PowerSpherical,
    RelaxedCategorical,
    SpikeAndSlab,
    UniformSphere,
    VonMisesFisher,
    is_continuous,
)
from vae.evaluation.evidence import with_density
from vae.objectives import log_weight
from vae.trained import Trained
from vae.types import Key, Latent, PyTree

NOT_EUCLIDEAN = (ExpRelaxedCategorical, PowerSpherical, RelaxedCategorical, SpikeAndSlab, UniformSphere, VonMisesFisher)
"""Real values on a surface or with atoms: a straight trajectory leaves where they live."""


class Path(NamedTuple):
    """The densities between a start and the joint density of one example; log f_beta = log_start + beta log_ratio.

    sample(key) -> values                               an exact draw of the start
    densities(values) -> log_start, log_ratio           log start(z) and log p(x, z) - log start(z), in nats
    """

    sample: Callable[[Key], PyTree]
    densities: Callable[[PyTree], tuple[Array, Array]]


Start = Callable[[Trained, PyTree, PyTree], Path]
"""(trained, x, context) -> the path that starts there: `from_prior`, `from_posterior`."""
Schedule = Callable[[int], Float[Array, "temperatures"]]


def sigmoid_temperatures(temperatures: int, sharpness: float = 4.0) -> Float[Array, "temperatures"]:
    """beta_0 = 0, ..., beta_T = 1, dense at both ends, where the path bends most.

        beta_t = (s_t - s_0) / (s_T - s_0),    s_t = sigmoid(sharpness (2 t / T - 1))

    (Wu et al. 2017.)
    """
    levels = jax.nn.sigmoid(sharpness * jnp.linspace(-1.0, 1.0, temperatures + 1))
    return (levels - levels[0]) / (levels[-1] - levels[0])


def from_prior(trained: Trained, x: PyTree, context: PyTree) -> Path:
    """Start from p(z): the ratio is the likelihood p(x | z), and the encoder plays no part."""
    draw, key = _scorer(trained, x, context)

    def densities(values):
        trace = with_density(draw(key, values))
        return sum(latent.prior.log_prob(latent.value) for latent in trace.latents), trace.likelihood.log_prob(x)

    return Path(sample=lambda key: trained.prior(key, context), densities=densities)


def from_posterior(trained: Trained, x: PyTree, context: PyTree) -> Path:
    """Start from q(z | x): the ratio is the importance weight, and the better the posterior the shorter the way."""
    draw, key = _scorer(trained, x, context)

    def sample(key):
        return tuple(latent.value for latent in draw(key).latents)

    def densities(values):
        trace = draw(key, values)
        return sum(latent.log_q for latent in trace.latents), log_weight(with_density(trace), x)

    return Path(sample=sample, densities=densities)


def tempered(path: Path, beta: Float[Array, ""]) -> Callable[[PyTree], Float[Array, ""]]:
    """log f_beta as a function of the values."""

    def log_density(values):
        log_start, log_ratio = path.densities(values)
        return log_start + beta * log_ratio

    return log_density


def _scorer(trained: Trained, x: PyTree, context: PyTree) -> tuple[Callable, Key]:
    """The model's draw, and a key for it where every group is given and nothing is random; refuses what HMC cannot move."""
    draw, key = trained.infer(x, context), jax.random.key(0)
    _require_euclidean(jax.eval_shape(draw, key).latents)
    return draw, key


def _require_euclidean(latents: tuple[Latent, ...]) -> None:
    """Refuse latent variables that are not vectors of real numbers with a density."""
    if not latents:
        raise TypeError(
            "the model has no latent group with a density, so there is nothing to anneal; use a model with a posterior."
        )
    for family in (f for latent in latents for d in (latent.posterior, latent.prior) for f in _families(d)):
        if not is_continuous(family) or isinstance(family, NOT_EUCLIDEAN):
            raise TypeError(
                f"the latent variables have a {type(family).__name__}, whose values Hamiltonian Monte Carlo cannot move; "
                "use importance_sampled_evidence, or latent variables with a density over all real vectors."
            )


def _families(distribution: Any) -> Iterator[Any]:
    """A distribution and those it is made of."""
    yield distribution
    fields = dataclasses.fields(distribution) if dataclasses.is_dataclass(distribution) else ()
    for inner in (getattr(distribution, field.name) for field in fields):
        if hasattr(inner, "log_prob") and hasattr(inner, "data_space"):
            yield from _families(inner)
