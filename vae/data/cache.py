"""Stored arrays on disk: written once, memory-mapped after.

An entry is a folder of `.npy` files and a `manifest.json` with their digests. It is written under another name and renamed when
it is whole, so neither a killed process nor two at once leave a broken one; one that was damaged later is not used.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from vae.data.dataset import (
    SPLITS,
    Dataset,
    Split,
    combined_sha256,
    is_binary,
    little_endian_bytes,
    start_sha256,
    stored_sha256,
)

FORMAT = 1
MANIFEST = "manifest.json"
VERIFIED_BYTES = 1 << 30  # the digest of a larger file would take longer than a user wants to wait: its size is checked
STALE_SECONDS = 24 * 3600

Blocks = Iterator[tuple[np.ndarray, np.ndarray | None]]


class CacheError(OSError):
    """The cache cannot be written."""


def cache_root(cache_dir: str | os.PathLike | None = None) -> Path:
    """The folder of the cache: the one given, $VAE_CACHE_DIR, $XDG_CACHE_HOME/vae, or ~/.cache/vae."""
    if cache_dir is not None:
        return Path(cache_dir).expanduser()
    if os.environ.get("VAE_CACHE_DIR"):
        return Path(os.environ["VAE_CACHE_DIR"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~") / ".cache").expanduser() / "vae"


def entry_name(name: str, *identity: object) -> str:
    """The folder of an entry: legible, and different whenever anything in `identity` is."""
    digest = hashlib.sha256(json.dumps([FORMAT, name, *map(str, identity)]).encode()).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9.]+', '_', Path(name).name)[:40]}-{digest[:16]}"


def read(entry: Path, name: str) -> Dataset | None:
    """The data set of an entry, memory-mapped; None where there is none or where it is damaged."""
    try:
        manifest = json.loads((entry / MANIFEST).read_text())
        arrays = {field: _read_array(entry, field, digest) for field, digest in manifest["arrays"].items()}
        splits = {split: Split(arrays[f"{split}_x"], arrays.get(f"{split}_label")) for split in SPLITS}
        return Dataset(
            name=name,
            train=splits["train"],
            validation=splits["validation"],
            test=splits["test"],
            shape=splits["train"].x.shape[1:],
            binary=manifest["binary"],
            sha256=combined_sha256(manifest["arrays"]),
            label_names=tuple(manifest["label_names"]),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def write(entry: Path, splits: Mapping[str, tuple[int, Blocks]], label_names: tuple[str, ...]) -> None:
    """Write an entry from blocks of (x, labels), by split with their number of rows; nothing large is held in memory.

    Raises a CacheError where the folder cannot be written; what reading the blocks raises passes through.
    """
    with _unwritable(entry.parent):
        entry.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(entry.parent)
        partial = _fresh_folder(entry.parent)
    try:
        arrays: dict[str, str] = {}
        for split in SPLITS:
            arrays |= _write_split(partial, split, *splits[split])
        with _unwritable(entry.parent):
            binary = all(is_binary(np.load(partial / f"{split}_x.npy", mmap_mode="r")) for split in SPLITS)
            manifest = {"arrays": arrays, "binary": binary, "label_names": list(label_names)}
            (partial / MANIFEST).write_text(json.dumps(manifest, indent=1))
            _publish(partial, entry)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _read_array(entry: Path, field: str, digest: str) -> np.ndarray:
    array = np.load(entry / f"{field}.npy", mmap_mode="r", allow_pickle=False)  # raises where the file is too short
    if array.nbytes <= VERIFIED_BYTES and stored_sha256(array) != digest:
        raise ValueError(f"{entry / field} is damaged.")
    return array


def _write_split(folder: Path, split: str, count: int, blocks: Blocks) -> dict[str, str]:
    """Append blocks to the files of a split; returns the digest of each array."""
    files, digests, row_shape = {}, {}, {}
    with contextlib.ExitStack() as stack:
        for x, label in blocks:
            for field, block in stored_block(split, x, label).items():
                with _unwritable(folder.parent):
                    if field not in files:
                        files[field] = stack.enter_context(open(folder / f"{field}.npy", "wb"))
                        digests[field] = start_sha256(block.dtype, (count, *block.shape[1:]))
                        row_shape[field] = block.shape[1:]
                        _write_header(files[field], block, count)
                    data = little_endian_bytes(block)
                    files[field].write(data)
                    digests[field].update(data)
        with _unwritable(folder.parent):
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
    return {field: digest.hexdigest() for field, digest in digests.items()}


def stored_block(split: str, x: np.ndarray, label: np.ndarray | None) -> dict[str, np.ndarray]:
    """The arrays of a block by the names of their files."""
    return {f"{split}_x": x} | ({} if label is None else {f"{split}_label": label})


def _write_header(file, block: np.ndarray, count: int) -> None:
    dtype = block.dtype.newbyteorder("<")
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count, *block.shape[1:])}
    np.lib.format.write_array_header_1_0(file, header)


def _publish(partial: Path, entry: Path) -> None:
    """Rename a finished entry into place; where another process was first, theirs stays, unless it is damaged."""
    with contextlib.suppress(OSError):
        os.rename(partial, entry)
        return
    if read(entry, entry.name) is not None:
        return
    aside = _fresh_folder(entry.parent)
    with contextlib.suppress(FileNotFoundError):  # another process may have moved it just now
        os.rename(entry, aside / "damaged")
    shutil.rmtree(aside, ignore_errors=True)
    os.rename(partial, entry)


def _fresh_folder(root: Path) -> Path:
    folder = root / f".partial-{uuid.uuid4().hex}"
    folder.mkdir()  # not tempfile.mkdtemp, which would shut a shared cache to others
    return folder


def _remove_stale(root: Path) -> None:
    """What killed processes left behind."""
    for path in root.glob(".partial-*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _unwritable(root: Path):
    try:
        yield
    except OSError as error:
        raise CacheError(f"{root}: {error.strerror or error}") from error
