"""Images in a NumPy `.npz` file.

Keys: `x` or `images`, and `y`, `label` or `labels`; for splits of one's own `x_train`, `y_train`, `x_test`, `y_test`,
`x_validation` or `x_val`, `y_validation` or `y_val`. Labels may be missing. Other keys are ignored.
"""

import contextlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vae.data.sources.base import Raw, Source, fingerprint, from_arrays

IMAGES = {
    "train": ("x_train", "images_train", "train_images", "x", "images"),
    "validation": ("x_validation", "x_val", "images_validation", "validation_images"),
    "test": ("x_test", "images_test", "test_images"),
}
LABELS = {
    "train": ("y_train", "labels_train", "train_labels", "y", "label", "labels"),
    "validation": ("y_validation", "y_val", "labels_validation", "validation_labels"),
    "test": ("y_test", "labels_test", "test_labels"),
}


def read(name: str) -> Raw:
    """The splits that the file holds."""
    with opened_npz(name) as file:
        held = tuple(file.files)
        images = {split: file[key] for split, names in IMAGES.items() if (key := _first(held, names))}
        labels = {split: file[key] for split, names in LABELS.items() if (key := _first(held, names))}
    if "train" not in images:
        raise ValueError(
            f"{name} holds {', '.join(held) or 'nothing'}, wanted images under x, images or x_train: save them so."
        )
    return Raw(from_arrays({split: (x, labels.get(split)) for split, x in images.items()}))


@contextlib.contextmanager
def opened_npz(path: str | Path) -> Iterator[Any]:
    """An `.npz` to read named arrays from; a ValueError for another or a damaged file, or one of which reading fails inside."""
    try:
        with open(path, "rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array without a name")
            yield file
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"{path} cannot be read as .npz ({reason}): write or download it again.") from error


def _first(keys: Iterable[str], wanted: tuple[str, ...]) -> str | None:
    return next((key for key in wanted if key in keys), None)


SOURCE = Source(
    usage="FILE.npz",
    accepts=lambda name: name.endswith(".npz") and Path(name).is_file(),
    identify=lambda name: fingerprint([Path(name)]),
    read=read,
)
