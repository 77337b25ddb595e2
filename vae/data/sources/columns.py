"""Tables: named columns from a file, a function or what is in memory, brought to numbers and texts.

Read are `.csv`, `.parquet`, `.npz` with one array for each column, a dict of columns, a structured array, whatever exports
Arrow (pyarrow, pandas, polars), and `module:function` that returns one of these.
"""

import csv
from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from vae.data.sources.function import PATTERN, find_function
from vae.data.sources.npz import opened_npz
from vae.data.sources.texts import RawColumn, as_numbers, length_of, texts_of

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null")
"""What stands for a missing cell in a `.csv` where it is not quoted; spaces around a cell never count."""

BLOCK = 1 << 24
"""The bytes of a `.csv` that are read at a time; of what an open quote swallows beyond, Arrow does not name the row."""

ROUNDED = 2**53
"""From this one on, float64 does not hold every whole number."""

USAGE = "a .csv, .parquet or .npz file, a dict of columns, a structured array, an Arrow or pandas table, or module:function"


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
        require_distinct("the table", list(source.columns))
        source = {name: source[name] for name in source.columns}
    if not isinstance(source, Mapping):
        raise TypeError(f"the table is a {type(source).__name__}; wanted {USAGE}; an array is for vae.data.array_splits.")
    for name in source:
        if not isinstance(name, str):
            raise TypeError(f"the table has a column named {name!r}, which is no text: name it by one.")
    return require_table("the table", {name: from_values(name, values) for name, values in source.items()})


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
    content = path.read_bytes()
    content = content if content.endswith(b"\n") else content + b"\n"  # a quote that stays open then has a line break behind it
    options = {
        "read_options": arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK),  # only so an error names the row
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
        table = arrow_csv.read_csv(pa.BufferReader(content), **options)
    except pa.ArrowException as error:
        raise ValueError(
            f"{path} cannot be read as CSV ({first_line(error)}, the header is row 1): correct it, close its quotes, or say "
            "its delimiter."
        ) from error
    for name in names:
        require_one_line(str(path), name, table[name])
    return require_table(str(path), {name.strip(): from_cells(table[name]) for name in names})


def require_one_line(what: str, name: str, cells: Any) -> None:
    """Refuse a cell with a line break in it: the rows that a quote has swallowed which nobody closed look like that."""
    from pyarrow import compute

    row = compute.index(compute.match_substring_regex(cells, "[\\r\\n]"), True).as_py()
    if row >= 0:
        raise ValueError(
            f"{what} has a line break within the column {name.strip()!r} in row {row + 1}: close the quote that opens there, "
            "or take line breaks out of its cells."
        )


def from_cells(cells: Any) -> RawColumn:
    """A column of a `.csv` from its cells, an Arrow column of strings: numbers where all of them are."""
    import pyarrow as pa
    from pyarrow import compute

    cells = compute.utf8_trim_whitespace(cells)
    cells = compute.if_else(compute.equal(cells, ""), None, cells)
    try:
        numbers = cells.cast(pa.float64()).to_numpy()  # as float() rounds, but much faster
    except pa.ArrowInvalid:
        return as_numbers(texts_of(cells))
    try:
        return from_integers(cells.cast(pa.int64())) if np.any(np.abs(numbers) >= ROUNDED) else numbers
    except pa.ArrowInvalid:
        return numbers


def header(path: Path, delimiter: str) -> list[str]:
    """The names in the first line of a `.csv`; refuses what is no text, names that repeat and another delimiter."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file, delimiter=delimiter), None)
    except (UnicodeDecodeError, csv.Error, TypeError) as error:
        raise ValueError(f"{path} cannot be read as CSV ({first_line(error)}): wanted text in UTF-8 with a header.") from error
    if names is None:
        raise ValueError(f"{path} is empty: wanted a header and at least one row.")
    if not names or any("\n" in name or "\r" in name for name in names):
        got = "a line break within a name in its header" if names else "a blank first line"
        raise ValueError(f"{path} has {got}; wanted the names of its columns in the first line: correct it.")
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
    with opened_npz(path) as file:
        return {name: file[name] for name in file.files}


READERS = {".csv": read_csv, ".parquet": read_parquet, ".npz": read_npz}


def from_arrow(what: str, source: Any) -> dict[str, RawColumn]:
    """The columns of whatever exports an Arrow table."""
    import pyarrow as pa

    table = pa.table(source)
    require_distinct(what, list(table.column_names))
    return require_table(what, {name: from_values(name, table[name]) for name in table.column_names})


def from_values(name: str, values: Any) -> RawColumn:
    """One column: numbers and booleans as float64, texts by their codes, anything else as it is.

    A masked cell is a missing one. Raises a ValueError for more than one value a row.
    """
    import pyarrow as pa

    values = as_array(values)
    require_one_each(name, values)
    if isinstance(values, np.ndarray) and values.dtype.kind in "bf":
        with np.errstate(over="ignore"):  # infinite is refused where the column is used
            return values.astype(np.float64)
    if isinstance(values, np.ndarray) and values.dtype.kind in "mM":
        return values
    array = values if isinstance(values, pa.ChunkedArray) else arrow_of(values)
    if array is None:
        return values if isinstance(values, np.ndarray) else np.array(values, object)
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.cast(kind.value_type), kind.value_type
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        array, kind = array.cast(pa.float64() if pa.types.is_null(kind) else pa.uint8()), pa.float64()
    if pa.types.is_integer(kind):
        return from_integers(array)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return array.cast(pa.float64(), safe=False).to_numpy()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return texts_of(array)
    return array.to_numpy()


def as_array(values: Any) -> Any:
    """What says that it is an array, of JAX for example, as one of NumPy; what is masked as None."""
    if isinstance(values, np.ma.MaskedArray):
        cells = np.ma.getdata(values).astype(object)
        cells[np.ma.getmaskarray(values)] = None
        return cells
    arrow = hasattr(values, "__arrow_c_stream__") or hasattr(values, "__arrow_c_array__")
    return np.asarray(values) if hasattr(values, "__array__") and not arrow else values


def require_one_each(name: str, values: Any) -> None:
    """Refuse a column that has not one value for each row."""
    try:
        shape = np.shape(values)
    except ValueError as error:  # NumPy's word for a ragged list
        raise ValueError(f"the column {name!r} holds lists of different lengths, wanted one value for each row.") from error
    if len(shape) != 1:
        raise ValueError(f"the column {name!r} has shape {shape}, wanted one value for each row.")


def from_integers(array: Any) -> np.ndarray:
    """An Arrow column of whole numbers as float64, or as they come where float64 may round some."""
    import pyarrow as pa

    numbers = array.cast(pa.float64(), safe=False).to_numpy()
    if not np.any(np.abs(numbers) >= ROUNDED):
        return numbers
    return np.array(array.to_pylist(), object) if array.null_count else array.to_numpy()


def arrow_of(values: Any) -> Any:
    """Python values or a NumPy array as an Arrow column, numbers among texts as texts; None for other objects."""
    import pyarrow as pa

    listed = values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind in "OU" else values
    try:
        return pa.chunked_array([pa.array(listed, from_pandas=True)])
    except OverflowError:  # of a whole number that 64 bits do not hold
        return None
    except pa.ArrowException:
        missing = [None if cell is None or cell != cell else cell for cell in listed]
        known = all(isinstance(cell, str | Real | Decimal | np.bool_ | None) for cell in missing)
        return pa.chunked_array([pa.array([*map(text_of, missing)], pa.string())]) if known else None


def text_of(cell: Any) -> str | None:
    """A text, or a number among texts, whole ones without a point; None for a missing cell."""
    if cell is None:
        return None
    return str(int(cell)) if isinstance(cell, float | np.floating) and cell.is_integer() else str(cell)


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


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return str(error).strip().split("\n")[0]
