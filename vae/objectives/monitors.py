"""What is looked at in every batch and is no part of the loss: what the latent groups carry."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae import discrepancies
from vae.distributions import Deterministic, Transformed, is_continuous
from vae.distributions.base import is_of_own_draws_only
from vae.objectives.core import ExampleView, mean_rates
from vae.objectives.observed import KnownValue
from vae.types import Latent, PyTree, Terms

WATCHED_EXAMPLES = 32
LISTED_DIMENSIONS = 256


class Observed(NamedTuple):
    """What a monitor saw of a batch.

    metrics:    numbers for the log, by the name they have there.
    quantities: fields of the objective's `aux`, for what wraps it.
    """

    metrics: dict[str, Array]
    quantities: dict[str, PyTree] = {}  # noqa: RUF012  (never changed)


class Monitor(NamedTuple):
    """A quantity of a whole batch that is only reported.

    each:    (view) -> pytree, of one example, inside the vmap.
    observe: (collected, terms, weight, rate) -> Observed, outside the vmap; `rate` is what the log calls the rates.
    """

    each: Callable[[ExampleView], PyTree]
    observe: Callable[..., Observed]


def observations(monitors: Sequence[Monitor], watched: tuple, terms: Terms, weight: Array, rate: str) -> Observed:
    """What all monitors saw, together."""
    together = Observed({}, {})
    for monitor, collected in zip(monitors, watched, strict=True):
        own = monitor.observe(collected, terms, weight, rate)
        together = Observed(together.metrics | own.metrics, together.quantities | own.quantities)
    return together


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Kind:
    """Whether the value of a group was given; structure, not a number of an example."""

    observed: bool


class _Watched(NamedTuple):
    """What is kept of one group: E_q[z | x], and log q(z_i | x) of this posterior at the values of the first examples.

    None where there is none: a class or a code is no unit that could be active.
    """

    kind: _Kind
    mean: Array | None
    log_densities: Array | None


def as_vector(value: Any) -> Float[Array, "dim"]:
    """Every leaf of a group's value as one vector of numbers."""
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(value)]
    return jnp.concatenate([leaf.astype(jnp.result_type(leaf, jnp.float32)).reshape(-1) for leaf in leaves])


def densities_across_batch(posterior: Any, value: Any, rows: int | None = None, density: str = "log_prob") -> Array:
    """log q(z_i | x) of this example's posterior at the values of the batch's examples, the first `rows` of them (None: all).

    To be called inside the vmap of the batch: the values are gathered over its axis, so that no posterior, which may hold
    parameters, has to leave it.
    """
    values = jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, "batch")[:rows], value)
    return jax.vmap(getattr(posterior, density))(values)


def _watch(latent: Latent) -> _Watched:
    """A flow is left out of the densities: scoring another's value would invert it, dimension by dimension."""
    left_out = isinstance(latent.posterior, Deterministic | Transformed | KnownValue) or is_of_own_draws_only(latent.posterior)
    scored = latent.log_q is not None and not left_out
    observed = isinstance(latent.posterior, KnownValue)
    units = is_continuous(latent.posterior) and not observed
    return _Watched(
        kind=_Kind(observed),
        mean=as_vector(getattr(latent.posterior, "mean", latent.value)) if units else None,
        log_densities=densities_across_batch(latent.posterior, latent.value, WATCHED_EXAMPLES) if scored else None,
    )


def _each(view: ExampleView) -> tuple[_Watched, ...]:
    return tuple(_watch(jax.lax.stop_gradient(latent)) for latent in view.trace.latents)


def _observe(collected: tuple[_Watched, ...], terms: Terms, weight: Float[Array, "batch"], rate: str) -> Observed:
    metrics, information = {}, []
    for group, (watched, nats) in enumerate(zip(collected, mean_rates(terms.rates, weight), strict=True)):
        name = "rate" if watched.kind.observed else rate
        metrics[of_group(name, group)] = nats.reshape(-1) if nats.size <= LISTED_DIMENSIONS else jnp.sum(nats)
        if watched.mean is not None:
            variance = jnp.diagonal(discrepancies.covariance_of_means(watched.mean, watched.mean, weight))
            metrics[of_group("active_units", group)] = jnp.sum(variance > discrepancies.ACTIVE_VARIANCE).astype(jnp.float32)
            if rate == "kl" and nats.size == watched.mean.shape[-1]:
                metrics[of_group("active_units_by_kl", group)] = jnp.sum(nats > discrepancies.ACTIVE_KL).astype(jnp.float32)
        if watched.log_densities is not None:
            log_densities = watched.log_densities.T
            rows = jnp.arange(log_densities.shape[0])
            information.append(discrepancies.mutual_information(log_densities, rows, weight))
            metrics[of_group("mutual_information", group)] = information[-1]
    return Observed(metrics, {"mutual_information": tuple(information)})


def of_group(name: str, group: int) -> str:
    """The metric's name for one latent group, "kl/0": the only place where such a name is made."""
    return f"{name}/{group}"


collapse = Monitor(each=_each, observe=_observe)
"""Per latent group g, from the minibatch, without gradient:

    kl/g, or rate/g       mean rate in nats, per dimension where it factorises and has at most `LISTED_DIMENSIONS`; of a group
                          that is observed always rate/g, -log p of its value
    active_units/g        number of dimensions with Var_x E_q[z | x] > 0.01 (Burda et al. 2016, section 5); of real numbers only
    active_units_by_kl/g  number of dimensions whose mean KL is over 0.01 nats, where it factorises
    mutual_information/g  I(x; z_g) in nats at the values of the first `WATCHED_EXAMPLES`, at most the log of the batch size;
                          of a deeper group, with x and the sampled ancestors together. Left out for flows and points.

The last ones are also `aux["mutual_information"]`, one entry per group that has it.
"""
