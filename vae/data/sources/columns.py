"""Tables: named columns from a file, a function or what is in memory, brought to numbers and texts.

Read are `.csv`, `.parquet`, `.npz` with one array for each column, a dict of columns, a structured array, whatever exports
Arrow (pyarrow, pandas, polars), and `module:function` that returns one of these.
"""

import csv
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae.data.sources.function import PATTERN, find_function

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null")
"""What stands for a missing cell in a `.csv` where it is not quoted; spaces around a cell never count."""

USAGE = "a .csv, .parquet or .npz file, a dict of columns, a structured array, an Arrow or pandas table, or module:function"


class Texts(NamedTuple):
    """A column of text.

    codes: (N,) places in `texts`, -1 for a missing cell.
    texts: the different ones, sorted.
    """

    codes: np.ndarray
    texts: tuple[str, ...]


RawColumn = np.ndarray | Texts
"""float64 numbers with NaN for a missing cell, or texts; an array of anything else (dates) cannot be modelled."""


def read_columns(source: Any, delimiter: str = ",") -> dict[str, RawColumn]:
    """The columns of a source by name, in the order of the file.

    Raises a FileNotFoundError, a ValueError or a TypeError of one sentence for what is not there or no table, for no rows, and
    for columns that share a name or differ in length.
    """
    if isinstance(source, str | Path):
        return read_path(str(source), delimiter)
    if isinstance(source, np.ndarray) and source.dtype.names:
        source = {name: source[name] for name in source.dtype.names}
    if hasattr(source, "__arrow_c_stream__"):
        return from_arrow("the table", source)
    if hasattr(source, "columns") and not isinstance(source, Mapping):
        names = [str(name) for name in source.columns]
        require_distinct("the table", names)
        source = {str(name): source[name] for name in source.columns}
    if not isinstance(source, Mapping):
        raise TypeError(f"the table is a {type(source).__name__}; wanted {USAGE}; an array is for vae.data.array_splits.")
    return require_table("the table", {str(name): from_values(str(name), values) for name, values in source.items()})


def read_path(name: str, delimiter: str) -> dict[str, RawColumn]:
    """The columns of a file, or of what a function returns."""
    path = Path(name).expanduser()
    if not path.is_file() and PATTERN.fullmatch(name):
        return read_columns(find_function(name)())
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {name!r}: check the path, or give {USAGE}.")
    if path.suffix not in READERS:
        raise ValueError(f"{name!r} is not a file that can be read as a table, wanted {USAGE}.")
    return READERS[path.suffix](path, delimiter)


def read_csv(path: Path, delimiter: str) -> dict[str, RawColumn]:
    """The columns of a `.csv` with a header; those in which every cell is a number, or every one true or false, are numbers."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = header(path, delimiter)
    options = {
        "read_options": arrow_csv.ReadOptions(use_threads=False),  # only so an error names the row
        "parse_options": arrow_csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=len(names) > 1
        ),
        "convert_options": arrow_csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=list(MISSING),
        ),
    }
    try:
        table = arrow_csv.read_csv(path, **options)
    except pa.ArrowException as error:
        raise ValueError(
            f"{path} cannot be read as CSV ({first_line(error)}, the header is row 1): correct it, or say its delimiter."
        ) from error
    stripped = {name.strip(): as_numbers(from_values(name, table[name], strip=True)) for name in names}
    return require_table(str(path), stripped)


def header(path: Path, delimiter: str) -> list[str]:
    """The names in the first line of a `.csv`; refuses what is no text, names that repeat and another delimiter."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file, delimiter=delimiter), [])
    except (UnicodeDecodeError, csv.Error, TypeError) as error:
        raise ValueError(f"{path} cannot be read as CSV ({first_line(error)}): wanted text in UTF-8 with a header.") from error
    if not names:
        raise ValueError(f"{path} is empty: wanted a header and at least one row.")
    require_distinct(str(path), [name.strip() for name in names])
    other = next((mark for mark in ";\t,|" if mark != delimiter and mark in names[0]), None)
    if len(names) == 1 and other:
        raise ValueError(f"{path} has the one column {names[0]!r}: give delimiter={other!r}.")
    return names


def read_parquet(path: Path, delimiter: str) -> dict[str, RawColumn]:
    """The columns of a `.parquet`."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return from_arrow(str(path), parquet.read_table(path))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as parquet ({first_line(error)}): write or download it again.") from error


def read_npz(path: Path, delimiter: str) -> dict[str, RawColumn]:
    """The arrays of an `.npz`, a column each."""
    return read_columns(load_npz(path))


def load_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` by name; a ValueError for another or a damaged file."""
    try:
        with open(path, "rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array without a name")
            return {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as .npz ({first_line(error)}): write or download it again.") from error


READERS = {".csv": read_csv, ".parquet": read_parquet, ".npz": read_npz}


def from_arrow(what: str, source: Any) -> dict[str, RawColumn]:
    """The columns of whatever exports an Arrow table."""
    import pyarrow as pa

    table = pa.table(source)
    require_distinct(what, list(table.column_names))
    return require_table(what, {name: from_values(name, table[name]) for name in table.column_names})


def from_values(name: str, values: Any, strip: bool = False) -> RawColumn:
    """One column: numbers and booleans as float64, texts by their codes, anything else as it is."""
    import pyarrow as pa

    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "biuf":
        return values.astype(np.float64)
    if np.ndim(values) != 1:
        raise ValueError(f"the column {name!r} has shape {np.shape(values)}, wanted one value for each row.")
    array = values if isinstance(values, pa.ChunkedArray) else arrow_of(name, values)
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.cast(kind.value_type), kind.value_type
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        array, kind = array.cast(pa.float64() if pa.types.is_null(kind) else pa.uint8()), pa.float64()
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return array.cast(pa.float64(), safe=False).to_numpy()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return texts_of(array, strip)
    return array.to_numpy()


def arrow_of(name: str, values: Any):
    """Python values or a NumPy array as an Arrow column; numbers among texts become texts."""
    import pyarrow as pa

    listed = values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind in "OU" else values
    try:
        return pa.chunked_array([pa.array(listed, from_pandas=True)])
    except pa.ArrowException:
        missing = (None if cell is None or cell != cell else cell for cell in listed)
        return pa.chunked_array([pa.array([None if cell is None else str(cell) for cell in missing], pa.string())])


def texts_of(array: Any, strip: bool) -> Texts:
    """Codes and the sorted different texts of an Arrow column of strings."""
    from pyarrow import compute

    array = compute.utf8_trim_whitespace(array) if strip else array
    encoded = array.combine_chunks().dictionary_encode()
    found = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return sorted_texts(codes, found)


def sorted_texts(codes: np.ndarray, found: list[str]) -> Texts:
    """Texts from codes into `found`, -1 for a missing cell, by codes of their sorted order; an empty text is missing too."""
    texts = sorted(set(found) - {""})
    place = {text: code for code, text in enumerate(texts)}
    return Texts(np.array([*(place.get(text, -1) for text in found), -1], np.int64)[codes], tuple(texts))


def as_numbers(column: RawColumn) -> RawColumn:
    """A column of texts as numbers where every one of them is a number, or every one true or false."""
    if not isinstance(column, Texts):
        return column
    numbers = [number_of(text) for text in column.texts]
    if None in numbers:
        truths = {"true": 1.0, "false": 0.0}
        numbers = [truths.get(text.lower()) for text in column.texts]
    if None in numbers:
        return column
    return np.array([*numbers, np.nan], np.float64)[column.codes]


def number_of(text: str) -> float | None:
    """The number that a cell shows, None where it shows none; the underscores of Python are none."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def require_distinct(what: str, names: list[str]) -> None:
    """Refuse two columns with one name."""
    repeated = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if repeated is not None:
        raise ValueError(f"{what} has two columns named {repeated!r}: rename one of them.")


def require_table(what: str, columns: dict[str, RawColumn]) -> dict[str, RawColumn]:
    """The columns, where there are any rows, as many in each."""
    lengths = {name: length_of(column) for name, column in columns.items()}
    if not lengths or not max(lengths.values()):
        raise ValueError(f"{what} is empty: wanted at least one column and one row.")
    first = next(iter(lengths))
    for name, length in lengths.items():
        if length != lengths[first]:
            raise ValueError(f"the column {name!r} has {length} rows but {first!r} has {lengths[first]}: give as many.")
    return columns


def length_of(column: RawColumn) -> int:
    """The number of rows."""
    return len(column.codes if isinstance(column, Texts) else column)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return str(error).strip().split("\n")[0]
