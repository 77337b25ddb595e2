"""Tables from files and from memory, against the csv module and NumPy."""

import csv
import io

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from vae.data.sources.columns import MISSING, read_columns
from vae.data.sources.texts import Texts

TABLE = {
    "height": np.array([1.5, np.nan, -3.25, 1e-3]),
    "age": np.array([1, 2, 3, 2]),
    "smokes": np.array([True, False, True, True]),
    "town": np.array(["Ulm", "Bonn", "Ulm", "Köln"]),
}


def assert_same(found, want=TABLE):
    assert list(found) == list(want)
    for name in want:
        if isinstance(found[name], Texts):
            assert list(found[name].texts) == sorted(set(want[name]))
            assert [found[name].texts[code] for code in found[name].codes] == list(want[name])
        else:
            np.testing.assert_array_equal(found[name], np.asarray(want[name], np.float64))


def written_csv(path, columns, **options):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, **options)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return str(path)


def structured():
    rows = list(zip(*TABLE.values(), strict=True))
    return np.array(rows, [("height", "f4"), ("age", "i2"), ("smokes", "?"), ("town", "U9")])


class ByColumns:
    """What a pandas table of before the Arrow interface has."""

    columns = tuple(TABLE)

    def __getitem__(self, name):
        return TABLE[name].astype(object) if name == "town" else TABLE[name]


def by_function():
    return TABLE


def test_every_source_gives_the_same_columns(tmp_path):
    parquet.write_table(pa.table(TABLE), tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", **TABLE)
    shown = {**TABLE, "height": ["1.5", "", "-3.25", "1e-3"]}
    sources = [
        TABLE,
        pa.table({**TABLE, "town": pa.array(TABLE["town"]).dictionary_encode()}),
        ByColumns(),
        {name: values.tolist() for name, values in TABLE.items()},
        str(tmp_path / "a.parquet"),
        tmp_path / "a.npz",
        written_csv(tmp_path / "a.csv", shown),
        f"{__name__}:by_function",
    ]
    for source in sources:
        assert_same(read_columns(source))
    assert_same(read_columns(structured()), TABLE | {"height": np.float32(TABLE["height"])})
    assert_same(read_columns(written_csv(tmp_path / "b.csv", shown, delimiter=";"), delimiter=";"))


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00", exclude_categories=["Cs"]), max_size=5)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(CELLS, st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=8))
def test_a_csv_is_read_as_the_csv_module_writes_it(tmp_path_factory, rows):
    """Texts but for the spaces around them, and numbers to the last bit."""
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([["word", "number"], *([f"w{word}" if word.strip() else word, number] for word, number in rows)])
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    found = read_columns(str(path))
    np.testing.assert_array_equal(found["number"], [number for _, number in rows])
    words = [f"w{word}".strip() if word.strip() else None for word, _ in rows]
    if any(words):
        assert [None if code < 0 else found["word"].texts[code] for code in found["word"].codes] == words


def test_missing_cells_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.csv"
    cells = "".join(f"{word},{word}\n" for word in MISSING[1:])
    path.write_bytes(b"\xef\xbb\xbfa, b \n1,x\n" + cells.encode() + b'2,"NA"\n ,  \n')
    found = read_columns(path)
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], [1.0, *[np.nan] * (len(MISSING) - 1), 2.0, np.nan])
    assert found["b"].texts == ("NA", "x"), "what is quoted is a text"
    assert found["b"].codes.tolist() == [1, *[-1] * (len(MISSING) - 1), 0, -1]


def test_an_empty_line_is_a_missing_cell_only_where_there_is_one_column(tmp_path):
    (tmp_path / "one.csv").write_text("a\n1\n\n3\n")
    np.testing.assert_array_equal(read_columns(tmp_path / "one.csv")["a"], [1, np.nan, 3])
    (tmp_path / "two.csv").write_text("a,b\n1,2\n\n3,4\n")
    np.testing.assert_array_equal(read_columns(tmp_path / "two.csv")["a"], [1, 3])


def test_a_quote_within_a_word_and_a_file_without_a_last_line_break_are_read(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'a,b\r\n1,5"\r\n2,"say ""x, y"""')
    assert read_columns(tmp_path / "a.csv")["b"].texts == ('5"', 'say "x, y"')


def test_columns_of_other_kinds_of_arrays_and_masked_ones_are_numbers():
    numbers = np.array([1.5, -0.0, 3.0])
    masked = np.ma.masked_array([1, -999, 3], [False, True, False])
    found = read_columns(
        {"jax": jnp.asarray(numbers), "swapped": numbers.astype(">f8"), "long": numbers.astype(np.longdouble), "masked": masked}
        | {"words": np.ma.masked_array(["x", "junk", " y "], [False, True, False])}
    )
    for name in ("jax", "swapped", "long"):
        np.testing.assert_array_equal(found[name], numbers)
    np.testing.assert_array_equal(found["masked"], [1, np.nan, 3])
    assert (found["words"].texts, found["words"].codes.tolist()) == (("x", "y"), [0, -1, 1])
    assert read_columns({"a": ["x", 0.0, -0.0, 0]})["a"].texts == ("0", "x"), "one zero, and whole numbers without a point"


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 2**60])
def test_whole_numbers_that_float64_may_round_stay_what_they_are(number, tmp_path):
    (tmp_path / "a.csv").write_text(f"a\n1\n{number}\n")
    for source in (tmp_path / "a.csv", {"a": [1, number]}, {"a": np.array([1, number])}, pa.table({"a": [1, number]})):
        assert read_columns(source)["a"].tolist() == [1, number]
    assert read_columns({"a": [1, None, number]})["a"].tolist() == [1, None, number]
    assert read_columns({"a": [1.0, 1e37]})["a"].dtype == np.float64


def test_truths_are_numbers_and_other_words_are_not(tmp_path):
    (tmp_path / "a.csv").write_text("a,b,c\nTrue,yes,1_0\nfalse,no,2\n")
    found = read_columns(tmp_path / "a.csv")
    np.testing.assert_array_equal(found["a"], [1, 0])
    assert found["b"].texts == ("no", "yes")
    assert found["c"].texts == ("1_0", "2")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty: wanted a header"),
        ("a.csv", b"a,b\n", "is empty: wanted at least one column and one row"),
        ("a.csv", b"a,b\n1,2\n3\n", r"cannot be read as CSV \(.*Row #3: Expected 2 columns, got 1.*, the header is row 1"),
        ("a.csv", b"a,b, a\n1,2,3\n", "has two columns named 'a'"),
        ("a.csv", b"\na,b\n1,2\n", "a blank first line; wanted the names of its columns"),
        ("a.csv", b'"a,b\n1,2\n', "a line break within a name in its header; wanted the names"),
        ("a.csv", b'a,b\n0,x\n1,"x\n' + 99 * b"2,y\n", "a line break within the column 'b' in row 2: close the quote"),
        ("a.csv", b'a,b\n1,"x\n2,y\n3,"z"\n4,k\n', "a line break within the column 'b' in row 1: close the quote"),
        ("a.csv", b'a,b\n1,x\n2,"x\n' + 300_000 * b"2,y\n", "a line break within the column 'b' in row 2: close the quote"),
        ("a.csv", b'a,b\n1,x\n2,"y', "a line break within the column 'b' in row 2: close the quote"),
        ("a.csv", b'a,b\n1,x\n2,"y\n', "a line break within the column 'b' in row 2: close the quote"),
        ("a.csv", b"a;b\n1;2\n", "has the one column 'a;b': give delimiter=';'"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\xff\xfe\n", "cannot be read as CSV .* wanted text in UTF-8"),
        ("a.csv", b"a,b\n" + 9000 * b"1,2\n" + b"1,\xff\xfe\n", "cannot be read as CSV .*invalid UTF8"),
        ("a.parquet", b"a,b\n1,2\n", "cannot be read as parquet"),
        ("a.npz", b"a,b\n1,2\n", "cannot be read as .npz"),
        ("a.xlsx", b"a,b\n1,2\n", "'.*a.xlsx' is not a file that can be read as a table, wanted a .csv, .parquet or .npz"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_a_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_columns(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*missing.csv'"):
        read_columns(str(tmp_path / "missing.csv"))
    with pytest.raises(TypeError, match=r"the table is a ndarray; wanted .* an array is for vae.data.array_splits"):
        read_columns(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="the column 'b' has 2 rows but 'a' has 3"):
        read_columns({"a": [1, 2, 3], "b": [1, 2]})
    with pytest.raises(ValueError, match=r"the column 'b' has shape \(2, 2\)"):
        read_columns({"a": [1, 2], "b": np.zeros((2, 2))})
    for column, message in [
        ([[1], [2, 3]], "'b' holds lists of different lengths, wanted one value"),
        (np.zeros((2, 1)), r"'b' has shape \(2, 1\), wanted one value"),
    ]:
        with pytest.raises(ValueError, match=message):
            read_columns({"a": [1, 2], "b": column})
    with pytest.raises(TypeError, match="the table has a column named 0, which is no text"):
        read_columns({0: [1, 2], "0": [1, 2]})
    with pytest.raises(ValueError, match="two columns named 'a'"):
        read_columns(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]))
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(ValueError, match="is not a file that can be read as a table"):
        read_columns(str(tmp_path / "a.npy"))
