"""Tables as training, validation and test data: a column each of numbers, counts, yes and no, or categories."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from vae.data.columns import Encoded, Place, encode, joined, require_known
from vae.data.content import as_bytes, cut_by_content, row_digests, text_bytes
from vae.data.dataset import SPLITS
from vae.data.feeds import Feed, Splits, feed, with_context
from vae.data.moments import moments
from vae.data.sources.columns import read_columns
from vae.data.sources.texts import RawColumn, Texts, as_numbers, length_of
from vae.data.values import MISSING, require_one_of
from vae.spaces import DataSpace
from vae.spec import GIVEN, OBSERVED, Data


class Table(NamedTuple):
    """The rows of all splits, one after another.

    columns: by name, as the source has them.
    sizes:   rows by split, "train" first; only those that the source gives.
    """

    columns: dict[str, RawColumn]
    sizes: dict[str, int]

    def place(self, row: int) -> str:
        """Which row that is, in words; rows count from 1, without the header."""
        start = 0
        for split, size in self.sizes.items():
            if row < start + size:
                return f"row {row - start + 1}" + (f" of the {split} split" if len(self.sizes) > 1 else "")
            start += size
        raise IndexError(row)


def table_splits(
    source: Any,
    *,
    columns: Sequence[str] | None = None,
    context: Sequence[str] | str = (),
    labels: str | None = None,
    categorical: Sequence[str] | str = (),
    kinds: Mapping[str, str] | None = None,
    missing: str = "refuse",
    standardise: bool = True,
    validation_fraction: float = 0.1,
    delimiter: str = ",",
) -> Splits:
    """A table as an experiment takes it: one example a row, one entry of x a column, in the units of the file.

    source:      a `.csv` with a header, `.parquet` or `.npz` (an array a column), a dict of columns, a structured array, an
                 Arrow or pandas table, "module:function" that returns one; or {"train": source, "test": source, ...}.
    columns:     those that are modelled; all but the context and the labels, unless they are named.
    context:     those that are conditioned on: 0 and 1 as they are, categories one-hot, other numbers standardised.
    labels:      one that only figures see.
    categorical: numbers that are categories, and texts that would not be taken for any.
    kinds:       {"age": "count"} where a column is not what it shows: "real", "binary", "count", or "tokens" for categories.
                 Unless told, texts are categories, only 0 and 1 (true and false) binary, and all other numbers real.
    missing:     what an empty or NaN cell of a modelled column is: refused, or masked, where the context of every row becomes
                 {"observed": ..., "given": its context if there is one}.
    standardise: whether a model standardises the real columns inside, by `Data.scale`.
    delimiter:   of a `.csv`.

    Where the source has no splits, a tenth of the rows is the test set, `validation_fraction` of them the validation set. Which
    rows these are depends on all numbers and texts of a row (not on its dates, which no model sees) and on nothing else: rows
    in another order land in the same splits, and equal rows together. Means and standard deviations are those of the observed
    cells of the training rows. `Data.scale` is 1 for what is no real number, and `Data.mean` 0 for categories.

    >>> table = {"height": np.random.default_rng(0).normal(size=50), "smokes": np.arange(50) % 2}
    >>> vae.data.table_splits(table).train.spec.columns[1].space
    'binary'

    Raises a ValueError or a TypeError of one sentence, with the column and the row (from 1, below the header), for what does
    not fit: a column that is not there, texts among numbers, missing cells, infinite numbers, counts that are none, and so on.
    """
    require_one_of("missing", missing, MISSING)
    table = joined_table({split: read_columns(part, delimiter) for split, part in parts_of(source).items()})
    given = as_names(context)
    names = [name for name in table.columns if name not in (*given, labels)] if columns is None else as_names(columns)
    said = said_kinds(kinds or {}, as_names(categorical))
    require_columns(table, [*names, *given, *([] if labels is None else [labels]), *said])
    require_apart(names, given)

    def encoded(name: str, maskable: bool) -> Encoded:
        found = encode(name, table.columns[name], said.get(name), table.place)
        if not (maskable and missing == "mask"):
            require_complete(found, table.place, maskable)
        return found

    modelled, conditions = [encoded(name, True) for name in names], [encoded(name, False) for name in given]
    shown = None if labels is None else encoded(labels, False)
    rows = cut_by_content("the table", table.sizes, partial(table_digests, table), validation_fraction)
    for part in modelled + conditions:
        if len(table.sizes) > 1 and part.column.space == "tokens":
            require_known(part, table.sizes, table.place)
    arrays = {"x": np.stack([part.values for part in modelled], axis=1)}
    if missing == "mask":
        arrays[OBSERVED] = np.stack([part.observed for part in modelled], axis=1)
    if given:
        arrays[GIVEN] = np.concatenate([conditioned(part, rows["train"]) for part in conditions], axis=1)
    spec = spec_of(modelled, rows["train"], standardise)
    return Splits(**{split: feed_of(arrays, rows[split], spec, shown) for split in SPLITS})


def parts_of(source: Any) -> dict[str, Any]:
    """The sources of the splits, by split; "train" alone where the source is one table."""
    if isinstance(source, Mapping) and "train" in source and set(source) <= set(SPLITS):
        return {split: source[split] for split in SPLITS if split in source}
    return {"train": source}


def joined_table(parts: Mapping[str, Mapping[str, RawColumn]]) -> Table:
    """The splits as one table; refuses those that differ in their columns."""
    first = parts["train"]
    for split, part in parts.items():
        if set(part) != set(first):
            differing = ", ".join(sorted(set(part) ^ set(first)))
            raise ValueError(
                f"the {split} split and the train split differ in the columns {differing}: give both the same ones."
            )
    columns = {name: joined([part[name] for part in parts.values()], name) for name in first}
    return Table(columns, {split: length_of(next(iter(part.values()))) for split, part in parts.items()})


def as_names(names: Iterable[str] | str) -> list[str]:
    """Names of columns; a single one may stand alone."""
    return [names] if isinstance(names, str) else list(names)


def said_kinds(kinds: Mapping[str, str], categorical: list[str]) -> dict[str, str]:
    """The kinds that are said, by column; refuses one that is said to be categorical and of another kind too."""
    for name in categorical:
        if kinds.get(name, "tokens") != "tokens":
            raise ValueError(f"the column {name!r} is said to be categorical and {kinds[name]!r}: say one of both.")
    return {**kinds, **dict.fromkeys(categorical, "tokens")}


def require_columns(table: Table, names: Iterable[str]) -> None:
    """Refuse a column that the table does not have."""
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a column is named as {name!r}; wanted a text: give the name of the column.")
        if name not in table.columns:
            close = difflib.get_close_matches(name, table.columns, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(table.columns)}."
            raise ValueError(f"the table has no column {name!r}: {hint}")


def require_apart(names: list[str], given: list[str]) -> None:
    """Refuse a table without modelled columns, one that is named twice, one without a name and one that is its own context."""
    if not names:
        raise ValueError("no column is left to model: name fewer columns as context, or some in columns=.")
    for name in [*names, *given]:
        if not name:
            raise ValueError("a column has no name, as the index of a table has: name it, remove it, or choose by columns=.")
        if [*names, *given].count(name) > 1:
            raise ValueError(f"the column {name!r} is named twice: a column is modelled or conditioned on, once.")


def require_complete(part: Encoded, place: Place, maskable: bool) -> None:
    """Refuse a missing cell."""
    if not np.all(part.observed):
        hint = "say missing='mask', or remove the row" if maskable else "fill it, or remove the row"
        raise ValueError(f"the column {part.column.name!r} has no value in {place(int(np.argmin(part.observed)))}: {hint}.")


def table_digests(table: Table) -> np.ndarray:
    """A number for each training row by its numbers and texts, whatever the order of the columns.

    Texts that are numbers throughout count as these.
    """
    size = table.sizes["train"]

    def of(column: RawColumn) -> np.ndarray:
        if isinstance(column, Texts):
            return np.concatenate([text_bytes(column.texts), np.zeros((1, 16), np.uint8)])[column.codes[:size]]
        return as_bytes(column[:size])

    columns = [as_numbers(table.columns[name]) for name in sorted(table.columns)]
    return row_digests(*(of(column) for column in columns if isinstance(column, Texts) or column.dtype.kind in "iuf"))


def conditioned(part: Encoded, train: np.ndarray) -> np.ndarray:
    """(N, width) of a column that is conditioned on: one-hot, 0 and 1, or standardised by its training rows."""
    if part.column.space == "tokens":
        return np.eye(len(part.column.categories), dtype=np.float32)[part.values.astype(np.int64)]
    if part.column.space == "binary":
        return part.values[:, None]
    mean, std = moments(part.values[train])
    return ((part.values - mean) / std).astype(np.float32)[:, None]


def spec_of(modelled: Sequence[Encoded], train: np.ndarray, standardise: bool) -> Data:
    """What a model has to know of the table; its means and scales are those of the training rows."""
    real, classes = (np.array([part.column.space == space for part in modelled]) for space in ("real", "tokens"))
    for part in modelled:
        if not np.any(part.observed[train]):
            raise ValueError(f"the column {part.column.name!r} has no value in the training rows: leave it out.")
    x, observed = (np.stack([getattr(part, of)[train] for part in modelled], axis=1) for of in ("values", "observed"))
    mean, std = moments(x, observed)
    space: DataSpace = "real" if np.all(real) else "mixed"
    return Data(
        shape=(len(modelled),),
        space=space,
        mean=jnp.asarray(np.where(classes, 0, mean), jnp.float32),
        scale=jnp.asarray(np.where(real, std, 1), jnp.float32) if standardise and np.any(real) else None,
        columns=tuple(part.column for part in modelled),
    )


def feed_of(arrays: Mapping[str, np.ndarray], rows: np.ndarray, spec: Data, shown: Encoded | None) -> Feed:
    """The feed of one split."""
    stored = {name: array[rows] for name, array in arrays.items()}
    labels = None if shown is None else label_values(shown)[rows]
    names = () if shown is None else shown.column.categories
    return feed(stored, with_context, spec=spec, labels=labels, label_names=names)


def label_values(shown: Encoded) -> np.ndarray:
    """Whole numbers where they are, so that they count as classes."""
    whole = bool(np.all(shown.values == np.floor(shown.values)))
    return shown.values.astype(np.int32) if whole else shown.values
