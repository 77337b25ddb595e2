"""The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn carries: no network, no files."""

from importlib.metadata import version

import numpy as np

from vae.data.keyed import split_indices
from vae.data.sources.base import Raw, Source, in_memory


def read(name: str) -> Raw:
    """The digits, 70 % train, 10 % validation, 20 % test, with pixels 0 ... 16 scaled to 0 ... 255.

    For trying things out, never evidence: the images are tiny, few, and by 43 writers who are not kept apart by the splits.
    E. Alpaydin and C. Kaynak 1998, "Optical recognition of handwritten digits", UCI machine learning repository.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    parts = split_indices(len(pixels), {"test": 0.2, "validation": 0.1}, salt="digits")
    splits = {split: in_memory(pixels[rows], labels[rows].astype(np.int32)) for split, rows in parts.items()}
    return Raw(splits, label_names=tuple(map(str, range(10))))


SOURCE = Source(
    usage="digits",
    accepts=lambda name: name == "digits",
    identify=lambda name: f"scikit-learn {version('scikit-learn')}",
    read=read,
)
