"""The objectives that `experiments.train` offers on its command line, each with its own numbers.

    python -m experiments.train objective:iwae --objective.samples 50 --objective.estimator doubly-reparameterised
    python -m experiments.train --beta 4 objective:free-bits --objective.nats 2

A class here holds flags and nothing else; `build` makes the objective from the latents' rates and dimensions, and `weighed`
says whether --beta weighs its rate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import tyro

from vae import discrepancies, networks, objectives
from vae.data import Feed, Splits
from vae.rates import Rates
from vae.types import Objective

ESTIMATORS = {
    "reparameterised": objectives.reparameterised,
    "doubly-reparameterised": objectives.doubly_reparameterised,
    "sticking-the-landing": objectives.sticking_the_landing,
    "score-function": objectives.score_function,
}
Estimator = Literal["reparameterised", "doubly-reparameterised", "sticking-the-landing", "score-function"]


@dataclass(frozen=True)
class Elbo:
    """The evidence lower bound, its KL weighed by --beta."""

    weighed: ClassVar[bool] = True

    def build(self, rates: Rates, latent_dim: int) -> Objective:
        return objectives.elbo(rates)


@dataclass(frozen=True)
class Iwae:
    """The importance-weighted bound (Burda et al. 2016)."""

    weighed: ClassVar[bool] = False
    samples: int = 5
    """K."""
    estimator: Estimator = "reparameterised"
    """Of the encoder's gradient; score-function for discrete latents."""

    def build(self, rates: Rates, latent_dim: int) -> Objective:
        return objectives.importance_weighted(self.samples, ESTIMATORS[self.estimator])


@dataclass(frozen=True)
class Miwae:
    """The mean of several importance-weighted bounds (Rainforth et al. 2018)."""

    weighed: ClassVar[bool] = False
    groups: int = 8
    """M."""
    samples: int = 8
    """K in each group."""
    estimator: Estimator = "reparameterised"

    def build(self, rates: Rates, latent_dim: int) -> Objective:
        return objectives.multiply_importance_weighted(self.groups, self.samples, ESTIMATORS[self.estimator])


@dataclass(frozen=True)
class Piwae:
    """Several bounds for the encoder, one of all samples for the decoder (Rainforth et al. 2018)."""

    weighed: ClassVar[bool] = False
    groups: int = 8
    """M."""
    samples: int = 8
    """K in each group."""
    estimator: Estimator = "reparameterised"

    def build(self, rates: Rates, latent_dim: int) -> Objective:
        return objectives.partially_importance_weighted(self.groups, self.samples, ESTIMATORS[self.estimator])


@dataclass(frozen=True)
class Ciwae:
    """A convex combination of the ELBO and the importance-weighted bound (Rainforth et al. 2018)."""

    weighed: ClassVar[bool] = False
    samples: int = 8
    """K."""
    elbo_share: float = 0.05
    """1 is the ELBO, 0 the importance-weighted bound."""
    estimator: Estimator = "reparameterised"

    def build(self, rates: Rates, latent_dim: int) -> Objective:
        return objectives.combined_importance_weighted(self.samples, self.elbo_share, ESTIMATORS[self.estimator])


@dataclass(frozen=True)
class Renyi:
    """The variational Renyi bound (Li & Turner 2016)."""

    weighed: ClassVar[bool] = False
    samples: int = 5
    """K."""
    order: float = 0.5
    """1 is the ELBO, 0 the importance-weighted bound."""
    estimator: Estimator = "reparameterised"

    def build(self, rates: Rates, latent_dim: int) -> Objective:
        return objectives.renyi(self.samples, self.order, ESTIMATORS[self.estimator])


@dataclass(frozen=True)
class FreeBits:
    """The first nats of every latent group cost nothing (Kingma et al. 2016)."""

    weighed: ClassVar[bool] = True
    nats: float = 2.0
    """Free in each group, or in each dimension."""
    per_dimension: bool = False

    def build(self, rates: Rates, latent_dim: int) -> Objective:
        free = objectives.free_bits_per_dimension if self.per_dimension else objectives.free_bits
        return objectives.elbo(rates, free(self.nats))


@dataclass(frozen=True)
class Capacity:
    """The rate is pulled towards a capacity from both sides (Burgess et al. 2018)."""

    weighed: ClassVar[bool] = True
    nats: float = 25.0
    """The capacity."""
    gamma: float = 1000.0
    """How hard."""

    def build(self, rates: Rates, latent_dim: int) -> Objective:
        return objectives.elbo(rates, objectives.capacity(self.gamma, self.nats))


@dataclass(frozen=True)
class Controlled:
    """A controller sets the weight of the rate so that it comes to a target (Shao et al. 2020)."""

    weighed: ClassVar[bool] = True
    nats: float = 15.0
    """The target."""
    proportional: float = 0.01
    integral: float = 1e-4

    def build(self, rates: Rates, latent_dim: int) -> Objective:
        return objectives.elbo(rates, objectives.controlled(self.nats, self.proportional, self.integral))


@dataclass(frozen=True)
class BetaTc:
    """The total correlation weighs more than the rest of the rate (Chen et al. 2018)."""

    weighed: ClassVar[bool] = True
    weight: float = 5.0
    """Beside the one that the rate pays already: the paper's beta less 1."""

    def build(self, rates: Rates, latent_dim: int) -> Callable[[Splits], Objective]:
        """The objective of data, whose number of training examples it needs."""

        def of(splits: Splits) -> Objective:
            penalty = objectives.total_correlation(examples_of(splits), level=self.weight)
            return objectives.elbo(rates, regularisers=[penalty])

        return of


def examples_of(splits: Splits) -> int:
    """The number of training examples."""
    feeds = [splits.train] if isinstance(splits.train, Feed) else splits.train.values()
    return sum(feed.size for feed in feeds)


@dataclass(frozen=True)
class Factor:
    """The total correlation by a discriminator (Kim & Mnih 2018)."""

    weighed: ClassVar[bool] = True
    weight: float = 35.0
    hidden: tuple[int, ...] = (256, 256)
    """Widths of the discriminator."""

    def build(self, rates: Rates, latent_dim: int) -> Objective:
        discriminator = networks.mlp(self.hidden, (1,))
        return objectives.elbo(rates, regularisers=[objectives.factorising(discriminator, latent_dim, self.weight)])


@dataclass(frozen=True)
class Dip:
    """The covariance of the codes is pulled towards the identity (Kumar et al. 2018)."""

    weighed: ClassVar[bool] = True
    off_diagonal: float = 10.0
    diagonal: float = 100.0
    of: Literal["means", "aggregate"] = "means"
    """The covariance of the posterior means (I), or that of the aggregate posterior (II)."""

    def build(self, rates: Rates, latent_dim: int) -> Objective:
        means, aggregate = discrepancies.covariance_of_means, discrepancies.covariance_of_aggregate
        covariance = {"means": means, "aggregate": aggregate}[self.of]
        penalties = objectives.moment_matching(covariance, self.off_diagonal, self.diagonal)
        return objectives.elbo(rates, regularisers=penalties)


@dataclass(frozen=True)
class Mmd:
    """The maximum mean discrepancy of aggregate posterior and prior (Zhao et al. 2019; Tolstikhin et al. 2018)."""

    weighed: ClassVar[bool] = True
    weight: float = 10.0
    scale: float = 1.0
    """Of the inverse multiquadric kernels, in units of the prior's expected squared distance 2 n."""
    rate: bool = False
    """Whether the KL is paid as well, weighed by --beta (InfoVAE); without it this is WAE-MMD."""

    def build(self, rates: Rates, latent_dim: int) -> Objective:
        scales = [2.0 * latent_dim * self.scale * factor for factor in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
        kernel = discrepancies.inverse_multiquadric_kernel(scales)
        penalty = objectives.maximum_mean_discrepancy(kernel, level=self.weight)
        return objectives.elbo(rates if self.rate else objectives.no_rate, regularisers=[penalty])


ChosenObjective = (
    Annotated[Elbo, tyro.conf.subcommand("elbo")]
    | Annotated[Iwae, tyro.conf.subcommand("iwae")]
    | Annotated[Miwae, tyro.conf.subcommand("miwae")]
    | Annotated[Piwae, tyro.conf.subcommand("piwae")]
    | Annotated[Ciwae, tyro.conf.subcommand("ciwae")]
    | Annotated[Renyi, tyro.conf.subcommand("renyi")]
    | Annotated[FreeBits, tyro.conf.subcommand("free-bits")]
    | Annotated[Capacity, tyro.conf.subcommand("capacity")]
    | Annotated[Controlled, tyro.conf.subcommand("controlled")]
    | Annotated[BetaTc, tyro.conf.subcommand("beta-tc")]
    | Annotated[Factor, tyro.conf.subcommand("factor")]
    | Annotated[Dip, tyro.conf.subcommand("dip")]
    | Annotated[Mmd, tyro.conf.subcommand("mmd")]
)
