"""Data sets and batches: where images, tables and arrays come from, how they are cut and keyed, how a model is shown them."""

from vae.data import captions, strokes
from vae.data.arrays import array_splits
from vae.data.completion import completion_splits
from vae.data.dataset import Dataset, Split, from_splits, without_class
from vae.data.feeds import Feed, Splits, feed
from vae.data.keyed import binarise, split_indices
from vae.data.loading import load
from vae.data.named import as_columns
from vae.data.sources import known_datasets
from vae.data.sources.emoji import emoji_names
from vae.data.supervision import semi_supervised_splits
from vae.data.tables import table_splits
from vae.data.view import evaluation_images, image_splits, training_feed

__all__ = [
    "Dataset",
    "Feed",
    "Split",
    "Splits",
    "array_splits",
    "as_columns",
    "binarise",
    "captions",
    "completion_splits",
    "emoji_names",
    "evaluation_images",
    "feed",
    "from_splits",
    "image_splits",
    "known_datasets",
    "load",
    "semi_supervised_splits",
    "split_indices",
    "strokes",
    "table_splits",
    "training_feed",
    "without_class",
]
