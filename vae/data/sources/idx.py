"""IDX files, the format of the original MNIST, plain or `.gz`.

Beside the images, by the naming of MNIST: the labels (`images` -> `labels`, `idx3` -> `idx1`) and, where the images are called
`train`, the test set (`train` -> `t10k` or `test`). What is not there is left out.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from vae.data.sources.base import Raw, Source, fingerprint, from_arrays

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read(name: str) -> Raw:
    """The images of the file and what lies beside them."""
    files = beside(Path(name))
    return Raw(from_arrays({split: (parse(x), None if y is None else parse(y)) for split, (x, y) in files.items()}))


def beside(images: Path) -> dict[str, tuple[Path, Path | None]]:
    """The files of images and labels by split."""
    splits = {"train": images}
    for word in ("t10k", "test"):
        test = _existing(images.with_name(images.name.replace("train", word)))
        if test is not None and test != images:
            splits["test"] = test
    return {split: (path, _labels(path)) for split, path in splits.items()}


def parse(path: Path) -> np.ndarray:
    """The array of one IDX file.

    Four bytes (0, 0, type, rank), then the sizes as big-endian 32-bit integers, then the values row by row.

    Raises a ValueError where the file is no IDX file, is damaged, or is shorter or longer than it says.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path} is a damaged .gz file ({error}): download it again.") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES or len(data) < 4 + 4 * data[3]:
        raise ValueError(f"{path} is not an IDX file, which starts with two zero bytes, a type and a rank: check what it is.")
    dtype, start = np.dtype(TYPES[data[2]]), 4 + 4 * data[3]
    shape = tuple(int(size) for size in np.frombuffer(data[4:start], ">u4"))
    wanted = math.prod(shape) * dtype.itemsize
    if len(data) - start != wanted:
        raise ValueError(
            f"{path} holds {len(data) - start} bytes of values, wanted {wanted} for the shape {shape} that it states:"
            " download it again."
        )
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


def _labels(images: Path) -> Path | None:
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    return _existing(images.with_name(name)) if name != images.name else None


def _existing(path: Path) -> Path | None:
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    return next((candidate for candidate in (path, plain, plain.with_name(plain.name + ".gz")) if candidate.is_file()), None)


def _accepts(name: str) -> bool:
    return ("idx" in Path(name).name or name.endswith("ubyte")) and Path(name).is_file()


def _identify(name: str) -> str:
    return fingerprint([path for pair in beside(Path(name)).values() for path in pair if path is not None])


SOURCE = Source(usage="an IDX file (.gz too)", accepts=_accepts, identify=_identify, read=read)
