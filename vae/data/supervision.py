"""Data of which few examples have a label: two training feeds, as `objectives.by_feed` takes them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from vae.data.feeds import Feed, Splits, feed, gather
from vae.data.keyed import split_indices
from vae.requirements import require
from vae.types import Key, PyTree


def semi_supervised_splits(splits: Splits, labels: int, draw: int = 0) -> Splits:
    """Data with labels as data of which only so many training examples have theirs, equally many of each class.

    splits: such as `image_splits("mnist")`, with classes 0, 1, ... as the labels of every split.
    labels: how many training examples keep theirs.
    draw:   which ones: the same for the same number, whatever the seed of a run, and the fewer among the more.

    The feed "labelled" gives the class as the value of latent group 0 (`Batch.values`). The feed "unlabelled" has all training
    examples, the labelled ones too, without it. No model sees the labels of the validation and test splits, which are there to
    be compared with. The objective of such an experiment is `vae.objectives.by_feed`, its batch_size names both feeds:
    {"labelled": 50, "unlabelled": 50}; `experiments.semi_supervised` is a whole one.

    >>> few = vae.data.semi_supervised_splits(vae.data.image_splits("digits"), labels=20)
    >>> few.train["labelled"].size, few.train["unlabelled"].size
    (20, 1258)

    Raises ValueError for data without classes, for a class that the training split lacks, and for numbers of labels that are no
    multiple of the classes or more than there are.
    """
    train: Any = splits.train
    classes = classes_of_splits(splits)
    require(
        labels >= classes and labels % classes == 0,
        f"labels is {labels}; wanted a multiple of the {classes} classes, equally many of each.",
    )
    rows = chosen_rows(np.asarray(train.labels), classes, labels, draw)
    stored = jax.tree.map(np.asarray, gather(train.arrays, rows)), np.asarray(train.labels, np.int32)[rows]
    known = feed(stored, partial(with_class, train.prepare), spec=train.spec, label_names=train.label_names)
    return splits._replace(train={"labelled": known._replace(labels=stored[1]), "unlabelled": train})


def with_class(prepare: Callable, key: Key, stored: tuple) -> tuple[PyTree, PyTree, tuple]:
    """What a model sees of stored examples and their classes: x, context, and the value of group 0."""
    examples, labels = stored
    x, context, *_ = prepare(key, examples)
    return x, context, (labels,)


def classes_of_splits(splits: Splits) -> int:
    """How many classes there are; ValueError where the labels are none, or a split has one that the training split lacks."""
    train: Any = splits.train
    require(isinstance(train, Feed), "semi_supervised_splits got several training feeds; wanted one, whose labels are known.")
    for name, part in splits._asdict().items():
        labels = None if part is None else part.labels
        whole = part is None or (labels is not None and np.ndim(labels) == 1 and np.asarray(labels).dtype.kind in "iu")
        require(whole, f"the {name} split has no classes as labels; wanted a whole number for each example, counted from 0.")
    known = np.unique(train.labels)
    require(
        np.array_equal(known, np.arange(len(known))),
        f"the training labels are {known[:20].tolist()}; wanted all classes from 0 to the highest: number those there are.",
    )
    others: Any = {"validation": splits.validation, "test": splits.test}
    for name, part in others.items():
        unseen = np.setdiff1d(part.labels, known) if part is not None else known[:0]
        require(
            len(unseen) == 0,
            f"the {name} split has the class {unseen[:1]}, which no training example has; wanted classes that are learned: "
            "leave those examples out, as vae.data.without_class does.",
        )
    return len(known)


def chosen_rows(labels: np.ndarray, classes: int, number: int, draw: int) -> np.ndarray:
    """The training rows that keep their label, ascending."""
    each, found = number // classes, []
    for label in range(classes):
        rows = np.flatnonzero(labels == label)
        require(each <= len(rows), f"labels is {number}, {each} of each class, but class {label} has {len(rows)} examples.")
        found.append(rows[first_of_order(len(rows), each, f"labels {draw} {label}")])
    return np.sort(np.concatenate(found))


def first_of_order(count: int, number: int, salt: str) -> np.ndarray:
    """The first of so many numbers in an order of 0 ... count - 1 that is keyed on the salt alone."""
    return split_indices(count, {"chosen": number / count}, salt)["chosen"]
