"""Whether a distribution is what it says: density against sampler, moments, gradients, transformations."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vae.distributions.base import Distribution, is_continuous, is_reparameterised
from vae.evaluation.arrays import standard_error
from vae.testing.allowance import Allowance, Report, free_parameters
from vae.testing.marginal import check_continuous_marginal, check_support

ROUNDING = 1e-4  # relative; float32 log densities are good to about 1e-5 where they are of moderate size
STEP = 0.3  # standard deviation of the log ratio that the "density ratio" check aims at


class Draws(NamedTuple):
    """What n draws say of a distribution; every field has a leading axis n, P is the number of free parameters.

    value, log_q: the pair of `sample_and_log_prob`.
    log_prob:     the density at the value.
    score:        (n, P) its gradient in the parameters.
    slope:        its gradient in the value; zero where values are not real.
    pathwise:     (n, P) gradient of f(z) through the sampler, f(z) = mean_i [sin u_i + cos u_i], u the standardised z.
    statistic:    (n,) f(z).
    """

    value: np.ndarray
    log_q: np.ndarray
    log_prob: np.ndarray
    score: np.ndarray
    slope: np.ndarray
    pathwise: np.ndarray
    statistic: np.ndarray


def check_distribution(
    distribution: Distribution,
    key: Array,
    *,
    samples: int = 20_000,
    standard_errors: float = 4.0,
    fields: Sequence[str] | None = None,
    reparameterised: bool | None = None,
    support: Array | None = None,
    reference: Distribution | None = None,
    extremes: Sequence[Distribution] = (),
    skip: Sequence[str] = (),
) -> Report:
    """Hold a distribution to its own definition; raise AssertionError at the first check that fails.

    distribution:    at moderate parameters; its value is an array.
    samples:         draws behind every statistical check, which allows `standard_errors` of them.
    fields:          fields whose entries may be varied freely (None: every one); leave out a unit vector.
    reparameterised: whether gradients pass through `sample`; None: where the family declares it, and values are real and do not
                     repeat (what passes through an atom is a stand-in).
    support:         every possible value, stacked, for a discrete event of several components; integers need none.
    reference:       a distribution that covers the support, for the normalisation of a continuous event of several components.
    extremes:        further members of the family at extreme parameters: draws, densities and gradients must stay finite.
    skip:            names of checks to leave out.

    Checks, where the family has what they need:

    - "finite": draws, densities and their gradients in parameters and value.
    - "own density": `sample_and_log_prob` agrees with `log_prob`.
    - "sum of elements": `log_prob` is the sum of `element_log_prob`.
    - "normalisation": the density integrates (or sums) to one. "sampler": Kolmogorov-Smirnov distance of the draws from its
      integral, or frequencies from probabilities. One component, a given support, or a reference.
    - "score": E[grad log q(z)] = 0. "density ratio": E[q'(z) / q(z)] = 1 for the same family at moved parameters. Together they
      hold sampler and density together in any dimension.
    - "mean", "variance": against those of the draws. "mode": no draw is denser. "entropy": against the mean of -log q.
    - "pathwise gradient": that of E[f(z)] through the sampler against the score-function estimate, in every parameter.
    - "jit", "vmap": compiled and batched draws equal those of a plain call. "extremes": see above.

    Returns the share of its allowance that each check used, by name; a check that is not in it was not made.
    """
    allowance = Allowance(type(distribution).__name__, skip)
    draws = measure(distribution, key, samples, fields)
    check_densities(allowance, distribution, draws)
    flat = draws.value.reshape(samples, -1)
    discrete = support is not None or not np.issubdtype(draws.value.dtype, np.floating) or bool(np.all(flat == np.round(flat)))
    if support is not None:
        check_support(allowance, distribution, draws.value, support)
    elif discrete and flat.shape[1] == 1:
        values = jnp.arange(int(flat.max()) + 1).astype(draws.value.dtype)
        check_support(allowance, distribution, draws.value, values.reshape((-1, *draws.value.shape[1:])))
    elif flat.shape[1] == 1:
        check_continuous_marginal(allowance, distribution, draws.value)
    if reference is not None:
        check_against_reference(allowance, distribution, reference, key, samples, standard_errors)
    check_identities(allowance, distribution, draws, key, fields, standard_errors)
    check_moments(allowance, distribution, draws, standard_errors)
    repeats = len(np.unique(flat[:, 0])) < 0.9 * samples
    real = is_continuous(distribution) and not discrete and not repeats and is_reparameterised(distribution)
    if real if reparameterised is None else reparameterised:
        check_pathwise_gradient(allowance, draws, standard_errors)
    check_transformations(allowance, distribution, draws, key)
    for extreme in extremes:
        check_extreme(allowance, extreme, key)
    return allowance.used


def measure(distribution: Distribution, key: Array, samples: int, fields: Sequence[str] | None) -> Draws:
    """Draw and differentiate, in one compiled program."""
    parameters, rebuild = free_parameters(distribution, fields)

    def log_prob(parameters, value):
        return rebuild(parameters).log_prob(value)

    def gradients(value):
        result, score = jax.value_and_grad(log_prob)(parameters, value)
        if not jnp.issubdtype(value.dtype, jnp.floating):
            return result, score, jnp.zeros(jnp.shape(value))
        return result, score, jax.grad(log_prob, argnums=1)(parameters, value)

    def program(keys):
        value, log_q = jax.vmap(distribution.sample_and_log_prob)(keys)
        centre, spread = jnp.mean(value.astype(float), axis=0), jnp.std(value.astype(float), axis=0)

        def statistic(parameters, key):
            return statistic_of(rebuild(parameters).sample(key), centre, spread)

        through = jax.vmap(jax.value_and_grad(statistic), in_axes=(None, 0))(parameters, keys)
        at_values = jax.vmap(statistic_of, in_axes=(0, None, None))(value, centre, spread)
        return (value, log_q, *jax.vmap(gradients)(value), through[1], at_values)

    return Draws(*map(np.asarray, jax.jit(program)(jax.random.split(key, samples))))


def statistic_of(value: Array, centre: Array, spread: Array) -> Array:
    """The bounded test function f(z): neither odd nor even about the mean, so that location and scale both move E[f(z)]."""
    standardised = (value - centre) / (spread + 1e-30)
    return jnp.mean(jnp.sin(standardised) + jnp.cos(standardised))


def check_densities(allowance: Allowance, distribution: Any, draws: Draws) -> None:
    """ "finite", "own density" and "sum of elements"."""
    for name in ("value", "log_prob", "score", "slope"):
        finite = np.isfinite(getattr(draws, name))
        allowance.holds(
            "finite", finite, f"{name} is not finite for {np.mean(~finite):.2%} of the draws, wanted finite numbers"
        )
    difference = np.abs(draws.log_q - draws.log_prob) / (1.0 + np.abs(draws.log_prob))
    worst = np.quantile(difference, 0.99)
    allowance.close("own density", worst, 0.0, 10 * ROUNDING, "99 % quantile of the relative difference of log q and log_prob")
    if hasattr(distribution, "element_log_prob"):
        value = jnp.asarray(draws.value[0])
        total, elements = distribution.log_prob(value), distribution.element_log_prob(value)
        allowed = ROUNDING * (1.0 + np.sum(np.abs(elements)))
        allowance.close("sum of elements", total, np.sum(elements), allowed, "rounding of float32")


def check_against_reference(
    allowance: Allowance, distribution: Any, reference: Any, key: Array, samples: int, standard_errors: float
) -> None:
    """ "normalisation" by importance sampling: E_r[q(z) / r(z)] = 1 for draws of the reference r."""

    def ratio(key):
        value, log_reference = reference.sample_and_log_prob(key)
        return jnp.exp(distribution.log_prob(value) - log_reference)

    ratios = np.asarray(jax.jit(jax.vmap(ratio))(jax.random.split(key, samples)), np.float64)
    allowed = standard_errors * standard_error(ratios) + ROUNDING
    allowance.close("normalisation", np.mean(ratios), 1.0, allowed, f"{standard_errors:g} standard errors, {samples} draws")


def check_identities(
    allowance: Allowance, distribution: Any, draws: Draws, key: Array, fields: Sequence[str] | None, standard_errors: float
) -> None:
    """ "score" and "density ratio": what holds for every smooth family, in any dimension, for any support."""
    parameters, rebuild = free_parameters(distribution, fields)
    if parameters.size == 0:
        return
    error = standard_error(draws.score)
    unit = f"{standard_errors:g} standard errors, {len(draws.score)} draws"
    allowance.close("score", np.mean(draws.score, axis=0), 0.0, standard_errors * error + 1e-6, f"in nats per unit; {unit}")
    spread = np.std(draws.score, axis=0)
    signs = np.asarray(jax.random.rademacher(key, parameters.shape, float))
    direction = np.where(spread > 0, signs / np.where(spread > 0, spread, 1.0), 0.0)
    scale = np.std(draws.score @ direction)
    if not scale > 0:
        return
    moved = rebuild(parameters + (STEP / scale) * jnp.asarray(direction, parameters.dtype))
    log_ratios = np.asarray(jax.jit(jax.vmap(moved.log_prob))(jnp.asarray(draws.value)), np.float64) - draws.log_prob
    ratios = np.exp(log_ratios)
    allowed = standard_errors * standard_error(ratios) + ROUNDING
    allowance.close("density ratio", np.mean(ratios), 1.0, allowed, unit)


def check_moments(allowance: Allowance, distribution: Any, draws: Draws, standard_errors: float) -> None:
    """ "mean", "variance", "mode" and "entropy", where the family has them."""
    value = draws.value.astype(np.float64)
    unit = f"{standard_errors:g} standard errors, {len(value)} draws"
    centred = value - np.mean(value, axis=0)
    if has(distribution, "mean"):
        floor = 1e-5 * (np.std(value, axis=0) + np.abs(np.mean(value, axis=0)))
        allowed = standard_errors * standard_error(value) + floor
        allowance.close("mean", np.asarray(distribution.mean), np.mean(value, axis=0), allowed, unit)
    if has(distribution, "variance"):
        variance = np.mean(np.square(centred), axis=0)
        allowed = standard_errors * standard_error(np.square(centred)) + 1e-4 * variance
        allowance.close("variance", np.asarray(distribution.variance), variance, allowed, unit)
    if has(distribution, "mode"):
        at_mode = float(distribution.log_prob(jnp.asarray(distribution.mode)))
        short = np.maximum(np.max(draws.log_prob) - at_mode, 0.0) if not np.isnan(at_mode) else np.nan
        allowance.close("mode", short, 0.0, ROUNDING * (1.0 + abs(np.max(draws.log_prob))), "nats by which a draw is denser")
    if hasattr(distribution, "entropy"):
        log_q = draws.log_prob.astype(np.float64)
        allowed = standard_errors * standard_error(log_q) + ROUNDING * 0.1 * (1.0 + np.abs(np.mean(log_q)))
        allowance.close("entropy", np.asarray(distribution.entropy()), -np.mean(log_q), allowed, f"nats; {unit}")


def has(distribution: Any, name: str) -> bool:
    """Whether a property exists and gives an answer; families refuse what does not exist for them with TypeError."""
    try:
        return getattr(distribution, name, None) is not None
    except (TypeError, NotImplementedError):
        return False


def check_pathwise_gradient(allowance: Allowance, draws: Draws, standard_errors: float) -> None:
    """ "pathwise gradient": E[grad f(sample)] = E[(f(z) - mean f) grad log q(z)], paired on the same draws."""
    finite = np.isfinite(draws.pathwise)
    allowance.holds("pathwise gradient", finite, f"it is not finite for {np.mean(~finite):.2%} of the draws, wanted finite")
    centred = draws.statistic - np.mean(draws.statistic)
    estimate = centred[:, None] * draws.score
    allowed = standard_errors * standard_error(draws.pathwise - estimate) + 1e-6
    unit = f"{standard_errors:g} standard errors, {len(draws.score)} draws"
    got, wanted = np.mean(draws.pathwise, axis=0), np.mean(estimate, axis=0)
    allowance.close("pathwise gradient", got, wanted, allowed, f"against the score-function estimate; {unit}")


def check_transformations(allowance: Allowance, distribution: Any, draws: Draws, key: Array, count: int = 2) -> None:
    """ "jit" and "vmap": plain calls give what the compiled batch of `measure` gave for the same keys.

    Only where they do not is a single call compiled, to see which of the two transformations is to blame.
    """
    keys = jax.random.split(key, len(draws.value))[:count]
    plain = [distribution.sample_and_log_prob(key) for key in keys]
    values = np.stack([np.asarray(value, np.float64) for value, _ in plain])
    log_q = np.stack([np.asarray(log_q, np.float64) for _, log_q in plain])
    equal = all(
        np.allclose(got, wanted, rtol=ROUNDING, atol=ROUNDING, equal_nan=True)
        for got, wanted in ((draws.value[:count], values), (draws.log_q[:count], log_q))
    )
    compiled = plain if equal else [jax.jit(distribution.sample_and_log_prob)(key) for key in keys]
    for index, ((value, log_prob), single) in enumerate(zip(compiled, plain, strict=True)):
        batched = draws.value[index], draws.log_q[index]
        for name, got, wanted, many in zip(("value", "log q"), (value, log_prob), single, batched, strict=True):
            allowed = ROUNDING * (1.0 + np.abs(wanted))
            allowance.close("jit", got, wanted, allowed, f"{name} compiled against plain")
            allowance.close("vmap", many, got, allowed, f"{name} batched against single")


def check_extreme(allowance: Allowance, extreme: Any, key: Array, samples: int = 64) -> None:
    """ "extremes": draws, their densities and the gradients of those in every parameter are finite."""
    parameters, rebuild = free_parameters(extreme, None)

    def density(key):
        value, log_q = extreme.sample_and_log_prob(key)
        log_prob, score = jax.value_and_grad(lambda vector: rebuild(vector).log_prob(value))(parameters)
        return value, log_q, log_prob, score

    results = jax.jit(jax.vmap(density))(jax.random.split(key, samples))
    for name, result in zip(("value", "log q", "log_prob", "gradient of log_prob"), results, strict=True):
        share = np.mean(~np.isfinite(np.asarray(result, np.float64)))
        allowance.holds(
            "extremes", share == 0.0, f"{name} is not finite for {share:.0%} of the draws of {extreme}, wanted finite"
        )
