"""Whether a closed-form Kullback-Leibler divergence is one, and is that of the densities."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vae.distributions.base import Distribution
from vae.divergences.table import Table, kl_divergence, monte_carlo_kl
from vae.testing.allowance import Allowance, Report, free_parameters

ROUNDING = 1e-5


def check_kl(
    q: Distribution,
    p: Distribution,
    key: Array,
    *,
    table: Table | None = None,
    samples: int = 100_000,
    standard_errors: float = 4.0,
    fields: Sequence[str] | None = None,
    extremes: Sequence[tuple[Distribution, Distribution]] = (),
    skip: Sequence[str] = (),
) -> Report:
    """Hold a row of the KL table to the densities of its two families; raise AssertionError at the first check that fails.

    q, p:     a pair at moderate parameters; its row is looked up in `table`, then in the library's.
    samples:  draws behind the Monte Carlo estimate, which may be `standard_errors` away.
    fields:   fields whose entries may be varied freely (None: every one); leave out a unit vector.
    extremes: further pairs, where the divergence and its gradient must be finite and not negative.
    skip:     names of checks to leave out.

    Checks: "scalar", "Monte Carlo" (E_q[log q - log p]), "not negative" (here and close to equality), "zero at equality",
    "finite gradient", "gradient" (against fourth-order finite differences, in every free parameter of both), "jit", "vmap",
    "extremes". Equality needs a row from the type of q to itself.

    Returns the share of its allowance that each check used, by name.
    """
    allowance = Allowance(f"KL({type(q).__name__} || {type(p).__name__})", skip)

    def divergence(q, p):
        return kl_divergence(q, p, table)

    plain = divergence(q, p)
    allowance.holds("scalar", np.shape(plain) == (), f"got shape {np.shape(plain)}, wanted (): the sum over components")
    estimate, error = jax.jit(lambda q, p, key: monte_carlo_kl(q, p, key, samples))(q, p, key)
    allowed = standard_errors * float(error) + ROUNDING * (1.0 + abs(float(estimate)))
    unit = f"nats; {standard_errors:g} standard errors, {samples} draws"
    allowance.close("Monte Carlo", plain, estimate, allowed, unit)
    allowance.holds("not negative", plain >= 0, f"got {float(plain):.7g} nats, wanted >= 0")
    if type(q) is type(p):
        check_equality(allowance, divergence, q, key, fields)
    check_gradient(allowance, divergence, q, p, fields)
    check_calls(allowance, divergence, q, p, plain)
    for extreme in extremes:
        check_extreme_pair(allowance, divergence, *extreme)
    return allowance.used


def check_equality(allowance: Allowance, divergence: Any, q: Any, key: Array, fields: Sequence[str] | None) -> None:
    """ "zero at equality", and "not negative" at parameters 1e-6 to 1e-2 away, where a careless form cancels."""
    vector, rebuild = free_parameters(q, fields)
    allowance.close("zero at equality", divergence(q, q), 0.0, 1e-6 * max(vector.size, 1), "nats; rounding of float32")
    directions = jax.random.normal(key, (5, vector.size))
    steps = 10.0 ** jnp.arange(-6.0, -1.0)
    near = jax.jit(
        jax.vmap(lambda step, direction: divergence(q, rebuild(vector + step * direction * (jnp.abs(vector) + 0.1))))
    )
    values = np.asarray(near(steps, directions))
    floor = -1e-6 * max(vector.size, 1)
    allowance.holds("not negative", values >= floor, f"got {values.min():.3g} nats close to equality, wanted >= 0")


def check_gradient(allowance: Allowance, divergence: Any, q: Any, p: Any, fields: Sequence[str] | None) -> None:
    """ "finite gradient" and "gradient": d KL in each free parameter of q and of p against [8 (f1 - f-1) - (f2 - f-2)] / 12 h.

    Allowed is 1 % of the gradient and what float32 leaves of the difference at h = 0.02 in units of the parameter.
    """
    (q_vector, q_rebuild), (p_vector, p_rebuild) = free_parameters(q, fields), free_parameters(p, fields)
    start = jnp.concatenate([q_vector, p_vector])
    if start.size == 0:
        return

    def value(vector):
        return divergence(q_rebuild(vector[: q_vector.size]), p_rebuild(vector[q_vector.size :]))

    gradient = np.asarray(jax.jit(jax.grad(value))(start), np.float64)
    allowance.holds("finite gradient", np.isfinite(gradient), f"got {gradient}, wanted finite numbers")
    steps = 0.02 * np.maximum(np.minimum(np.abs(np.asarray(start, np.float64)), 1.0), 0.1)
    offsets = np.array([-2.0, -1.0, 1.0, 2.0])
    moves = offsets[:, None, None] * np.diag(steps)
    values = np.asarray(jax.jit(jax.vmap(jax.vmap(value)))(start[None, None] + jnp.asarray(moves, start.dtype)), np.float64)
    difference = (8.0 * (values[2] - values[1]) - (values[3] - values[0])) / (12.0 * steps)
    rounding = 2e-6 * (1.0 + np.abs(values).max(axis=0)) / steps
    allowance.close("gradient", gradient, difference, 0.01 * np.abs(difference) + rounding, "against finite differences")


def check_calls(allowance: Allowance, divergence: Any, q: Any, p: Any, plain: Array) -> None:
    """ "jit" and "vmap": compiled and batched calls give what a plain call gives."""
    allowed = 1e-4 * (1e-2 + abs(float(plain)))
    allowance.close("jit", jax.jit(divergence)(q, p), plain, allowed, "nats; compiled against plain")
    batch = jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * 2), (q, p))
    allowance.close("vmap", jax.vmap(divergence)(*batch), plain, allowed, "nats; batched against single")


def check_extreme_pair(allowance: Allowance, divergence: Any, q: Any, p: Any) -> None:
    """ "extremes": value and gradient are finite, the value is not negative."""
    (q_vector, q_rebuild), (p_vector, p_rebuild) = free_parameters(q, None), free_parameters(p, None)
    function = jax.jit(
        jax.value_and_grad(lambda q_vector, p_vector: divergence(q_rebuild(q_vector), p_rebuild(p_vector)), (0, 1))
    )
    value, gradients = function(q_vector, p_vector)
    sentence = f"got {float(value):.7g} nats for {q} and {p}, wanted a finite number >= 0"
    allowance.holds("extremes", np.isfinite(value) and value >= 0, sentence)
    finite = all(np.all(np.isfinite(gradient)) for gradient in gradients)
    allowance.holds("extremes", finite, f"got the gradients {gradients} for {q} and {p}, wanted finite numbers")
