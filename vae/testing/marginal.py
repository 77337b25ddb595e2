"""Normalisation and sampler of what can be enumerated or integrated: discrete events, and a single real component."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vae.testing.allowance import Allowance

KOLMOGOROV = 2.2  # times n^-1/2: exceeded once in 8,000 samplers that are right
OUTSIDE = 20.0  # times 1/n: the mass beyond the smallest and largest of n draws exceeds it once in 2e7
INTEGRATION = 1e-3


def check_support(allowance: Allowance, distribution: Any, values: np.ndarray, support: Array) -> None:
    """ "normalisation": sum of the probabilities over the support. "sampler": frequencies against probabilities.

    support: (m, *event) distinct values; what is missing from it must be rarer than 20 in n draws.
    """
    count = len(values)
    probabilities = np.exp(np.asarray(jax.jit(jax.vmap(distribution.log_prob))(support), np.float64))
    short = max(0.0, 1.0 - float(np.sum(probabilities)))
    total = 1.0 if short < OUTSIDE / count else float(np.sum(probabilities))
    allowance.close("normalisation", total, 1.0, INTEGRATION, "sum of exp(log_prob) over the support")
    matches = values.reshape(count, 1, -1) == np.asarray(support).reshape(1, len(support), -1)
    frequencies = np.mean(np.all(matches, axis=-1), axis=0)
    allowance.close("sampler", np.sum(frequencies), 1.0, 1e-9, "share of the draws that lie in the support")
    deviation = np.sqrt(np.maximum(probabilities * (1.0 - probabilities), 0.0) / count)
    allowance.close("sampler", frequencies, probabilities, 5.0 * deviation + 5.0 / count, "frequencies; 5 standard errors")


def check_continuous_marginal(allowance: Allowance, distribution: Any, values: np.ndarray) -> None:
    """ "normalisation" and "sampler" of one real component: exp(log_prob) integrated between order statistics of the draws.

    Nothing need be known of the support, since the draws span it. Values that repeat are atoms, and log_prob their log mass.
    """
    shape, flat = values.shape[1:], np.sort(values.reshape(-1))
    distinct, counts = np.unique(flat, return_counts=True)
    atoms = distinct[counts > max(5, 0.002 * len(flat))]
    smooth = flat[~np.isin(flat, atoms)]
    density = jax.jit(jax.vmap(lambda value: jnp.exp(distribution.log_prob(value.reshape(shape)))))
    mass = np.sum(np.asarray(density(jnp.asarray(atoms)), np.float64)) if len(atoms) else 0.0
    edges, ranks = order_statistics(smooth)
    cumulative = integrate(density, edges)
    total = float(cumulative[-1] + mass)
    expected = 1.0 if 1.0 - OUTSIDE / len(flat) < total <= 1.0 else total
    allowance.close("normalisation", expected, 1.0, INTEGRATION, "integral of exp(log_prob) over the range of the draws")
    allowed = KOLMOGOROV / np.sqrt(len(flat)) + INTEGRATION
    allowance.close("sampler", ranks / len(flat), cumulative, allowed, "distribution function; Kolmogorov-Smirnov, p = 1e-4")


def order_statistics(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some 300 of the sorted draws and their ranks, denser towards both ends, where densities may be singular."""
    last = len(draws) - 1
    tail = np.unique(np.geomspace(1, last / 2, 60).astype(int))
    ranks = np.unique(np.concatenate([[0], tail, np.linspace(0, last, 200).astype(int), last - tail, [last]]))
    distinct = np.concatenate([[True], np.diff(draws[ranks]) > 0])
    return draws[ranks][distinct].astype(np.float64), ranks[distinct]


def integrate(density: Any, edges: np.ndarray, order: int = 16) -> np.ndarray:
    """The integral of the density from the first edge to each, by Gauss-Legendre between neighbours."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    half = 0.5 * np.diff(edges)[:, None]
    points = edges[:-1, None] + half * (1.0 + nodes)
    heights = np.asarray(density(jnp.asarray(points.reshape(-1), jnp.float32)), np.float64).reshape(points.shape)
    return np.concatenate([[0.0], np.cumsum(np.sum(half * weights * heights, axis=1))])
