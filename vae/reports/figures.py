"""The figures of a trained model, of whatever groups of latent variables, data and context it is.

What a model or its data cannot show is left out: which figures there are is decided by the shapes and families of the model.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae import visualise
from vae.evaluation import generate
from vae.evaluation.examples import Examples
from vae.evaluation.latents import active_units, encode
from vae.evaluation.rows import require_examples
from vae.trained import Trained
from vae.types import Data, Key, PyTree
from vae.visualise.curves import PANELS

if TYPE_CHECKING:
    import matplotlib.figure

Figures = dict[str, "matplotlib.figure.Figure"]

PAIRS, SHOWN_DIMENSIONS, STEPS = 20, 12, 9
FEW_CONTEXTS, SAMPLES_PER_CONTEXT = 16, 10
WALKED_FROM_ABOVE = (
    "In each row one latent dimension moves and the others of its group stay where they are; the groups after it are drawn "
    "from the prior given it, with the same noise in every image."
)
PICTURED_SPACES, CHANNELS = ("binary", "uint8", "real"), (1, 3, 4)


class Drawable(NamedTuple):
    """What the figures of one latent group, or of the whole model, can be made of.

    has_means: by group, whether the posterior has a closed-form mean that is of the shape and kind of a value.
    walkable:  by group, whether its values are vectors of real numbers, along which one can go.
    pictures:  whether an example, and the decoder's mean, is an image.
    """

    has_means: tuple[bool, ...]
    walkable: tuple[bool, ...]
    pictures: bool


def figures_of(
    trained: Trained,
    examples: Examples,
    numbers: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    *,
    key: Key,
    neighbours: np.ndarray | None = None,
) -> Figures:
    """Every figure that a model has, by the name of its file.

        latent_means, kl_per_dimension, traversals     of one group: with the suffix _0, _1, ... where there are several
        reconstructions, samples_aggregate, interpolation, training_curves
        samples_prior, or samples_by_context where the examples have at most 16 distinct contexts

    examples:   test examples as the model sees them, at least two; the first are shown.
    numbers:    of `vae.evaluation.report`.
    records:    of the run, for its curves; [] leaves them out.
    neighbours: uint8 training images, shaped as the examples, among which each sample's nearest one is looked for.

    Left out is what does not exist: images of data that are none or whose decoder has no mean, means of a group without one,
    walks along classes. Raises ValueError for examples that do not fit the model.
    """
    require_examples(trained, examples.x, examples.context)
    posterior_key, prior_key, aggregate_key, below_key = jax.random.split(key, 4)
    drawable = what_can_be_drawn(trained, examples)
    figures = _latent_figures(trained, examples, numbers, drawable, posterior_key)
    if any(_is_number(record.get(name)) for record in records for name, *_ in PANELS):
        figures["training_curves"] = visualise.training_curves(records)
    if not drawable.pictures:
        return figures
    figures["reconstructions"] = _reconstructions(trained, examples, posterior_key)
    figures |= _prior_samples(trained, examples, neighbours, prior_key)
    if drawable.walkable:
        figures["samples_aggregate"] = _aggregate_samples(trained, examples, neighbours, aggregate_key)
    return figures | _walks(trained, examples, numbers, drawable, posterior_key, below_key)


def what_can_be_drawn(trained: Trained, examples: Examples) -> Drawable:
    """Which figures a model can have, found without computing anything."""
    first = jax.tree.map(lambda leaf: leaf[0], (examples.x, examples.context))

    def traced(trained: Trained, x: PyTree, context: PyTree) -> tuple:
        trace = trained.infer(x, context)(jax.random.key(0))
        means = tuple(_mean_of(latent.posterior) for latent in trace.latents)
        return trace.latents, means, _mean_of(trace.likelihood)

    latents, means, decoded = jax.eval_shape(traced, trained, *first)
    vectors = [_is_array(latent.value) and latent.value.ndim == 1 for latent in latents]
    return Drawable(
        has_means=tuple(_same_kind(mean, latent.value) for mean, latent in zip(means, latents)),
        walkable=tuple(vector and latent.posterior.data_space == "real" for vector, latent in zip(vectors, latents)),
        pictures=_is_picture(trained, decoded),
    )


def _is_picture(trained: Trained, decoded: Any) -> bool:
    """Whether the data are gray or colour images and the decoder's mean is one."""
    return _is_array(decoded) and is_picture(trained.spec, decoded)


def is_picture(spec: Data | None, array: Any) -> bool:
    """Whether data are gray or colour images and an array, or its shape, is one of them."""
    if spec is None or spec.space not in PICTURED_SPACES or tuple(array.shape)[-len(spec.shape) :] != tuple(spec.shape):
        return False
    return len(spec.shape) == 2 or (len(spec.shape) == 3 and spec.shape[-1] in CHANNELS)


def _mean_of(distribution: Any) -> Any:
    """The mean of a family that has one in closed form, else None."""
    return getattr(distribution, "mean", None)


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.ShapeDtypeStruct)


def _same_kind(mean: Any, value: Any) -> bool:
    """Whether a mean is an array of the shape and type of a value; that of a class is not."""
    return _is_array(mean) and _is_array(value) and (mean.shape, mean.dtype) == (value.shape, value.dtype)


def _is_number(value: Any) -> bool:
    return value is not None and math.isfinite(value)


# Of one group


def _latent_figures(trained: Trained, examples: Examples, numbers: Mapping[str, Any], drawable: Drawable, key: Key) -> Figures:
    """Posterior means and the KL per dimension of every group that has them."""
    figures: Figures = {}
    means = encode(trained, examples.x, key, context=examples.context) if any(drawable.has_means) else ()
    for group in range(len(drawable.has_means)):
        suffix, which = _suffix(group, drawable), _of_group(group, drawable)
        kl, active = _kl_of(numbers, group), None
        if drawable.has_means[group]:
            flat = np.asarray(means[group]).reshape(len(means[group]), -1)
            labels, names = _classes(examples)
            figures[f"latent_means{suffix}"] = visualise.latent_means(flat, labels, names, title=f"Posterior means{which}")
            active = np.asarray(active_units(means[group])) if kl is not None and kl.shape == means[group].shape[1:] else None
        if kl is not None:
            title = f"KL per latent dimension{which}"
            figures[f"kl_per_dimension{suffix}"] = visualise.kl_per_dimension(kl, active, title=title)
    return figures


def _kl_of(numbers: Mapping[str, Any], group: int) -> np.ndarray | None:
    """The KL of each dimension of a group; None where the report has none."""
    groups = numbers.get("kl_per_dimension") or ()
    return np.asarray(groups[group]) if group < len(groups) else None


def _suffix(group: int, drawable: Drawable) -> str:
    return f"_{group}" if len(drawable.walkable) > 1 else ""


def _of_group(group: int, drawable: Drawable) -> str:
    return f", group {group}" if len(drawable.walkable) > 1 else ""


def _classes(examples: Examples) -> tuple[Any, Any]:
    """Labels and their names for a scatter plot: the classes, or the first factor of variation."""
    if examples.labels is None:
        return None, None
    labels = np.asarray(examples.labels)
    return (labels, examples.label_names or None) if labels.ndim == 1 else (labels[:, 0], None)


# Of the whole model


def _reconstructions(trained: Trained, examples: Examples, key: Key):
    """Test images beside the decoder's means at their codes."""
    x, context = _rows((examples.x, examples.context), slice(PAIRS))
    images = _picture(generate.reconstruct(trained, x, key, context=context), trained)
    return visualise.reconstructions(_picture(x, trained), images, title="Reconstructions: decoder means")


def _prior_samples(trained: Trained, examples: Examples, neighbours: np.ndarray | None, key: Key) -> Figures:
    """Samples from the prior: for each of a few contexts, else under those of the first examples."""
    if not jax.tree.leaves(examples.context):
        values = generate.sample_prior(trained, key, PAIRS)
        return {"samples_prior": _samples(trained, values, (), neighbours, "from the prior")}
    rows, names = distinct_contexts(examples)
    if len(rows) <= FEW_CONTEXTS:
        return {"samples_by_context": _samples_by_context(trained, _rows(examples.context, rows), names, key)}
    context = _rows(examples.context, slice(PAIRS))
    values = generate.sample_prior(trained, key, context=context)
    return {"samples_prior": _samples(trained, values, context, neighbours, "from the prior, given contexts of test images")}


def _samples_by_context(trained: Trained, contexts: PyTree, names: Sequence[str], key: Key):
    """A row of samples for each context."""
    repeated = jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf), SAMPLES_PER_CONTEXT, axis=0), contexts)
    values = generate.sample_prior(trained, key, context=repeated)
    images = _picture(generate.decode_means(trained, values, context=repeated), trained)
    title = "Decoder means of samples from the prior, by context"
    return visualise.image_grid(images, SAMPLES_PER_CONTEXT, title, row_names=names)


def distinct_contexts(examples: Examples) -> tuple[np.ndarray, list[str]]:
    """The first example of each distinct context, and what the context is called: by its label where that is always the same.

    In order of the labels where they name every context, else of the examples.
    """
    leaves = [np.asarray(leaf).reshape(len(leaf), -1) for leaf in jax.tree.leaves(examples.context)]
    _, first, inverse = np.unique(np.concatenate(leaves, axis=1), axis=0, return_index=True, return_inverse=True)
    labels = np.asarray(examples.labels) if examples.labels is not None and np.ndim(examples.labels) == 1 else None
    if labels is None or np.any(labels != labels[first][inverse.reshape(-1)]):
        rows = np.sort(first)
        return rows, [f"context {index}" for index in range(len(rows))]
    rows = first[np.argsort(labels[first], kind="stable")]
    names = examples.label_names
    return rows, [str(names[int(label)] if names else label) for label in labels[rows]]


def _aggregate_samples(trained: Trained, examples: Examples, neighbours: np.ndarray | None, key: Key):
    """Samples of the posteriors of test examples, decoded under the context of theirs."""
    size = len(jax.tree.leaves(examples.x)[0])
    values = generate.sample_aggregate(trained, examples.x, key, PAIRS, context=examples.context)
    context = _rows(examples.context, np.asarray(generate.drawn_examples(key, PAIRS, size)))
    return _samples(trained, values, context, neighbours, "from the aggregate posterior")


def _samples(trained: Trained, values: tuple, context: PyTree, neighbours: np.ndarray | None, source: str):
    """Decoder means of samples, beside their nearest training images where there are any."""
    images = _picture(generate.decode_means(trained, values, context=context), trained)
    title = f"Decoder means of samples {source}"
    if neighbours is None:
        return visualise.image_grid(images, title=title)
    training = neighbours if neighbours.ndim == 4 else neighbours[..., None]
    nearest, distances = visualise.nearest_training_images(images, training)
    nearest_images = np.stack([training[int(i)] for i in nearest])
    return visualise.samples_with_neighbours(
        images, nearest_images, distances, title=f"{title}, and their nearest training images"
    )


# Walks


def _walks(
    trained: Trained, examples: Examples, numbers: Mapping[str, Any], drawable: Drawable, key: Key, below_key: Key
) -> Figures:
    """Traversals of every group that has dimensions, and straight lines where all groups have."""
    if not any(drawable.walkable):
        return {}
    figures: Figures = {}
    codes = generate.codes_of(trained, examples.x, key, context=examples.context)
    for group in (group for group, walkable in enumerate(drawable.walkable) if walkable):
        name = f"traversals{_suffix(group, drawable)}"
        figures[name] = _traversals(trained, examples.context, codes, group, _kl_of(numbers, group), drawable, below_key)
    if all(drawable.walkable) and len(codes[0]) > 1:
        figures["interpolation"] = _interpolation(trained, examples, codes)
    return figures


def _traversals(
    trained: Trained, context: PyTree, codes: tuple, group: int, kl: np.ndarray | None, drawable: Drawable, key: Key
):
    """The dimensions with the most KL, moved between -2.5 and 2.5 around the code of the first example, in its context.

    Where the KL does not split into dimensions, those whose codes vary the most.
    """
    own = np.asarray(codes[group])
    split = kl if kl is not None and kl.shape == own.shape[1:] else None
    order = np.argsort(-(own.var(axis=0) if split is None else split))[:SHOWN_DIMENSIONS]
    values = np.linspace(-2.5, 2.5, STEPS, dtype=np.float32)
    first, held = _rows((codes, context), 0)
    images = generate.traverse(trained, first, order, jnp.asarray(values), key, group=group, context=held)
    title = f"Latent traversals{_of_group(group, drawable)}: decoder means"
    nats, note = None if split is None else split[order], WALKED_FROM_ABOVE if group < len(codes) - 1 else ""
    return visualise.latent_traversals(_picture(images, trained), values, nats, [int(i) for i in order], title, note)


def _interpolation(trained: Trained, examples: Examples, codes: tuple):
    """Straight lines between the codes of pairs of test images, in the context of the first of each."""
    ends = 2 * min(3, len(codes[0]) // 2)
    start, stop = _rows(codes, slice(0, ends, 2)), _rows(codes, slice(1, ends, 2))
    context = _rows(examples.context, slice(0, ends, 2))
    images = _picture(generate.interpolate(trained, start, stop, STEPS, context=context), trained)
    originals = _picture(_rows(examples.x, slice(ends)), trained)
    title = "Interpolation between two test images: decoder means"
    note = "Decoded on the way from the latent code of one test image, A, to that of another, B, all in the context of A."
    note = note if jax.tree.leaves(context) else ""
    pairs = originals.reshape(-1, 2, *originals.shape[1:])
    return visualise.interpolation(images, originals=pairs, title=title, note=note)


def _rows(tree: PyTree, rows: Any) -> PyTree:
    """Rows of every array of a tree."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[rows], tree)


def _picture(images: Any, trained: Trained) -> np.ndarray:
    """`as_picture` of a model's images, with an axis of channels."""
    space, shape = (trained.spec.space, trained.spec.shape) if trained.spec else ("real", ())
    array = as_picture(images, space)
    return array[..., None] if len(shape) == 2 else array


def as_picture(images: Any, space: str) -> np.ndarray:
    """Images as floats in [0, 1]: the 256 values are scaled, a Gaussian's mean is cut off at the ends of the range."""
    array = np.asarray(images, np.float32)
    return np.clip(array / np.float32(255.0) if space == "uint8" else array, 0.0, 1.0)
