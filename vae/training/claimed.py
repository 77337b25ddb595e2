"""What may be claimed of the numbers of a run, found from shapes before anything is compiled."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax

from vae.claims import Claim, claim_of, require_scored
from vae.data.feeds import Feed, Splits, batch_like, each_feed, prepared
from vae.objectives.observed import observing
from vae.settings import Settings
from vae.training.composed import chains, naming_the_example, prior_values, require_chain, require_codes
from vae.training.step import Claims, of_feed
from vae.types import Key, Model, Objective, PyTree, Trace


def claims_of(splits: Splits, model: Model, objective: Objective, settings: Mapping[str, Any]) -> tuple[Claims, Claim]:
    """What may be claimed of the training, of each feed where there are several, and of what the best is chosen on.

    That is the validation, or the training where there is none, of several feeds the last by name; a validation that looks as
    it does shares its claim. Raises ValueError for data that the likelihood cannot score, warns of those it is none of.
    """
    claims = each_feed(lambda feed: claim_on(feed, model, objective, settings, training=True), splits.train)
    name = max(splits.train) if isinstance(splits.train, Mapping) else ""
    train = splits.train[name] if isinstance(splits.train, Mapping) else splits.train
    validation = train if splits.validation is None else splits.validation
    if not (validation is train or looks_of(validation) == looks_of(train)):
        return claims, claim_on(validation, model, objective, settings, training=False)
    own = of_feed(claims, name)
    if own.is_bound:  # what is one with relaxed codes is one with hard codes
        return claims, own
    evaluated = trace_of(validation, model, settings, training=False)
    return claims, claim_of(evaluated, objective.rates, validation.spec.space)


def looks_of(feed: Feed) -> tuple:
    """What a claim depends on of a feed: its space and shapes, and which latent groups are observed."""
    batch = jax.eval_shape(partial(prepared, feed), jax.random.key(0), batch_like(feed.arrays, 1))
    return feed.spec.shape, feed.spec.space, feed.spec.context, jax.tree.structure(batch.values)


def claim_on(feed: Feed, model: Model, objective: Objective, settings: Mapping[str, Any], *, training: bool) -> Claim:
    """What may be claimed of a model's numbers on a feed; see `vae.claims.require_scored` for what is refused."""
    trace = trace_of(feed, model, settings, training=training)
    require_codes(feed, trace)
    require_scored(trace.likelihood, feed.spec.space)
    return claim_of(trace, objective.rates, feed.spec.space)


def trace_of(feed: Feed, model: Model, settings: Mapping[str, Any], *, training: bool) -> Trace:
    """The shapes of what one pass through the model says of a batch of one example of a feed.

    training: whether it is a pass of the training, where codes may be relaxed and statistics be those of the batch.

    Raises ValueError or TypeError for data that the model does not take, ValueError for latent groups that do not chain.
    """

    def traced(key: Key, stored: PyTree, settings: Mapping[str, Any]) -> Trace:
        batch = prepared(feed, key, stored)
        params, state = model.init(key)

        def passed(x: PyTree, context: PyTree, values: tuple, training: bool) -> Trace:
            return observing(model.infer(params, state, x, context, Settings(settings, training=training)), values)(key)

        def one(x: PyTree, context: PyTree, values: tuple) -> Trace:
            with naming_the_example(x, context):
                trace, drawn = passed(x, context, values, training), prior_values(model, params, state, key, context)
            hard = trace if not training or chains(trace, drawn) else passed(x, context, values, False)
            require_chain(hard, drawn)
            return trace

        return jax.vmap(one, axis_name="batch")(batch.x, batch.context, batch.values)

    return jax.eval_shape(traced, jax.random.key(0), batch_like(feed.arrays, 1), dict(settings))
