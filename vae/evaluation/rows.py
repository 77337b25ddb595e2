"""What is given beside a model, checked before anything is traced: keys, and rows of equal number of everything else."""

import inspect
from collections.abc import Callable
from functools import wraps
from itertools import zip_longest
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from vae.models.group import classes_of
from vae.models.latent import STORED
from vae.spec import Column, Data
from vae.trained import Trained
from vae.types import PyTree, Trace

F = TypeVar("F", bound=Callable)


def checked(function: F) -> F:
    """A function of (trained, x, key, ..., context=()) that refuses what is no key, and examples and contexts of other shapes.

    Put it above `jax.jit`, whose function stays reachable as `__wrapped__`.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        require_key(given["key"])
        require_examples(given["trained"], given["x"], given.get("context", ()))
        return function(*args, **kwargs)

    return cast(F, call)


def require_key(key: Any) -> None:
    """Refuse what is not one key: TypeError for a number or another thing, ValueError for several keys."""
    dtype = getattr(key, "dtype", None)
    if dtype is None or not (jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) or dtype == jnp.uint32):
        got = repr(key) if dtype is None else f"an array of {dtype} of shape {key.shape}"
        raise TypeError(f"the key is {got}; wanted one of jax.random.key: write jax.random.key(0).")
    if jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) and key.shape:
        raise ValueError(f"got {key.shape} keys; wanted one: index them.")


def require_examples(trained: Trained, x: PyTree, context: PyTree = ()) -> None:
    """Refuse examples of another shape than the model's data, and a context that does not fit them.

    Raises ValueError; where nothing is known of the data (no spec), only for numbers of rows that differ.
    """
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(x)]
    if not all(shapes) or len({shape[0] for shape in shapes}) != 1:
        raise ValueError(f"x has shape {_shapes(x)}; wanted a leading axis of examples, as long in every part.")
    one_array = jax.tree_util.treedef_is_leaf(jax.tree.structure(x))
    if one_array and trained.spec is not None and shapes[0][1:] != tuple(trained.spec.shape):
        raise ValueError(
            f"an example of x has shape {shapes[0][1:]}; wanted {tuple(trained.spec.shape)}, for which the model was built: "
            "x is one array with a leading axis of examples."
        )
    require_context(trained, context, shapes[0][0])


def require_same_columns(trained: Trained, data: Data) -> None:
    """Refuse data with other columns, categories or tokens than a model was built for, whose codes mean other things.

    data: what is known of the data. Raises ValueError; where nothing is known of the model's (no spec), never.
    """
    if trained.spec is None:
        return
    if data.tokens != trained.spec.tokens:
        raise ValueError(
            f"the data have {data.tokens} tokens, and the model was built for {trained.spec.tokens}; give it the same ones."
        )
    pairs = zip_longest(data.columns, trained.spec.columns)
    differing = next(((has, wanted) for has, wanted in pairs if has != wanted), None)
    if differing is not None:
        has, wanted = ("no column" if column is None else _in_words(column) for column in differing)
        raise ValueError(
            f"the data have {has} where the model was built for {wanted}; give data of the same columns, kinds and "
            "categories, in the same order."
        )


def _in_words(column: Column) -> str:
    """A column by its name, kind and categories."""
    of = f" of {', '.join(column.categories)}" if column.categories else ""
    return f"the column {column.name!r} ({column.space}{of})"


def require_context(trained: Trained, context: PyTree, rows: int) -> None:
    """Refuse a context that is not `rows` rows of what the model is conditioned on.

    Raises ValueError for a context too many or too few, another structure, another shape of a row, or another number of rows;
    where nothing is known of the data (no spec), only for the last.
    """
    if trained.spec is not None:
        _require_row(context, trained.spec.context)
    if any(jnp.shape(leaf)[:1] != (rows,) for leaf in jax.tree.leaves(context)):
        raise ValueError(
            f"the context has shape {_shapes(context)}; wanted a leading axis of {rows}, a row of the context for each of them."
        )


def _require_row(context: PyTree, wanted: PyTree) -> None:
    """Refuse a context whose rows are not of the structure and the shapes that the model was built for."""
    given_any, wanted_any = jax.tree.leaves(context), jax.tree.leaves(wanted)
    if wanted_any and not given_any:
        raise ValueError(
            f"the model is conditioned on a context of shape {_shapes(wanted)} and got none; pass context= with a row for each "
            "example or sample."
        )
    if given_any and not wanted_any:
        raise ValueError(f"the model takes no context and got one of shape {_shapes(context)}; leave context= out.")
    structures: list[Any] = [jax.tree.structure(tree) for tree in (context, wanted)]
    if structures[0] != structures[1]:
        raise ValueError(
            f"the context is made of {_shapes(context)}; wanted the structure that the model was built for, {_shapes(wanted)} "
            "behind an axis of rows."
        )
    rows = [tuple(jnp.shape(leaf)[1:]) for leaf in given_any]
    if rows != [tuple(leaf.shape) for leaf in wanted_any]:
        raise ValueError(
            f"the context has shape {_shapes(context)}; wanted rows of shape {_shapes(wanted)}, for which the model was built, "
            "behind an axis of rows."
        )


def require_values(trained: Trained, values: tuple) -> None:
    """Refuse latent values of more groups than the model has, and classes that a group does not have.

    values: rows by group, None for one that is not given. An index out of range would be read as another class. Raises
    ValueError; where nothing is known of the data (no spec), never.
    """
    discrete = any(jnp.issubdtype(jnp.result_type(leaf), jnp.integer) for leaf in jax.tree.leaves(values))
    if trained.spec is None or not (discrete or len(values) > 1):
        return
    latents = shapes_of_pass(trained, trained.spec).latents
    if latents and len(values) > len(latents):
        raise ValueError(f"got values of {len(values)} latent groups, and the model has {len(latents)}; give fewer.")
    for index, (latent, value) in enumerate(zip(latents, values)):
        classes = classes_of(latent)
        if classes is None or value is None:
            continue
        outside = np.asarray(value)[(np.asarray(value) < 0) | (np.asarray(value) >= classes)]
        if outside.size:
            raise ValueError(
                f"latent group {index} was given the class {outside.flat[0]}, and the model has the classes 0 to {classes - 1}."
            )


def shapes_of_pass(trained: Trained, spec: Data) -> Trace:
    """The shapes of a pass of an example of such data."""
    x = jax.ShapeDtypeStruct(spec.shape, STORED.get(spec.space, jnp.float32))
    return jax.eval_shape(lambda x, context: trained.infer(x, context)(jax.random.key(0)), x, spec.context)


def rows_of(number: int | None, **parts: PyTree) -> int:
    """The number of rows that a number and the leading axes of trees agree on.

    number: None leaves it to the trees. Raises ValueError where they differ, where nothing says a number, or for fewer than 1.
    """
    counts = {} if number is None else {"number": number}
    for name, part in parts.items():
        for leaf in jax.tree.leaves(part)[:1]:
            if not jnp.shape(leaf):
                raise ValueError(f"{name} is {leaf!r}; wanted rows, an array with a leading axis of samples.")
            counts[name] = jnp.shape(leaf)[0]
    if not counts:
        raise ValueError(f"nothing says how many rows are wanted; pass number=, or rows of {' or '.join(parts)}.")
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ValueError(
            f"the numbers of rows differ: {listed}; wanted equal ones, of a context a row for each sample: leave number out "
            "where rows are given."
        )
    rows = next(iter(counts.values()))
    if rows < 1:
        raise ValueError(f"number is {rows}; wanted at least 1.")
    return rows


def _shapes(tree: PyTree) -> str:
    """The shapes of a tree's leaves, in its structure."""
    return str(jax.tree.map(lambda leaf: tuple(jnp.shape(leaf)), tree))
