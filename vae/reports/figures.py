"""The figures of a trained model, of whatever groups of latent variables, data and context it is.

What a model or its data cannot show is left out: which figures there are is decided by the shapes and families of the model.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from vae import visualise
from vae.evaluation import generate
from vae.evaluation.codes import code_usage
from vae.evaluation.examples import Examples
from vae.evaluation.latents import active_units, encode
from vae.evaluation.rows import require_examples
from vae.reports.pictures import Drawable, picture, some_rows, what_can_be_drawn
from vae.reports.walks import interpolation, traversals
from vae.trained import Trained
from vae.types import Key, PyTree
from vae.visualise.curves import PANELS

if TYPE_CHECKING:
    import matplotlib.figure

Figures = dict[str, "matplotlib.figure.Figure"]

PAIRS, SAMPLES, SAMPLES_PER_ROW = 20, 12, 6
FEW_CONTEXTS, SAMPLES_PER_CONTEXT = 16, 5
TOP_IMAGES, MOST_TOPS = 10, 6
FROM_TOP = (
    "The groups that a row names are drawn from q(z|x) of the image above, those after them from the prior given these, with "
    "the same noise in all rows: what comes back is what these groups know."
)
IN_USE = (
    "Lower row of each pair: decoded at a draw from q(z|x), x the test image above it. They show the codes in use, the "
    "aggregate posterior; what the model generates by itself is in the samples from the prior."
)


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
        kl_per_group, reconstructions_top_groups       where there are several
        code_usage                                     of a group of codes, with its suffix where there are several groups
        reconstructions, samples_aggregate, interpolation, training_curves
        samples_prior, or samples_by_context where the examples have at most 16 distinct contexts

    examples:   test examples as the model sees them, at least two; the first are shown.
    numbers:    of `vae.evaluation.report`.
    records:    of the run, for its curves; [] leaves them out.
    neighbours: uint8 training images, shaped as the examples, among which each sample's nearest one is looked for.

    Left out is what does not exist: images of data that are none or whose decoder has no mean, means of a group without one,
    the KL per dimension of a group whose KL is one number, walks along classes, draws from a likelihood that has
    none. Raises ValueError for examples that do not fit the model.
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
    if len(drawable.sizes) > 1:
        figures["reconstructions_top_groups"] = _from_top_groups(trained, examples, len(drawable.sizes), posterior_key)
    figures |= _prior_samples(trained, examples, drawable, neighbours, prior_key)
    if drawable.walkable:
        figures["samples_aggregate"] = _aggregate_samples(trained, examples, aggregate_key)
    return figures | _walks(trained, examples, numbers, drawable, posterior_key, below_key)


def _is_number(value: Any) -> bool:
    return value is not None and math.isfinite(value)


# Of the latent groups


def _latent_figures(trained: Trained, examples: Examples, numbers: Mapping[str, Any], drawable: Drawable, key: Key) -> Figures:
    """Posterior means and the KL per dimension of every group that has them, and the KL of each of several groups."""
    figures: Figures = {}
    means = encode(trained, examples.x, key, context=examples.context) if any(drawable.has_means) else ()
    for group, has_mean in enumerate(drawable.has_means):
        suffix, which = (f"_{group}", f", group {group}") if len(drawable.sizes) > 1 else ("", "")
        kl, active = _kl_of(numbers, group), None
        if has_mean:
            flat = np.asarray(means[group]).reshape(len(means[group]), -1)
            labels, names = _classes(examples)
            figures[f"latent_means{suffix}"] = visualise.latent_means(flat, labels, names, title=f"Posterior means{which}")
            active = np.asarray(active_units(flat)) if kl is not None and kl.size == flat.shape[1] else None
        if kl is not None and (kl.size > 1 or drawable.sizes[group] == 1):
            unit = "latent dimension" if kl.size == drawable.sizes[group] else "latent variable"
            figures[f"kl_per_dimension{suffix}"] = visualise.kl_per_dimension(
                kl, active, title=f"KL per {unit}{which}", unit=unit
            )
    for group, usage in code_usage(trained, examples.x, key, context=examples.context).items():
        suffix = f"_{group}" if len(drawable.sizes) > 1 else ""
        figures[f"code_usage{suffix}"] = visualise.code_usage(usage.counts, usage.perplexity)
    groups = numbers.get("kl_per_dimension") or ()
    if len(groups) > 1:
        sums, title = [float(np.sum(group)) for group in groups], "KL per latent group"
        figures["kl_per_group"] = visualise.kl_per_dimension(sums, title=title, unit="latent group")
    return figures


def _kl_of(numbers: Mapping[str, Any], group: int) -> np.ndarray | None:
    """The KL of each independent component of a group, one number where it does not split; None where the report has none."""
    groups = numbers.get("kl_per_dimension") or ()
    return np.asarray(groups[group]) if group < len(groups) else None


def _classes(examples: Examples) -> tuple[Any, Any]:
    """Labels and their names for a scatter plot: the classes, or the first factor of variation."""
    if examples.labels is None:
        return None, None
    labels = np.asarray(examples.labels)
    return (labels, examples.label_names or None) if labels.ndim == 1 else (labels[:, 0], None)


# Of the whole model


def _reconstructions(trained: Trained, examples: Examples, key: Key):
    """Test images beside the decoder's means at their codes."""
    x, context = some_rows((examples.x, examples.context), slice(PAIRS))
    images = picture(generate.reconstruct(trained, x, key, context=context), trained)
    return visualise.reconstructions(picture(x, trained), images, title="Reconstructions: decoder means")


def _from_top_groups(trained: Trained, examples: Examples, groups: int, key: Key):
    """Test images, and below each what is decoded of its first group, its first two, ...: at most `MOST_TOPS` such rows."""
    x, context = some_rows((examples.x, examples.context), slice(TOP_IMAGES))
    tops = sorted({round(top) for top in np.linspace(1, groups, min(groups, MOST_TOPS))})
    rows = [picture(x, trained)]
    rows += [picture(generate.reconstruct_from_top(trained, x, key, top, context=context), trained) for top in tops]
    names = ["test images", *(f"top {top} of {groups} groups" if top < groups else f"all {groups} groups" for top in tops)]
    title = "Reconstructions from the top latent groups: decoder means"
    return visualise.image_grid(np.concatenate(rows), len(rows[0]), title, FROM_TOP, names)


def _prior_samples(
    trained: Trained, examples: Examples, drawable: Drawable, neighbours: np.ndarray | None, key: Key
) -> Figures:
    """Samples from the prior, where it has values: for each of a few contexts, else under those of the first examples."""
    prior_key, draw_key = jax.random.split(key)
    context: PyTree = ()
    number: int | None = SAMPLES
    if jax.tree.leaves(examples.context):
        rows, names = distinct_contexts(examples)
        if len(rows) <= FEW_CONTEXTS:
            contexts = some_rows(examples.context, np.repeat(rows, SAMPLES_PER_CONTEXT))
            values = generate.sample_prior(trained, prior_key, context=contexts)
            if not jax.tree.leaves(values):
                return {}
            return {"samples_by_context": _samples_by_context(trained, values, contexts, names, drawable, draw_key)}
        context, number = some_rows(examples.context, slice(SAMPLES)), None
    values = generate.sample_prior(trained, prior_key, number, context=context)
    if not jax.tree.leaves(values):
        return {}
    return {"samples_prior": _samples(trained, values, context, drawable, neighbours, draw_key)}


def _samples_by_context(trained: Trained, values: tuple, contexts: PyTree, names: Sequence[str], drawable: Drawable, key: Key):
    """A row of samples for each context."""
    means, draws = _means_and_draws(trained, values, contexts, drawable, key)
    shape = (len(names), SAMPLES_PER_CONTEXT, *means.shape[1:])
    title = f"Samples from the prior, by context: decoder means{' and draws' if drawable.draws else ''}"
    return visualise.samples_by_row(
        means.reshape(shape), None if draws is None else draws.reshape(shape), title, row_names=names
    )


def _means_and_draws(trained: Trained, values: tuple, context: PyTree, drawable: Drawable, key: Key) -> tuple[Any, Any]:
    """The decoder's means at latent values, and a draw from p(x|z) at each, None where the likelihood has none."""
    means = picture(generate.decode_means(trained, values, context=context), trained)
    if not drawable.draws:
        return means, None
    return means, picture(generate.sample_likelihood(trained, values, key, context=context), trained)


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


def _aggregate_samples(trained: Trained, examples: Examples, key: Key):
    """Test images, and what is decoded at a draw of their posteriors, under their context."""
    size = len(jax.tree.leaves(examples.x)[0])
    values = generate.sample_aggregate(trained, examples.x, key, PAIRS, context=examples.context)
    drawn = np.asarray(generate.drawn_examples(key, PAIRS, size))
    x, context = some_rows((examples.x, examples.context), drawn)
    images = picture(generate.decode_means(trained, values, context=context), trained)
    return visualise.reconstructions(
        picture(x, trained), images, title="Sampled codes of test images: decoder means", note=IN_USE
    )


def _samples(trained: Trained, values: tuple, context: PyTree, drawable: Drawable, neighbours: np.ndarray | None, key: Key):
    """Decoder means of samples, with draws, beside their nearest training images where there are any."""
    means, draws = _means_and_draws(trained, values, context, drawable, key)
    title = f"Samples from the prior{', given contexts of test images' if jax.tree.leaves(context) else ''}: decoder means"
    title = f"{title}{' and draws' if drawable.draws else ''}"
    if neighbours is None:
        return visualise.samples(means, draws, columns=SAMPLES_PER_ROW, title=title)
    training = neighbours if neighbours.ndim == 4 else neighbours[..., None]
    nearest, distances = visualise.nearest_training_images(means, training)
    nearest_images = np.stack([training[int(i)] for i in nearest])
    return visualise.samples(means, draws, nearest_images, distances, SAMPLES_PER_ROW, title)


def _walks(
    trained: Trained, examples: Examples, numbers: Mapping[str, Any], drawable: Drawable, key: Key, below_key: Key
) -> Figures:
    """Traversals of every group that has dimensions, and straight lines where all groups have."""
    if not any(drawable.walkable):
        return {}
    figures: Figures = {}
    codes = generate.codes_of(trained, examples.x, key, context=examples.context)
    for group in (group for group, walkable in enumerate(drawable.walkable) if walkable):
        name, kl = f"traversals_{group}" if len(codes) > 1 else "traversals", _kl_of(numbers, group)
        kl = kl if kl is not None and kl.size == drawable.sizes[group] else None
        figures[name] = traversals(trained, examples.context, codes, group, kl, below_key)
    if all(drawable.walkable) and len(codes[0]) > 1:
        figures["interpolation"] = interpolation(trained, examples, codes)
    return figures
