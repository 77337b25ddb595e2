"""What the numbers of a model on data may be called: decided here, for training, validation, sweeps and reports alike.

    log-likelihood - rates <= log p(x)

in expectation where every group costs its KL, every posterior has a density, and the likelihood is one of the data. Then the
left side is an "elbo" and the rates are a "kl". Otherwise they are a "score" and a "rate", and `why` says what is missing.
"""

import warnings
from typing import Any, NamedTuple

from vae.distributions.affine import Affine
from vae.distributions.base import is_density
from vae.distributions.masked import Masked
from vae.objectives.observed import KnownValue
from vae.rates import Rates, is_kl, is_relaxed
from vae.spaces import WORDS, DataSpace, can_score, is_likelihood
from vae.types import Trace


class Claim(NamedTuple):
    """What is claimed of log-likelihood minus rates.

    rate: "kl" where every latent group costs its KL, else "rate".
    why:  why the difference is no lower bound on the evidence, in words; "" where it is one.
    """

    rate: str = "kl"
    why: str = ""

    @property
    def is_bound(self) -> bool:
        """Whether the difference is a lower bound on the evidence."""
        return not self.why

    @property
    def total(self) -> str:
        """What the difference is called: "elbo" where it is a bound, else "score"."""
        return "elbo" if self.is_bound else "score"


def claim_by(rates: Rates) -> Claim:
    """What the rates alone allow, where nothing is known of the model and the data."""
    return Claim() if is_kl(rates) else Claim("rate", "what its latent groups cost is no KL")


def claim_of(trace: Trace, rates: Rates, space: DataSpace | None) -> Claim:
    """What may be claimed of a model that gives such traces (shapes are enough) of data of a space; None: not known.

    A group that is observed costs -log p of its value, which is no KL; the bound is then one on log p(x, value). A model
    without latent groups costs nothing that is known: a code that it quantises has a price, log K nats of K equally likely
    ones, which counts only where it is a group (`distributions.PointMass` under a `Categorical`).
    """
    observed = any(isinstance(latent.posterior, KnownValue) for latent in trace.latents)
    rate = "kl" if trace.latents and is_kl(rates) and not observed else "rate"
    found = (claim_by(rates).why, why_relaxed(trace), why_unweighted(trace), why_not_of(trace.likelihood, space))
    return Claim(rate, next((why for why in found if why), ""))


def why_relaxed(trace: Trace) -> str:
    """What to say of a decoder that sees mixed classes under a prior of classes, as in the training of a Gumbel-softmax."""
    relaxed = any(is_relaxed(latent) for latent in trace.latents)
    return "the decoder sees mixed codes in training, of which the prior has no density" if relaxed else ""


def why_unweighted(trace: Trace) -> str:
    """Why draws of the posterior have no weight p(x, z) / q(z | x), "" where they have one."""
    if not trace.latents:
        return "the model has no latent group, so nothing says what its code costs"
    points = [type(latent.posterior).__name__ for latent in trace.latents if latent.log_q is None]
    if points:
        return f"the posterior {points[0]} has no density"
    return "" if is_density(trace.likelihood) else why_unscaled(trace.likelihood)


def why_unscaled(likelihood: Any) -> str:
    """What to say of a likelihood that is no density."""
    return f"the likelihood {family_of(likelihood)} is no density: report a Normal with the sigma measured on training data"


def why_not_of(likelihood: Any, space: DataSpace | None) -> str:
    """Why a likelihood is none of data of a space, "" where it is one."""
    if space is None or is_likelihood(space, likelihood.data_space):
        return ""
    return f"the data are {WORDS[space].values}, and the likelihood {family_of(likelihood)} is of {of(likelihood)}"


def family_of(likelihood: Any) -> str:
    """What a likelihood is called, behind a mask and other units."""
    while isinstance(likelihood, Masked | Affine):
        likelihood = likelihood.base
    return type(likelihood).__name__


def of(likelihood: Any) -> str:
    """What a likelihood scores, in words."""
    return WORDS[likelihood.data_space].values


def require_scored(likelihood: Any, space: DataSpace) -> None:
    """Refuse data that a likelihood cannot score; warn of data for which its number is no log-likelihood.

    Raises ValueError for the first, warns with RuntimeWarning of the second; both name a likelihood that would fit.
    """
    if is_likelihood(space, likelihood.data_space):
        return
    why, fitting = why_not_of(likelihood, space), " or ".join(WORDS[space].likelihoods)
    if not can_score(space, likelihood.data_space):
        raise ValueError(
            f"{why}; wanted a likelihood of such values ({fitting}), or data of its space: convert them, or declare what they "
            "are (spec=vae.Data(shape, space))."
        )
    warnings.warn(
        f"{why}: what is logged is called score, not elbo, and there will be no NLL; use {fitting}, or convert the data.",
        RuntimeWarning,
        stacklevel=2,
    )
