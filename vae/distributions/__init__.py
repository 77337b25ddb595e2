"""Probability distributions, one family per file; see `base.py` for what they share."""

from vae.distributions.at_sample import AtSample as AtSample
from vae.distributions.base import Distribution as Distribution
from vae.distributions.base import distribution as distribution
from vae.distributions.base import static_field as static_field
from vae.distributions.bernoulli import Bernoulli as Bernoulli
from vae.distributions.deterministic import Deterministic as Deterministic
from vae.distributions.laplace import Laplace as Laplace
from vae.distributions.low_rank_normal import LowRankNormal as LowRankNormal
from vae.distributions.multivariate_normal import MultivariateNormal as MultivariateNormal
from vae.distributions.normal import Normal as Normal
from vae.distributions.normal import standard_normal as standard_normal
