"""A function of one example over a data set that is larger than a batch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from vae.types import Key, PyTree


def map_examples(function: Callable, key: Key, examples: PyTree, batch_size: int) -> PyTree:
    """`function(key, example)` for every example, `batch_size` at a time; results have a leading axis of examples.

    Example i has its own key, a function of `key` and i alone, so neither the batch size nor what surrounds an example shows in
    its number. The last batch is padded with copies of the first example, whose results are dropped.
    """
    size = jax.tree.leaves(examples)[0].shape[0]
    batch_size = min(batch_size, size)
    batches = -(-size // batch_size)
    index = jnp.arange(batches * batch_size)

    def one_batch(rows):
        keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(rows)
        batch = jax.tree.map(lambda a: jnp.asarray(a)[jnp.where(rows < size, rows, 0)], examples)
        return jax.vmap(function)(keys, batch)

    results = jax.lax.map(one_batch, index.reshape(batches, batch_size))
    return jax.tree.map(lambda r: r.reshape(batches * batch_size, *r.shape[2:])[:size], results)
