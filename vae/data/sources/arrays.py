"""Arrays of any shape: from memory, `.npy` (memory-mapped), `.npz`, or `module:function` that returns arrays or a dict of them.

A dict or an `.npz` names them: `x`, and beside it `context`, `label` (or `y`), `observed` (or `mask`) and `lengths`, each also
with the ending `_train`, `_validation` (or `_val`) and `_test` for splits of one's own.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vae.data.sources.columns import first_line, load_npz
from vae.data.sources.function import PATTERN, find_function

FIELDS = {
    **{"x": "x", "images": "x", "context": "context", "label": "label", "labels": "label", "y": "label"},
    **{"observed": "observed", "mask": "observed", "lengths": "lengths"},
}
ENDINGS = {"": "train", "_train": "train", "_validation": "validation", "_val": "validation", "_test": "test"}
NAMES = {field + ending: (split, FIELDS[field]) for field in FIELDS for ending, split in ENDINGS.items()}
USAGE = 'an array, a dict {"x": ..., "context": ...}, a .npy or .npz file, or module:function'


def read_arrays(source: Any) -> dict[str, dict[str, Any]]:
    """What a source holds, by split and by field; "train" with an "x" among them.

    Raises a FileNotFoundError, a ValueError or a TypeError of one sentence for what is not there, no arrays, or another name.
    """
    if isinstance(source, str | Path):
        return read_path(str(source))
    if isinstance(source, Mapping):
        return by_split(source)
    if not isinstance(source, list) and not hasattr(source, "__array__"):
        raise TypeError(f"the data are a {type(source).__name__}; wanted {USAGE}.")
    return {"train": {"x": source}}


def read_path(name: str) -> dict[str, dict[str, Any]]:
    """The arrays of a file, or what a function returns."""
    path = Path(name).expanduser()
    if not path.is_file() and PATTERN.fullmatch(name):
        return read_arrays(find_function(name)())
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {name!r}: check the path, or give {USAGE}.")
    if path.suffix == ".npz":
        return by_split(load_npz(path))
    if path.suffix != ".npy":
        raise ValueError(f"{name!r} is not a file that can be read as arrays, wanted {USAGE}; a table is for table_splits.")
    try:
        return {"train": {"x": np.load(path, mmap_mode="r", allow_pickle=False)}}
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as .npy ({first_line(error)}): write or download it again.") from error


def by_split(named: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The named arrays by split and by field."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in named.items():
        if name not in NAMES:
            close = difflib.get_close_matches(str(name), NAMES, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"wanted {', '.join(dict.fromkeys(FIELDS.values()))}."
            raise ValueError(f"the data hold an entry {name!r}: {hint}")
        split, field = NAMES[name]
        if field in found.setdefault(split, {}):
            raise ValueError(f"the data hold the {field} of the {split} split twice, again as {name!r}: give it once.")
        found[split][field] = value
    for split in ("train", *found):
        if "x" not in found.get(split, {}):
            raise ValueError(f"the data hold {', '.join(map(str, named)) or 'nothing'}, and no x of the {split} split: add it.")
    return found
