"""Gaussians of every kind for the tests beside this file, and the float64 NumPy oracle they are held against."""

import jax.numpy as jnp
import numpy as np

from vae.distributions import LowRankNormal, MultivariateNormal, Normal

KINDS = (Normal, MultivariateNormal, LowRankNormal)
PAIRS = [(q, p) for q in KINDS for p in KINDS]


def parameters(kind, seed, dim=4, rank=2):
    """Moderate float64 parameters of a Gaussian of this kind."""
    rng = np.random.default_rng(seed)
    mean, log_std, matrix = rng.normal(size=dim), 0.4 * rng.normal(size=dim), rng.normal(size=(dim, dim))
    if kind is Normal:
        return {"mean": mean, "log_std": log_std}
    if kind is MultivariateNormal:
        return {"mean": mean, "scale_tril": np.tril(0.5 * matrix, -1) + np.diag(np.exp(log_std))}
    return {"mean": mean, "factor": matrix[:, :rank], "log_diagonal_std": log_std}


def build(kind, fields):
    return kind(**{name: jnp.asarray(value, jnp.float32) for name, value in fields.items()})


def covariance(fields):
    if "log_std" in fields:
        return np.diag(np.exp(2.0 * fields["log_std"]))
    if "scale_tril" in fields:
        lower = np.tril(fields["scale_tril"])
        return lower @ lower.T
    return fields["factor"] @ fields["factor"].T + np.diag(np.exp(2.0 * fields["log_diagonal_std"]))


def kl(q, p):
    """KL from covariances, in float64: no code or factorisation is shared with the library."""
    q_cov, p_cov = covariance(q), covariance(p)
    difference = q["mean"] - p["mean"]
    trace = np.trace(np.linalg.solve(p_cov, q_cov))
    log_dets = np.linalg.slogdet(p_cov)[1] - np.linalg.slogdet(q_cov)[1]
    return 0.5 * (trace - difference.size + difference @ np.linalg.solve(p_cov, difference) + log_dets)


def scaled(fields, scale):
    """The same Gaussian in other units."""
    return {name: value + np.log(scale) if name.startswith("log") else value * scale for name, value in fields.items()}


def central_differences(function, fields, scale=1.0):
    """d function / d every entry of every field, by central differences in float64: good to about 1e-9.

    scale: the units of the fields that are not logarithms.
    """
    gradients = {}
    for name, value in fields.items():
        gradients[name], step = np.zeros_like(value), 1e-5 * (1.0 if name.startswith("log") else scale)
        for index in np.ndindex(value.shape):
            moved = [fields | {name: value + sign * step * _unit(value.shape, index)} for sign in (1, -1)]
            gradients[name][index] = (function(moved[0]) - function(moved[1])) / (2 * step)
    return gradients


def _unit(shape, index):
    unit = np.zeros(shape)
    unit[index] = 1.0
    return unit
