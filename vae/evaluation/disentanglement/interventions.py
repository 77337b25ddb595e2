"""Metrics that hold one factor still and let the others vary."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vae.discrepancies import ACTIVE_VARIANCE
from vae.evaluation.arrays import codes_and_factors, finite_array, linear_classifier


class Interventions(NamedTuple):
    """Where codes with one factor held still come from.

    factors: how many there are.
    groups(rng, factor, count, size) -> codes (count, size, D)
        `count` groups of `size` examples; inside a group the factor has one value, drawn anew for each group, and the other
        factors vary freely. Groups of one example are examples without any restriction.
    """

    factors: int
    groups: Callable[[np.random.Generator, int, int, int], np.ndarray]


def from_table(codes: ArrayLike, factors: ArrayLike) -> Interventions:
    """Groups drawn with replacement from labelled examples: a row at random, then rows that share its value of the factor.

    That is conditioning, which equals intervening only where the factors of the table are independent; a table in which they
    are not should be reweighted, or replaced by `from_function`.

    codes: (N, D); factors: (N, F). Raises ValueError where a value of a factor occurs in one row only.
    """
    table, values = codes_and_factors(codes, factors)
    counts = [np.bincount(column) for column in values.T]
    for k, count in enumerate(counts):
        if count.min() < 2:
            raise ValueError(f"a value of factor {k} occurs in one row only; wanted at least 2: give more examples.")
    order = [np.argsort(column, kind="stable") for column in values.T]
    starts = [np.cumsum(count) - count for count in counts]

    def groups(rng: np.random.Generator, factor: int, count: int, size: int) -> np.ndarray:
        value = values[rng.integers(len(table), size=count), factor][:, None]
        offset = np.floor(rng.random((count, size)) * counts[factor][value]).astype(np.int64)
        return table[order[factor][starts[factor][value] + offset]]

    return Interventions(values.shape[1], groups)


def from_function(
    codes_of: Callable[[np.ndarray], Any], factor_sizes: Sequence[int], *, batch_size: int = 1000
) -> Interventions:
    """Groups made to order: independent uniform factors, rendered and encoded by a function.

    codes_of:     (batch_size, F) integers -> (batch_size, D) codes of examples with these factors; always of that shape.
    factor_sizes: the number of values of each factor.
    """
    sizes = np.asarray(factor_sizes, np.int64)
    if sizes.ndim != 1 or sizes.size == 0 or sizes.min() < 2:
        raise ValueError(f"factor_sizes is {list(factor_sizes)}; wanted one number of values, at least 2, for each factor.")

    def encode(rows: np.ndarray) -> np.ndarray:
        padded = np.concatenate([rows, np.tile(rows[:1], (-len(rows) % batch_size, 1))])
        batches = np.split(padded, len(padded) // batch_size)
        return np.concatenate([finite_array("codes_of", codes_of(b), "examples, dimensions") for b in batches])[: len(rows)]

    def groups(rng: np.random.Generator, factor: int, count: int, size: int) -> np.ndarray:
        drawn = rng.integers(sizes, size=(count, size, len(sizes)))
        drawn[:, :, factor] = drawn[:, :1, factor]
        return encode(drawn.reshape(-1, len(sizes))).reshape(count, size, -1)

    return Interventions(len(sizes), groups)


def beta_vae_score(
    interventions: Interventions,
    *,
    seed: int,
    pairs: int = 64,
    train_points: int = 10_000,
    test_points: int = 5_000,
    classifier: Callable[[int], Any] = linear_classifier,
) -> float:
    """How often a linear classifier tells which factor was held still, from the mean difference of pairs that share it.

        accuracy of k ~ 1/L sum_l |z(l, 1) - z(l, 2)|,    v_k equal inside each of the L pairs, k drawn uniformly

    Range 0 ... 1, chance 1 / F. The factors themselves and duplicates get 1, noise 1 / F. High values need not mean aligned
    dimensions: under a general rotation the absence of each factor still shows on the dimensions in its own proportions, and
    the score tends to 1 as L grows (0.83 was measured for four factors and 64 pairs); two factors are confused, at 1/2, only
    where their proportions are equal, as in an even rotation of two equal factors.

    classifier: seed -> scikit-learn classifier; logistic regression on standardised features unless given.
    Defaults of disentanglement_lib. (Higgins et al. 2017, section 3.)
    """
    rng = np.random.default_rng(seed)
    train, test = (_differences(interventions, rng, points, pairs) for points in (train_points, test_points))
    return float(classifier(seed).fit(*train).score(*test))


def _differences(interventions: Interventions, rng: np.random.Generator, points: int, pairs: int):
    """Features (points, D) and the factor held still for each, (points,)."""
    counts = _points_per_factor(interventions, rng, points)
    features = []
    for factor, count in enumerate(counts):
        couples = interventions.groups(rng, factor, count * pairs, 2)
        features.append(np.abs(couples[:, 0] - couples[:, 1]).reshape(count, pairs, -1).mean(axis=1))
    return np.concatenate(features), np.repeat(np.arange(len(counts)), counts)


def factor_vae_score(
    interventions: Interventions,
    *,
    seed: int,
    group_size: int = 64,
    train_votes: int = 10_000,
    test_votes: int = 5_000,
    variance_examples: int = 10_000,
    threshold: float = ACTIVE_VARIANCE,
) -> float:
    """How often the dimension that varies least tells which factor was held still, by a majority vote.

        vote d = argmin_i Var_group(z_i) / Var(z_i);    score = sum_d V[argmax_k V_train[k, d], d] / sum V

    with V[k, d] the votes for dimension d while factor k was held still. Dimensions whose variance over all examples is at most
    `threshold` have collapsed and take no part (a constant one would otherwise win every vote with 0 / 0); where all have, the
    score is 0. Range 0 ... 1, chance 1 / F.

    The factors themselves and duplicates of them get 1, noise 1 / F. An even rotation of two equal factors halves their share;
    a rotation in which every factor is still the largest part of its own dimension gets 1.

    Votes are counted on fresh groups, as in disentanglement_lib, whose defaults these are. (Kim & Mnih 2018, section 4.)
    """
    rng = np.random.default_rng(seed)
    variances = interventions.groups(rng, 0, variance_examples, 1)[:, 0].var(axis=0, ddof=1)
    active = variances > threshold
    if not active.any():
        return 0.0
    scale = np.where(active, variances, 1.0)
    train, test = (_votes(interventions, rng, votes, group_size, scale, active) for votes in (train_votes, test_votes))
    guess = np.argmax(train, axis=0)
    return float(test[guess, np.arange(len(guess))].sum() / test.sum())


def _votes(interventions: Interventions, rng: np.random.Generator, votes: int, group_size: int, scale, active) -> np.ndarray:
    """How often each dimension varied least, (F, D)."""
    table = []
    for factor, count in enumerate(_points_per_factor(interventions, rng, votes)):
        spread = interventions.groups(rng, factor, count, group_size).var(axis=1, ddof=1) / scale
        winners = np.argmin(np.where(active, spread, np.inf), axis=1)
        table.append(np.bincount(winners, minlength=len(scale)))
    return np.array(table)


def _points_per_factor(interventions: Interventions, rng: np.random.Generator, points: int) -> np.ndarray:
    """How often each factor is held still when one is drawn uniformly for each point; at least once, so that all are seen."""
    return np.maximum(np.bincount(rng.integers(interventions.factors, size=points), minlength=interventions.factors), 1)
