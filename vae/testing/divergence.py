"""Whether a closed-form Kullback-Leibler divergence is one, and is that of the densities."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vae.distributions.base import Distribution
from vae.divergences.table import Table, kl_divergence, monte_carlo_kl
from vae.testing.allowance import Allowance, Report, free_parameters

ROUNDING = 1e-5
FRACTION = 0.02  # step of the finite differences, relative to parameters from 0.1 to 1
OFFSETS = np.arange(-2.0, 3.0)


class Measured(NamedTuple):
    """The divergence around a pair with P free parameters, those of q first.

    steps:       (P,) step of the finite differences.
    compiled:    the divergence, under jit.
    gradient:    (P,) its gradient.
    moved:       (5, P) the divergence with one parameter moved by -2 .. 2 steps, under vmap.
    same_family: (6,) the divergence from q to itself, then to five members of its family that are ever further away.
    """

    steps: np.ndarray
    compiled: np.ndarray
    gradient: np.ndarray
    moved: np.ndarray
    same_family: np.ndarray


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
    measured = measure(divergence, q, p, key, fields)
    if type(q) is type(p):
        check_equality(allowance, measured)
    check_gradient(allowance, measured)
    allowed = 1e-4 * (1e-2 + abs(float(plain)))
    allowance.close("jit", measured.compiled, plain, allowed, "nats; compiled against plain")
    allowance.close("vmap", measured.moved[2, 0], plain, allowed, "nats; batched against single")
    for extreme in extremes:
        check_extreme_pair(allowance, divergence, *extreme)
    return allowance.used


def measure(divergence: Any, q: Any, p: Any, key: Array, fields: Sequence[str] | None) -> Measured:
    """Evaluate and differentiate, in one compiled program."""
    (q_vector, q_rebuild), (p_vector, p_rebuild) = free_parameters(q, fields), free_parameters(p, fields)
    start = jnp.concatenate([q_vector, p_vector])
    steps = FRACTION * np.clip(np.abs(np.asarray(start, np.float64)), 0.1, 1.0)
    moves = jnp.asarray(OFFSETS[:, None, None] * np.diag(steps), start.dtype)
    directions = jax.random.normal(key, (5, q_vector.size)) * (jnp.abs(q_vector) + 0.1)[None]
    close = 10.0 ** jnp.arange(-6.0, -1.0)[:, None] * directions

    def value(vector):
        return divergence(q_rebuild(vector[: q_vector.size]), p_rebuild(vector[q_vector.size :]))

    def near(move):
        return divergence(q, q_rebuild(q_vector + move))

    def program():
        compiled, gradient = jax.value_and_grad(value)(start)
        moved = jax.vmap(jax.vmap(value))(start[None, None] + moves)
        same_family = jax.vmap(near)(jnp.concatenate([jnp.zeros_like(close[:1]), close])) if type(q) is type(p) else ()
        return compiled, gradient, moved, same_family

    return Measured(steps, *jax.tree.map(np.asarray, jax.jit(program)()))


def check_equality(allowance: Allowance, measured: Measured) -> None:
    """ "zero at equality", and "not negative" at parameters 1e-6 to 1e-2 away, where a careless form cancels."""
    equal, *near = measured.same_family
    floor = 1e-6 * max(len(measured.steps), 1)
    allowance.close("zero at equality", equal, 0.0, floor, "nats; rounding of float32")
    allowance.holds("not negative", min(near) >= -floor, f"got {min(near):.3g} nats close to equality, wanted >= 0")


def check_gradient(allowance: Allowance, measured: Measured) -> None:
    """ "finite gradient" and "gradient": d KL in each free parameter of q and of p against [8 (f1 - f-1) - (f2 - f-2)] / 12 h.

    Allowed is 1 % of the gradient and what float32 leaves of the difference.
    """
    gradient = measured.gradient.astype(np.float64)
    allowance.holds("finite gradient", np.isfinite(gradient), f"got {gradient}, wanted finite numbers")
    minus_2, minus_1, _, plus_1, plus_2 = values = measured.moved.astype(np.float64)
    difference = (8.0 * (plus_1 - minus_1) - (plus_2 - minus_2)) / (12.0 * measured.steps)
    rounding = 2e-6 * (1.0 + np.abs(values).max(axis=0)) / measured.steps
    allowance.close("gradient", gradient, difference, 0.01 * np.abs(difference) + rounding, "against finite differences")


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
