"""A folder or a `.zip` of images.

Sub-folders are classes. If the outermost folders are `train` and, where there are any, `test` and `validation` (or `val`), they
are the splits. All images have one size and one number of channels; nothing is resized in silence.
"""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np

from vae.data.sources.base import Raw, Rows, Source, fingerprint

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm")
SPLIT_FOLDERS = {"train": "train", "test": "test", "validation": "validation", "val": "validation"}

Read = Callable[[list[str]], list[bytes]]


def read(name: str) -> Raw:
    """The images of the folder or zip, in the order of their names."""
    paths = list_images(name)
    if not paths:
        raise ValueError(f"{name} holds no images ({', '.join(SUFFIXES)}): name a folder or zip that does.")
    read_bytes = reader(name)
    splits, classes = _split_and_class(paths)
    names = tuple(sorted(set(classes)))
    numbers = np.array([names.index(c) for c in classes], np.int32) if len(names) > 1 else None
    reference = (paths[0], decode(paths[0], read_bytes([paths[0]])[0]).shape)
    rows = {
        split: _rows(
            [path for path, s in zip(paths, splits) if s == split],
            None if numbers is None else numbers[[s == split for s in splits]],
            read_bytes,
            reference,
        )
        for split in sorted(set(splits))
    }
    return Raw(rows, label_names=names if len(names) > 1 else ())


def list_images(name: str) -> list[str]:
    """The images below a folder or in a zip, as sorted relative paths; hidden files are passed over."""
    if _is_zip(name):
        try:
            with zipfile.ZipFile(name) as file:
                paths = [entry.filename for entry in file.infolist() if not entry.is_dir()]
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            raise ValueError(f"{name} is not a readable zip file ({error}): write or download it again.") from error
    else:
        paths = [path.relative_to(name).as_posix() for path in Path(name).rglob("*") if path.is_file()]
    return sorted(path for path in paths if path.lower().endswith(SUFFIXES) and not _hidden(path))


def reader(name: str) -> Read:
    """Paths in the folder or zip -> the bytes of those files; a ValueError of one sentence where a zip is damaged."""
    return _read_zip(name) if _is_zip(name) else lambda paths: [(Path(name) / path).read_bytes() for path in paths]


def decode(path: str, data: bytes) -> np.ndarray:
    """One image file as uint8 (H, W, C), RGB or RGBA where it has colours."""
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if image is None:
        raise ValueError(f"{path} cannot be read as an image: it is damaged or of another format; remove or replace it.")
    if image.dtype != np.uint8:
        raise ValueError(f"{path} has {image.dtype} pixels up to {image.max()}, wanted 8 bits in 0 ... 255: convert it.")
    if image.ndim == 2:
        return image[..., None]
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[-1] == 3 else cv2.COLOR_BGRA2RGBA)


def _rows(paths: list[str], labels: np.ndarray | None, read_bytes: Read, reference: tuple[str, tuple[int, ...]]) -> Rows:
    def fetch(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        chosen = [paths[i] for i in indices]
        images = [decode(path, data) for path, data in zip(chosen, read_bytes(chosen), strict=True)]
        for path, image in zip(chosen, images, strict=True):
            if image.shape != reference[1]:
                raise ValueError(
                    f"the images have mixed sizes: {reference[0]} is {_size(reference[1])} but {path} is {_size(image.shape)}"
                    " (height x width x channels): crop, resize or convert them to one."
                )
        return np.stack(images), None if labels is None else labels[indices]

    return Rows(len(paths), fetch)


def _split_and_class(paths: list[str]) -> tuple[list[str], list[str]]:
    """The split and the class of each path, from the folders below the one that all share."""
    folders = [PurePosixPath(path).parts[:-1] for path in paths]
    while folders[0] and folders[0][0] not in SPLIT_FOLDERS and all(f and f[0] == folders[0][0] for f in folders):
        folders = [f[1:] for f in folders]
    outermost = {f[0] if f else "" for f in folders}
    if "train" in outermost and outermost <= set(SPLIT_FOLDERS):
        return [SPLIT_FOLDERS[f[0]] for f in folders], ["/".join(f[1:]) for f in folders]
    return ["train"] * len(paths), ["/".join(f) for f in folders]


def _read_zip(name: str) -> Read:
    def read_bytes(paths: list[str]) -> list[bytes]:
        try:
            with zipfile.ZipFile(name) as file:
                return [file.read(path) for path in paths]
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"{name} is a damaged zip file ({error}): write or download it again.") from error

    return read_bytes


def _hidden(path: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(path).parts)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _is_zip(name: str) -> bool:
    return name.endswith(".zip")


def _accepts(name: str) -> bool:
    return Path(name).is_dir() or (_is_zip(name) and Path(name).is_file())


def _identify(name: str) -> str:
    return fingerprint([Path(name)] if _is_zip(name) else [Path(name) / path for path in list_images(name)])


SOURCE = Source(usage="a folder or .zip of images", accepts=_accepts, identify=_identify, read=read)
