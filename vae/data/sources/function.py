"""A user's own function, `module:function`, called without arguments."""

import difflib
import importlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from vae.data.dataset import SPLITS, Dataset, check_splits
from vae.data.sources.base import Raw, Source, from_arrays, in_memory

PATTERN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def read(name: str) -> Raw:
    """What the function returns: a Dataset, an array of images, or (images, labels).

    Not cached: what the function does cannot be known. Raises a ValueError where the function is not found, a TypeError where
    it returns something else.
    """
    result = find_function(name)()
    if isinstance(result, Dataset):
        splits = {split: getattr(result, split) for split in SPLITS}
        check_splits(name, splits)
        rows = {split: in_memory(*part) for split, part in splits.items()}
        return Raw(rows, label_names=result.label_names, render=result.render, binary=result.binary)
    images, labels = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    if not hasattr(images, "__array__") and not isinstance(images, list):
        raise TypeError(
            f"{name} returned {type(result).__name__}, wanted a vae.data.Dataset, an array of images, or (images, labels)."
        )
    return Raw(from_arrays({"train": (_plain(images), _plain(labels))}))


def _plain(array: Any) -> Any:
    return np.asarray(array) if hasattr(array, "__array__") else array


def find_function(name: str) -> Callable:
    """The function that `module:function` names; a ValueError where there is none."""
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # an import inside the user's module failed: that is theirs to see
        raise ValueError(f"there is no module {module_name!r} to get {name!r} from: run where it can be imported.") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        close = difflib.get_close_matches(function_name, vars(module), n=1)
        hint = f"did you mean {close[0]!r}?" if close else "check its spelling."
        raise ValueError(f"the module {module_name!r} has no function {function_name!r}: {hint}")
    return function


SOURCE = Source(
    usage="module:function",
    accepts=lambda name: PATTERN.fullmatch(name) is not None,
    identify=None,
    read=read,
)
