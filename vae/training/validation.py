"""The validation of a run: the bound at beta 1, on fixed noise, of every example of a feed, charged as the objective does."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from vae.claims import Claim, claim_by
from vae.data.feeds import Feed, batch_like, gather, prepared
from vae.evaluation.evidence import elbo_terms
from vae.objectives import total_rate
from vae.trained import Trained
from vae.training.records import Record
from vae.types import Batch, Key, Objective, Terms

VALIDATION_KEY = 20_131_220
"""Seed of the validation noise; fixed, so that the best checkpoint does not depend on luck or on the run's seed."""

PREPARATION_KEY = VALIDATION_KEY + 1
ROWS = 5_000
"""Examples that are on the device at once."""

Validate = Callable[[Trained], Record]


def validator(objective: Objective, feed: Feed | None, claim: Claim | None = None) -> Validate | None:
    """trained -> means over the feed, in nats per example, on the same noise every time; None without a feed.

    "log_likelihood", and the rate and the log-likelihood minus it under the names that the claim gives them; by the objective's
    rates alone where it is not given.
    """
    if feed is None:
        return None
    claim = claim_by(objective.rates) if claim is None else claim
    of_feed = terms_of_feed(objective, feed)

    def validate(trained: Trained) -> Record:
        log_likelihood, rate = np.concatenate([numbers(terms) for terms in of_feed(trained)], axis=1)
        return {claim.total: mean(log_likelihood - rate), "log_likelihood": mean(log_likelihood), claim.rate: mean(rate)}

    return validate


def terms_of_feed(objective: Objective, feed: Feed) -> Callable[[Trained], Iterator[Terms]]:
    """trained -> the terms of every example of the feed, a block at a time."""
    blocks = batches(feed)

    def terms(trained: Trained) -> Iterator[Terms]:
        for key, batch in blocks():
            given = {"context": batch.context, "values": batch.values}
            yield elbo_terms(trained, batch.x, key, **given, rates=objective.rates)

    return terms


def validation_program(objective: Objective, feed: Feed, trained: Trained) -> ClosedJaxpr:
    """The traced program of one block of the validation, from shapes alone; jit keeps the trace for the validation itself."""
    stored = batch_like(feed.arrays, min(feed.size, ROWS))
    key = jax.eval_shape(lambda: jax.random.key(0))
    batch = jax.eval_shape(partial(prepared, feed), key, stored)
    unchecked: Any = elbo_terms.__wrapped__  # type: ignore[attr-defined]  # shapes are no examples that could be refused

    def terms(trained, x, key, context, values):
        return unchecked(trained, x, key, context=context, values=values, rates=objective.rates)

    return jax.make_jaxpr(terms)(trained, batch.x, key, batch.context, batch.values)


def batches(feed: Feed) -> Callable[[], Iterator[tuple[Key, Batch]]]:
    """Every example of a feed as a model sees it in evaluation, `ROWS` at a time, each block with the key of its noise.

    What is drawn in preparing an example is drawn once and for all.
    """
    prepare = jax.jit(partial(prepared, feed))

    def blocks():
        for start in range(0, feed.size, ROWS):
            stored = jax.tree.map(jnp.asarray, gather(feed.arrays, slice(start, start + ROWS)))
            prepare_key, noise_key = (jax.random.key(seed) for seed in (PREPARATION_KEY, VALIDATION_KEY))
            yield (
                jax.random.fold_in(noise_key, start) if start else noise_key,
                prepare(jax.random.fold_in(prepare_key, start), stored),
            )

    return blocks


def numbers(terms: Terms) -> np.ndarray:
    """(2, examples): log-likelihood and summed rate."""
    return np.stack([np.asarray(terms.log_likelihood, np.float64), np.asarray(total_rate(terms), np.float64)])


def mean(values: np.ndarray) -> float:
    """The mean over examples."""
    return float(np.mean(values))
