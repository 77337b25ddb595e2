"""Data sets and batches: where images come from, how they are cut into splits, and what is keyed on its own."""

from vae.data.dataset import Dataset, Split, from_splits
from vae.data.keyed import binarise, split_indices
from vae.data.loading import load
from vae.data.sources import known_datasets

__all__ = ["Dataset", "Split", "binarise", "from_splits", "known_datasets", "load", "split_indices"]
