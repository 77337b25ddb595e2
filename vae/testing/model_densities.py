"""What many passes through a model say of its densities: closed forms, bounds, the prior beside the posterior."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae.evaluation.arrays import standard_error
from vae.testing.allowance import Allowance
from vae.testing.passes import COLDER, Passes, Scores, Tried, has_density, has_row

ROUNDING = 1e-3  # relative, of log densities in float32, some of which invert a flow
SAMPLES_OF_BOUNDS = (1, 8)


def check_densities(allowance: Allowance, tried: Tried, found: Passes, standard_errors: float) -> None:
    """Every check that takes many draws; see `check_model`."""
    found = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64) if is_float(leaf) else np.asarray(leaf), found)
    check_scores(allowance, tried, found)
    check_kl(allowance, tried, found.drawn, standard_errors)
    if all(map(has_density, tried.trace.latents)) and tried.trace.latents:
        check_bound(allowance, found.drawn, standard_errors)
    if found.prior:
        check_prior(allowance, tried, found, standard_errors)


def is_float(leaf: Any) -> bool:
    """Whether an array has real numbers."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def check_scores(allowance: Allowance, tried: Tried, found: Passes) -> None:
    """ "own density", "given", "decode" and "own draws"."""
    drawn, again = found.drawn, found.again
    numbers = {"log p(x|z)": drawn.log_likelihood, "penalty": drawn.penalty}
    numbers |= {f"log q of group {i}": log_q for i, log_q in enumerate(drawn.log_q)}
    numbers |= {f"log p of group {i}": log_p for i, log_p in enumerate(drawn.log_p)}
    for name, values in numbers.items():
        allowance.holds("trace", np.isfinite(values), f"{name} is not finite at a draw of the posterior")
    for i, (log_q, own) in enumerate(zip(drawn.log_q, drawn.own, strict=True)):
        near(allowance, "own density", log_q, own, f"nats, log_q of group {i} beside the posterior's own log_prob")
    for i, (value, kept) in enumerate(zip(drawn.values, again.values, strict=True)):
        allowance.holds("given", equal(value, kept), f"group {i} was given and came back as another value")
        unit = f"nats, log q of group {i} of a given value beside that of the draw that it came from"
        near(allowance, "given", again.log_q[i], drawn.log_q[i], unit)
        near(allowance, "given", again.log_p[i], drawn.log_p[i], unit.replace("log q", "log p"))
    near(allowance, "given", again.log_likelihood, drawn.log_likelihood, "nats, log p(x|z) at given values beside the draw's")
    near(allowance, "decode", found.decoded, drawn.log_likelihood, "nats, log p(x|z) by decode beside that of the trace")
    finite = np.isfinite(found.own_x)
    allowance.holds("own draws", finite, "an x drawn from the decoded prior has no finite log density under it")


def near(allowance: Allowance, check: str, got: Any, wanted: Any, unit: str) -> None:
    """Equal but for rounding."""
    allowance.close(check, got, wanted, ROUNDING * (1.0 + np.abs(np.where(np.isfinite(wanted), wanted, 0.0))), unit)


def equal(tree: Any, other: Any) -> bool:
    """Whether two trees hold the same numbers."""
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True))


def check_kl(allowance: Allowance, tried: Tried, drawn: Scores, standard_errors: float) -> None:
    """ "KL": the closed form less the log ratio has mean zero over whole draws, ancestors and all.

    A group whose prior depends on what was drawn after it fails here too, unless it is in `AtSample`.
    """
    for i, latent in enumerate(tried.trace.latents):
        if has_row(latent) and latent.log_q is not None:
            excess = drawn.closed[i] - (drawn.log_q[i] - drawn.log_p[i])
            size = np.abs(drawn.closed[i]).mean(axis=1)
            allowed = standard_errors * error_of(excess) + ROUNDING * (1.0 + size)
            unit = f"nats, the KL of group {i} in closed form less its log ratio, of each example"
            allowance.close("KL", excess.mean(axis=1), 0.0, allowed, unit)


def check_bound(allowance: Allowance, drawn: Scores, standard_errors: float) -> None:
    """ "bound": ELBO <= IWAE-1 <= IWAE-8 <= IWAE-N, each of its own draws, of the likelihood to a power.

        E_q [ t log p(x|z) - KL ]  <=  E log 1/K sum_k p(z_k) p(x|z_k)^t / q(z_k)  <=  log of int p(z) p(x|z)^t dz

    The power t <= 1 is such that t log p(x|z) varies by about a nat: so few draws show the weights' mean only then.
    """
    power = np.minimum(1.0, 1.0 / np.maximum(drawn.log_likelihood.std(axis=1, keepdims=True), 1e-6))
    scaled = power * drawn.log_likelihood
    weights = scaled + sum(drawn.log_p) - sum(drawn.log_q)
    parts = len(SAMPLES_OF_BOUNDS) + 2
    quarters = np.array_split(np.arange(scaled.shape[1]), parts)
    bounds = [(scaled - sum(drawn.closed))[:, quarters[0]]]
    names = ["the ELBO", *(f"IWAE-{k}" for k in SAMPLES_OF_BOUNDS), f"IWAE-{len(quarters[-1])}"]
    for samples, rows in zip(SAMPLES_OF_BOUNDS, quarters[1:], strict=False):
        whole = weights[:, rows[: len(rows) // samples * samples]]
        bounds.append(log_mean(whole.reshape(len(whole), -1, samples)))
    last = weights[:, quarters[-1]]
    means = [*(bound.mean(axis=1) for bound in bounds), log_mean(last)]
    errors = [*map(error_of, bounds), error_of(np.exp(last - log_mean(last)[:, None]))]  # the delta method
    for i in range(parts - 1):
        allowed = standard_errors * np.hypot(errors[i], errors[i + 1]) + ROUNDING * (1.0 + np.abs(means[i]))
        excess = np.maximum(means[i] - means[i + 1], 0.0)
        allowance.close("bound", excess, 0.0, allowed, f"nats of {names[i]} above {names[i + 1]}, of each example")


def log_mean(log_weights: np.ndarray) -> np.ndarray:
    """log of the mean of the weights, along the last axis."""
    largest = log_weights.max(axis=-1, keepdims=True)
    return np.log(np.exp(log_weights - largest).mean(axis=-1)) + largest[..., 0]


def error_of(values: Any) -> np.ndarray:
    """The standard error of the mean over the draws, of each example: values (examples, draws)."""
    return standard_error(values.T)


def check_prior(allowance: Allowance, tried: Tried, found: Passes, standard_errors: float) -> None:
    """ "prior samples", "prior moments", "temperature" and "importance sampling"."""
    prior = found.prior
    for i, log_p in enumerate(prior.log_p):
        allowance.holds("prior samples", np.isfinite(log_p), f"a value that prior drew for group {i} has no finite log p")
    allowance.holds("prior samples", np.isfinite(prior.log_likelihood), "log p(x|z) is not finite at a draw of the prior")
    check_moments(allowance, "prior moments", prior.standard, 1.0, standard_errors)
    check_moments(allowance, "temperature", found.colder, COLDER, standard_errors)
    check_overlap(allowance, found.drawn, prior, standard_errors)


def check_moments(allowance: Allowance, check: str, standard: tuple, std: float, standard_errors: float) -> None:
    """Mean 0 and standard deviation `std` of what prior drew, in units of the density that the trace has for it."""
    for i, values in enumerate(standard):
        if values.size:
            flat = values.ravel()
            unit = f"of the draws of group {i}, in standard deviations of its prior"
            allowance.close(check, flat.mean(), 0.0, standard_errors * std / np.sqrt(flat.size) + ROUNDING, f"mean {unit}")
            allowed = standard_errors * std / np.sqrt(2 * flat.size) + ROUNDING
            allowance.close(check, np.sqrt(np.mean(np.square(flat))), std, allowed, f"standard deviation {unit}")


def check_overlap(allowance: Allowance, drawn: Scores, prior: Scores, standard_errors: float) -> None:
    """ "importance sampling": draws of q and of p weigh the same integral alike, with bounded weights:

        E_q [ f(z) p / (p + q) ]  =  int f p q / (p + q) dz  =  E_p [ f(z) q / (p + q) ]

    for f = 1 and for f(z) = sigmoid of the standardised log p(x | z). It holds log q, log p, the draws of both and the decoder
    together, however far q and p are apart. (Bennett 1976, eq. 8.)
    """
    centre, scale = drawn.log_likelihood.mean(axis=1, keepdims=True), drawn.log_likelihood.std(axis=1, keepdims=True)
    sides = []
    for side, sign in ((drawn, 1.0), (prior, -1.0)):
        ratio = sign * (sum(side.log_p) - sum(side.log_q))
        weight = logistic(ratio)
        sides.append((weight, weight * logistic((side.log_likelihood - centre) / np.maximum(scale, 1e-6))))
    for of_q, of_p, what in zip(*sides, ("1", "the likelihood"), strict=True):
        errors = np.hypot(error_of(of_q), error_of(of_p))
        unit = (
            f"the integral of {what} under p q / (p + q), by draws of the posterior and by draws of the prior, of each example"
        )
        allowed = standard_errors * errors + ROUNDING
        allowance.close("importance sampling", of_q.mean(axis=1), of_p.mean(axis=1), allowed, unit)


def logistic(x: Any) -> np.ndarray:
    """1 / (1 + exp(-x)), infinities included."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))
