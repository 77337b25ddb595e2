"""Any image data set of TensorFlow Datasets, `name[/config][:version]`, read from ArrayRecord without TensorFlow.

The prepared files are looked for under $TFDS_DATA_DIR, or ~/tensorflow_datasets. TensorFlow is only needed to prepare a data
set the first time.
"""

import hashlib
import importlib.util
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from vae.data.sources.base import Raw, Rows, Source

# Those that a message names; any other of its image data sets works as well.
KNOWN = (
    "mnist", "fashion_mnist", "kmnist", "emnist", "binarized_mnist", "omniglot", "cifar10", "cifar100",
    "svhn_cropped", "celeb_a", "dsprites", "shapes3d", "smallnorb",
)  # fmt: skip
PATTERN = re.compile(r"([a-z][a-z0-9_]*)(?:/([\w.-]+?))?(?::(\d+\.\d+\.\d+))?")
SPLITS = ("train", "validation", "test")
PROBE = 256


def read(name: str) -> Raw:
    """The official splits, with the one image feature and the class in the feature `label`, where there is one."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(_prepared(name))
    features = builder.info.features
    image = _image_feature(name, features)
    label = dict(features.items()).get("label")
    label_names = tuple(label.names) if isinstance(label, tfds.features.ClassLabel) else ()
    sources = {split: builder.as_data_source(split) for split in SPLITS if split in builder.info.splits}
    if "train" not in sources:
        held = ", ".join(builder.info.splits)
        raise ValueError(f"{name!r} has the splits {held} but no train split: choose a data set that has one.")
    probe = [record[image] for record in sources["train"].__getitems__(list(range(min(PROBE, len(sources["train"])))))]
    scale = 255 if max(x.max() for x in probe) <= 1 else 1  # some sets (binarized_mnist, dsprites) store on as 1
    return Raw(
        {split: _rows(name, source, image, bool(label_names), probe[0].shape, scale) for split, source in sources.items()},
        label_names,
    )


def _rows(name: str, source: Any, image: str, labelled: bool, shape: tuple[int, ...], scale: int) -> Rows:
    def fetch(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        records = source.__getitems__([int(i) for i in indices])  # one call: a loop over records is slower
        images = _stack(name, [record[image] for record in records], shape)
        if scale > 1 and images.max() > 1:
            raise ValueError(f"{name!r} mixes images of 0 and 1 with images up to {images.max()}: save them alike as .npz.")
        labels = np.array([record["label"] for record in records], np.int32) if labelled else None
        return images * np.uint8(scale), labels

    return Rows(len(source), fetch)


def _stack(name: str, images: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    for image in images:
        if image.shape != shape:
            sizes = f"{shape} and {image.shape}"
            raise ValueError(f"the images of {name!r} have mixed sizes, {sizes}: give them resized, as .npz or in a folder.")
    return np.stack(images)


def _image_feature(name: str, features: Any) -> str:
    import tensorflow_datasets as tfds

    images = [
        key for key, feature in features.items() if isinstance(feature, tfds.features.Image) and feature.np_dtype == np.uint8
    ]
    if len(images) != 1:
        found = ", ".join(images) or "none"
        raise ValueError(f"{name!r} should have one 8-bit image in each example but has {found}: choose an image data set.")
    return images[0]


def data_dir() -> Path:
    """The folder in which TensorFlow Datasets keeps prepared data sets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or Path("~") / "tensorflow_datasets").expanduser()


def find_prepared(name: str) -> Path | None:
    """The folder of the version asked for, or else of the newest; None where nothing is prepared."""
    builder, config, version = _parts(name)
    folder = data_dir() / builder / (config or "")
    folders = _versions(folder, version)
    if not folders and config is None and folder.is_dir():
        configs = [child for child in sorted(folder.iterdir()) if child.is_dir() and _versions(child, version)]
        if len(configs) > 1:
            names = ", ".join(f"{builder}/{child.name}" for child in configs)
            raise ValueError(f"{name!r} is prepared in several configurations: name one of {names}.")
        folders = _versions(configs[0], version) if configs else []
    return folders[-1] if folders else None


def _versions(folder: Path, version: str | None) -> list[Path]:
    found = [path.parent for path in folder.glob("*/dataset_info.json") if re.fullmatch(r"\d+\.\d+\.\d+", path.parent.name)]
    wanted = [path for path in found if version in (None, path.name)]
    return sorted(wanted, key=lambda path: tuple(map(int, path.name.split("."))))


def _prepared(name: str) -> Path:
    folder = find_prepared(name) or prepare(name)
    form = json.loads((folder / "dataset_info.json").read_text()).get("fileFormat", "tfrecord")
    if form != "array_record":
        raise ValueError(
            f"{name!r} is prepared in {folder} as {form}, wanted array_record:"
            f" move that folder away and run `{_command(name)}`."
        )
    return folder


def prepare(name: str) -> Path:
    """Download and prepare a registered data set as ArrayRecord, where TensorFlow and a network are there.

    Raises a FileNotFoundError that names the command where it cannot be done here.
    """
    import tensorflow_datasets as tfds

    if importlib.util.find_spec("tensorflow") is None:
        raise FileNotFoundError(
            f"{name!r} is not prepared under {data_dir()}, and TensorFlow is not there to prepare it:"
            f" run `pip install 'vae[prepare]'` once and then `{_command(name)}`, or set TFDS_DATA_DIR to where it is prepared."
        )
    try:
        builder = tfds.builder(name, data_dir=str(data_dir()), file_format="array_record")
        builder.download_and_prepare()
    except Exception as error:  # whatever a download or a builder may raise
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise FileNotFoundError(
            f"{name!r} could not be prepared under {data_dir()} ({reason}):"
            f" run `{_command(name)}` where there is a network and copy the folder here."
        ) from error
    return Path(builder.data_dir)


def _command(name: str) -> str:
    code = f"import tensorflow_datasets as t; t.builder('{name}', file_format='array_record').download_and_prepare()"
    return f'python -c "{code}"'


def _parts(name: str) -> tuple[str, str | None, str | None]:
    match = PATTERN.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is not of the form name, name/config, name:1.2.3 or name/config:1.2.3.")
    return match[1], match[2], match[3]


def registered() -> list[str]:
    """All names that TensorFlow Datasets knows."""
    import tensorflow_datasets as tfds

    return tfds.list_builders(with_community_datasets=False)


def _accepts(name: str) -> bool:
    """A known name, one that is prepared, or, asked last since it imports TensorFlow Datasets, one that is registered."""
    if PATTERN.fullmatch(name) is None:
        return False
    builder = _parts(name)[0]
    if builder in KNOWN or find_prepared(name) is not None:
        return True
    return not Path(name).exists() and builder in registered()


def _identify(name: str) -> str:
    folder = _prepared(name)
    info = hashlib.sha256((folder / "dataset_info.json").read_bytes()).hexdigest()
    sizes = [f"{path.name} {path.stat().st_size}" for path in sorted(folder.glob("*array_record*"))]
    return "\n".join(["/".join(folder.parts[-3:]), info, *sizes])


SOURCE = Source(
    usage=f"{', '.join(KNOWN)} and the other image data sets of TensorFlow Datasets",
    accepts=_accepts,
    identify=_identify,
    read=read,
)
