"""Where data come from, one source a file. A new source of images is a file with a `SOURCE` and a line in `SOURCES`.

Tables and arrays are read by `columns` and `arrays`.
"""

import difflib
from pathlib import Path

from vae.data.sources import digits, emoji, folder, function, idx, npz, sprites, tfds
from vae.data.sources.base import Source

SOURCES: tuple[Source, ...] = tuple(module.SOURCE for module in (digits, sprites, emoji, tfds, idx, npz, folder, function))


def known_datasets() -> tuple[str, ...]:
    """The data sets that messages name; every other image data set of TensorFlow Datasets goes by its own name as well."""
    return ("digits", "sprites", "emoji", *tfds.KNOWN)


def find_source(name: str) -> Source:
    """The source that answers to a name.

    Raises a FileNotFoundError for a path that is not there, a ValueError for a name that is not known or a file of another
    kind, naming those that are.
    """
    for source in SOURCES:
        if source.accepts(name):
            return source
    kinds = ", ".join(source.usage for source in SOURCES)
    path = Path(name)
    if path.exists():
        raise ValueError(f"{name!r} is not a file that can be read as images, wanted one of: {kinds}.")
    if len(path.parts) > 1 or path.suffix:
        raise FileNotFoundError(f"there is no file or folder {name!r}: check the path, or give one of: {kinds}.")
    close = difflib.get_close_matches(name, [*known_datasets(), *tfds.registered()], n=1)
    hint = f"did you mean {close[0]!r}? Known are:" if close else "known are:"
    raise ValueError(f"there is no data set {name!r}; {hint} {kinds}.")
