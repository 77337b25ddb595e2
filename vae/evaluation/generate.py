"""What a model draws: reconstructions, samples, what is missing, traversals and interpolations, as arrays for `vae.visualise`.

Images are the means of the decoded distributions, or draws from them where a function says so. Examples, latent values and
contexts are rows: they have a leading axis, as long in all of them.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae.distributions import PowerSpherical, VonMisesFisher
from vae.evaluation.batches import map_examples
from vae.evaluation.evidence import with_density
from vae.evaluation.paths import Path, between
from vae.evaluation.rows import (
    checked,
    require_context,
    require_examples,
    require_key,
    require_values,
    rows_of,
)
from vae.objectives import log_weight
from vae.objectives.estimators import ROWS_IN_FLIGHT
from vae.spec import OBSERVED, may_be_missing
from vae.trained import Trained
from vae.types import Key, Latent, PyTree


def decode_means(trained: Trained, values: tuple, *, context: PyTree = ()) -> Array:
    """E[x | z] for every row of the latent values, a tuple with one array per group."""
    require_context(trained, context, rows_of(None, values=values))
    require_values(trained, values)
    return _decode_means(trained, values, context)


@jax.jit
def _decode_means(trained: Trained, values: tuple, context: PyTree) -> Array:
    return jax.vmap(lambda v, c: _mean(trained.decode(v, c)))(values, context)


def sample_likelihood(trained: Trained, values: tuple, key: Key, *, context: PyTree = ()) -> Array:
    """x ~ p(x | z) for every row of the latent values.

    Raises TypeError where the likelihood has no draws of its own (an optimal sigma).
    """
    rows = rows_of(None, values=values)
    require_context(trained, context, rows)
    require_values(trained, values)
    return _sample_likelihood(trained, values, context, jax.random.split(key, rows))


@jax.jit
def _sample_likelihood(trained: Trained, values: tuple, context: PyTree, keys: Array) -> Array:
    return jax.vmap(lambda v, c, k: trained.decode(v, c).sample(k))(values, context, keys)


def sample_prior(
    trained: Trained, key: Key, number: int | None = None, *, context: PyTree = (), temperature: Any = 1.0, values: tuple = ()
) -> tuple:
    """Ancestral samples of the latent variables from the prior, one array of rows per group.

    number:  of samples; with a context, or values, there are as many as those have rows.
    context: a row for each sample, () for a model that takes none.
    values:  rows of the groups that are given, None for a group that is drawn; () draws all. Of a model that is `labelled`,
             (classes, None) draws examples of these classes.
    temperature: factor on the spread of the prior, one number or one for each group in the order of the trace, from the top
             down in a hierarchy; see `vae.priors.sample_prior`.

    Raises ValueError for a context that does not fit the model, for numbers of rows that differ, and for a class that a group
    does not have.
    """
    require_key(key)
    rows = rows_of(number, context=context, values=values)
    require_context(trained, context, rows)
    require_values(trained, values)
    scale = {} if isinstance(temperature, int | float) and temperature == 1 else {"temperature": temperature}
    return _sample_prior(
        trained, jax.random.split(key, rows), context, values, **scale
    )  # 1 is not traced: all families have it


@jax.jit
def _sample_prior(trained: Trained, keys: Array, context: PyTree, values: tuple, temperature: Any = 1.0) -> tuple:
    return jax.vmap(lambda k, c, v: trained.prior(k, c, v, temperature))(keys, context, values)


def sample_aggregate(trained: Trained, x: PyTree, key: Key, number: int, *, context: PyTree = ()) -> tuple:
    """`number` samples of q(z) = mean over x of q(z | x): the posterior's sample at examples drawn with replacement.

    context: of the examples. To decode the samples, take its rows `drawn_examples(key, number, len(x))`.
    """
    require_key(key)
    require_examples(trained, x, context)
    rows = drawn_examples(key, rows_of(number), jax.tree.leaves(x)[0].shape[0])
    chosen = jax.tree.map(lambda leaf: jnp.asarray(leaf)[rows], (x, context))
    return _sample_posterior(trained, chosen, jax.random.split(jax.random.split(key)[1], number))


def drawn_examples(key: Key, number: int, size: int) -> Array:
    """Which of `size` examples `sample_aggregate` draws its samples from, (number,)."""
    return jax.random.randint(jax.random.split(key)[0], (number,), 0, size)


@jax.jit
def _sample_posterior(trained: Trained, examples: tuple[PyTree, PyTree], keys: Array) -> tuple:
    def one(key, example):
        return tuple(latent.value for latent in trained.infer(*example)(key).latents)

    return jax.vmap(one)(keys, examples)


def reconstruct(trained: Trained, x: PyTree, key: Key, *, context: PyTree = ()) -> Array:
    """E[x | z] at the code of each example (see `codes_of`); where there is no latent group, from a pass through the model."""
    codes = codes_of(trained, x, key, context=context)
    return _decode_means(trained, codes, context) if codes else _decoded(trained, x, key, context=context)


def reconstruct_from_top(
    trained: Trained, x: PyTree, key: Key, groups: int, *, context: PyTree = (), temperature: Any = 1.0
) -> Array:
    """E[x | z] at a draw of the posterior's first `groups` groups, the others drawn from the prior given these.

    What is alike in an example and in what comes back is in those groups; the rest is what the prior adds.

    temperature: of the prior, a number or one for each group; 0 takes its means where it is Gaussian, see `sample_prior`.

    Raises ValueError for fewer groups than none, or more than there are.
    """
    require_key(key)
    require_examples(trained, x, context)
    rows = jax.tree.leaves(x)[0].shape[0]
    posterior_key, prior_key = jax.random.split(key)
    values = _sample_posterior(trained, (x, context), jax.random.split(posterior_key, rows))
    if not 0 <= groups <= len(values):
        raise ValueError(f"groups is {groups}, and the model has {len(values)} latent groups; wanted from 0 to as many.")
    kept = (*values[:groups], *(None,) * (len(values) - groups))
    filled = sample_prior(trained, prior_key, rows, context=context, values=kept, temperature=temperature)
    return _decode_means(trained, filled, context)


@checked
@partial(jax.jit, static_argnames="batch_size")
def codes_of(trained: Trained, x: PyTree, key: Key, *, context: PyTree = (), batch_size: int = 500) -> tuple:
    """One value of every latent group for each example, that the decoder takes: the posterior mean, or a sample.

    A sample stands for a group without a closed-form mean, and for one whose mean is no value of it (a class, a quantised
    code); a group further down is taken at a sampled ancestor.
    """

    def one(key, example):
        return tuple(_code(latent) for latent in trained.infer(*example)(key).latents)

    return map_examples(one, key, (x, context), batch_size)


def _code(latent: Latent) -> PyTree:
    """The posterior mean where it is of the shape and the kind of a value, else the value; on a sphere the mean direction."""
    if isinstance(latent.posterior, PowerSpherical | VonMisesFisher):
        return latent.posterior.mode  # the mean is a point inside of the sphere, which no decoder was trained on
    mean = getattr(latent.posterior, "mean", latent.value)
    like = jax.tree.map(lambda leaf: (jnp.shape(leaf), jnp.result_type(leaf)), (mean, latent.value))
    return mean if like[0] == like[1] else latent.value


@partial(jax.jit, static_argnames="batch_size")
def _decoded(trained: Trained, x: PyTree, key: Key, *, context: PyTree, batch_size: int = 500) -> Array:
    """E[x | z] of one pass through the model."""
    return map_examples(lambda k, example: _mean(trained.infer(*example)(k).likelihood), key, (x, context), batch_size)


def impute(trained: Trained, x: Any, key: Key, *, context: PyTree = (), samples: int = 1, batch_size: int = 100) -> np.ndarray:
    """x with the entries that the context's mask says are missing drawn, and the observed ones as they are, bit for bit.

        x_missing ~ p(x_missing | z),   z ~ q(z | x_observed)

    One draw of an approximation to p(x_missing | x_observed), as good as the posterior is. With K = `samples` the z is one of K
    draws, taken with a probability in proportion to p(x_observed, z_k) / q(z_k | x_observed) (sampling importance resampling),
    and the draw becomes exact as K grows. Several calls with other keys are multiple imputations; their spread is what the
    model does not know. (Mattei & Frellsen 2019, MIWAE, multiple imputation.)

    x:       (N, ...), anything where an entry is missing. What is returned is a NumPy array that holds x without rounding.
    context: rows of {"observed": mask, ...}.

    >>> data = vae.Data((2,), "real", context={"observed": jax.ShapeDtypeStruct((2,), bool)})
    >>> model = vae.models.mlp(data, latent_dim=1, hidden=(4,))
    >>> trained = vae.Trained(model, *model.init(jax.random.key(0)), spec=data)
    >>> x, observed = np.array([[1.5, np.nan]]), np.array([[True, False]])
    >>> whole = vae.evaluation.impute(trained, x, jax.random.key(1), context={"observed": observed})
    >>> bool(whole[0, 0] == 1.5), bool(np.isfinite(whole[0, 1]))
    (True, True)

    Raises TypeError for a model without a mask in its context, for a likelihood that has no draws of its own and, where there
    are several samples, for densities that there are not; ValueError for fewer than one sample.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; wanted at least 1.")
    if not may_be_missing(context if trained.spec is None else trained.spec.context):
        raise TypeError(
            'the model has no mask in its context, so that nothing can be missing; train it on data with missing="mask", and '
            f'give context={{"{OBSERVED}": mask}}.'
        )
    drawn = np.asarray(_draws_given_observed(trained, x, key, context=context, samples=samples, batch_size=batch_size))
    there = np.asarray(context[OBSERVED], bool)
    return np.where(there.reshape(there.shape + (1,) * (drawn.ndim - there.ndim)), np.asarray(x), drawn)


@checked
@partial(jax.jit, static_argnames=("samples", "batch_size"))
def _draws_given_observed(trained: Trained, x: PyTree, key: Key, *, context: PyTree, samples: int, batch_size: int) -> Array:
    """x ~ p(x | z) with z from the posterior, resampled where there are several samples."""
    width = max(1, min(samples, ROWS_IN_FLIGHT // batch_size))

    def one(key, example):
        x, context = example
        draw = trained.infer(x, context)
        draws_key, choice_key, x_key = jax.random.split(key, 3)
        keys = jax.random.split(draws_key, samples)
        if samples > 1:
            log_weights = jax.lax.map(lambda k: log_weight(with_density(draw(k)), x), keys, batch_size=width)
            keys = keys[jax.random.categorical(choice_key, log_weights)][None]
        return draw(keys[0]).likelihood.sample(x_key)

    return map_examples(one, key, (x, context), batch_size)


def traverse(
    trained: Trained,
    codes: tuple,
    dimensions: Array | np.ndarray,
    values: Float[Array, "steps"],
    key: Key | None = None,
    *,
    group: int = 0,
    context: PyTree = (),
) -> Array:
    """(dimensions, steps, ...) images: from one example's codes, each dimension of a group in turn set to each value.

    codes:   of one example, a vector for each group; those before the group moved stay as they are.
    key:     of the groups after it, which are drawn from the prior given the ones before, with the same noise in every image;
             None where there is none.
    context: of the one example, without an axis of rows.

    Raises ValueError for groups after the one moved without a key.
    """
    rows, below = len(dimensions) * len(values), len(codes) - group - 1
    if below and key is None:
        raise ValueError(f"group {group} has {below} groups after it, which are drawn given it; pass key=.")
    if key is not None:
        require_key(key)
    code = codes[group]
    moved = jnp.tile(code, (len(dimensions), len(values), 1))
    places = jnp.arange(len(dimensions))[:, None], jnp.arange(len(values))[None, :], jnp.asarray(dimensions)[:, None]
    moved = moved.at[places].set(values[None, :]).reshape(-1, code.shape[-1])
    before, context = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (rows, *jnp.shape(leaf))), (codes[:group], context))
    require_context(trained, context, rows)
    given = (*before, moved)
    filled = _descend(trained, key, context, (*given, *(None,) * below)) if below else given
    images = _decode_means(trained, filled, context)
    return images.reshape(len(dimensions), len(values), *images.shape[1:])


@jax.jit
def _descend(trained: Trained, key: Key, context: PyTree, values: tuple) -> tuple:
    """The groups that are None drawn from the prior given the others, with one key for all rows."""
    return jax.vmap(lambda c, v: trained.prior(key, c, v))(context, values)


def interpolate(
    trained: Trained, start: tuple, end: tuple, steps: int, *, context: PyTree = (), paths: Sequence[Path] | None = None
) -> Array:
    """(pairs, steps, ...) images on the way between the codes of each pair, in all groups at once.

    start, end: a tuple with rows of codes for each group.
    context:    a row for each pair, held along its way.
    paths:      one for each group, see `vae.evaluation.paths`; by default that of the group's family, and straight lines where
                nothing is known of the data (no spec).
    """
    pairs = rows_of(None, start=start, end=end)
    require_context(trained, context, pairs)
    values = between(trained, start, end, steps, paths)
    held = jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf), steps, axis=0), context)
    images = _decode_means(trained, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), values), held)
    return images.reshape(pairs, steps, *images.shape[1:])


def _mean(likelihood: Any) -> Array:
    """E[x | z], of a family that has it in closed form."""
    return likelihood.mean
