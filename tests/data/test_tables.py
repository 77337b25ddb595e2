"""What a table becomes: kinds, codes, units, masks, contexts, splits; and what it says of a table that does not fit."""

import itertools

import jax
import numpy as np
import pytest
from unchecked import unchecked

import vae
from vae.data import table_splits
from vae.spec import Column
from vae.training.identity import feed_digest

RNG = np.random.default_rng(0)
ROWS = 200
TABLE = {
    "height": RNG.normal(170, 10, ROWS),
    "smokes": RNG.integers(0, 2, ROWS),
    "visits": RNG.poisson(3, ROWS),
    "town": RNG.choice(["Bonn", "Ulm", "Trier"], ROWS),
    "income": RNG.normal(3, 1, ROWS),
}
KINDS = {"visits": "count"}


def changed(name, row, value):
    """The table with one cell replaced."""
    column = np.array(TABLE[name], dtype=object if isinstance(value, str) else np.float64)
    column[row] = value
    return {**TABLE, name: column}


def shown(feed):
    x, context = jax.jit(feed.prepare)(jax.random.key(0), feed.arrays)
    return np.asarray(x), jax.tree.map(np.asarray, context)


def rows_of(splits, name="height"):
    """Rows of the table by split, found by a column of distinct numbers."""
    place = [column.name for column in splits.train.spec.columns].index(name)
    column = np.float32(TABLE[name])
    return {
        split: [int(np.flatnonzero(column == v)[0]) for v in shown(getattr(splits, split))[0][:, place]] for split in SPLITS
    }


SPLITS = ("train", "validation", "test")


def test_the_kinds_of_columns_are_found_and_can_be_said():
    spec = table_splits(TABLE, kinds=KINDS).train.spec
    assert spec.columns == (
        Column("height", "real"),
        Column("smokes", "binary"),
        Column("visits", "count"),
        Column("town", "tokens", ("Bonn", "Trier", "Ulm")),
        Column("income", "real"),
    )
    assert (spec.shape, spec.space, spec.context) == ((5,), "mixed", ())
    assert table_splits(TABLE).train.spec.columns[2].space == "real", "whole numbers are real unless it is said"
    visits = table_splits(TABLE, columns=["visits"], categorical="visits").train.spec.columns[0]
    assert visits.categories == tuple(str(number) for number in np.unique(TABLE["visits"]))
    assert table_splits(TABLE, columns=["height", "income"]).train.spec.space == "real"
    halves = {"half": np.arange(ROWS) % 4 / 2 - 1, "height": TABLE["height"]}
    assert table_splits(halves, categorical="half").train.spec.columns[0].categories == ("-1", "-0.5", "0", "0.5")


def test_x_holds_the_columns_in_their_own_units_and_categories_as_codes():
    splits = table_splits(TABLE, kinds=KINDS)
    rows = rows_of(splits)
    assert sorted(itertools.chain(*rows.values())) == list(range(ROWS))
    codes = np.searchsorted(["Bonn", "Trier", "Ulm"], TABLE["town"])
    want = np.stack([TABLE["height"], TABLE["smokes"], TABLE["visits"], codes, TABLE["income"]], axis=1).astype(np.float32)
    for split in SPLITS:
        x, context = shown(getattr(splits, split))
        np.testing.assert_array_equal(x, want[rows[split]])
        assert x.dtype == np.float32
        assert context == ()
    assert [len(rows[split]) for split in SPLITS] == [160, 20, 20]
    assert table_splits(TABLE, validation_fraction=0.3).validation.size == 60


def test_the_order_of_rows_and_columns_moves_nothing():
    order = np.random.default_rng(1).permutation(ROWS)
    splits = table_splits(TABLE)
    moved = table_splits({name: TABLE[name][order] for name in reversed(TABLE)})
    fewer = table_splits(TABLE, columns=["height"], context=["town"], labels="smokes")
    for split in SPLITS:
        want = sorted(shown(getattr(splits, split))[0][:, 0])
        assert sorted(shown(getattr(moved, split))[0][:, 4]) == want
        assert sorted(shown(getattr(fewer, split))[0][:, 0]) == want


def test_standardisation_knows_the_training_rows_only():
    splits = table_splits(TABLE, kinds=KINDS)
    x = shown(splits.train)[0].astype(np.float64)
    want = np.where(np.arange(5) == 3, 0, x.mean(axis=0))
    np.testing.assert_allclose(splits.train.spec.mean, want, rtol=1e-6)
    np.testing.assert_allclose(splits.train.spec.scale, [x[:, 0].std(), 1, 1, 1, x[:, 4].std()], rtol=1e-6)
    given = {split: {"height": np.linspace(0, 1, 9) + 100 * i} for i, split in enumerate(SPLITS)}
    spec = table_splits(given).test.spec
    np.testing.assert_allclose([spec.mean[0], spec.scale[0]], [0.5, np.linspace(0, 1, 9).std()], rtol=1e-6)
    assert table_splits(TABLE, standardise=False).train.spec.scale is None
    assert table_splits(TABLE, columns=["town", "smokes"]).train.spec.scale is None
    assert table_splits({**TABLE, "one": np.full(ROWS, 7.1)}).train.spec.scale[-1] == 1, "a constant is not divided by zero"


def test_missing_cells_are_masked_and_do_not_enter_the_mean():
    broken = changed("height", 5, np.nan) | {"town": changed("town", 7, "")["town"]}
    splits = table_splits(broken, missing="mask", context="income")
    x, context = shown(splits.train)
    assert set(context) == {"observed", "given"}
    assert splits.train.spec.context["observed"] == jax.ShapeDtypeStruct((4,), bool)
    assert np.all(x[~context["observed"]] == 0)
    seen = [shown(getattr(splits, split))[1]["observed"] for split in SPLITS]
    assert np.sum(~np.concatenate(seen), axis=0).tolist() == [1, 0, 0, 1]
    height = x[context["observed"][:, 0], 0].astype(np.float64)
    np.testing.assert_allclose(
        [splits.train.spec.mean[0], splits.train.spec.scale[0]], [height.mean(), height.std()], rtol=1e-6
    )
    assert set(shown(table_splits(TABLE, missing="mask").train)[1]) == {"observed"}, "the structure is that of the question"


def test_what_is_conditioned_on_is_one_hot_as_it_is_or_standardised():
    splits = table_splits(TABLE, columns=["height"], context=["town", "smokes", "income"])
    rows = rows_of(splits)
    income = TABLE["income"].astype(np.float32).astype(np.float64)
    train = income[rows["train"]]
    for split in SPLITS:
        context = shown(getattr(splits, split))[1]
        mine = rows[split]
        np.testing.assert_array_equal(context[:, :3], TABLE["town"][mine][:, None] == np.array([["Bonn", "Trier", "Ulm"]]))
        np.testing.assert_array_equal(context[:, 3], TABLE["smokes"][mine])
        np.testing.assert_allclose(context[:, 4], (income[mine] - train.mean()) / train.std(), rtol=1e-5, atol=1e-6)


def test_labels_are_for_the_eye():
    splits = table_splits(TABLE, labels="town")
    assert [column.name for column in splits.train.spec.columns] == ["height", "smokes", "visits", "income"]
    rows = rows_of(splits)
    names = np.array(splits.test.label_names)[splits.test.labels]
    np.testing.assert_array_equal(names, TABLE["town"][rows["test"]])
    assert table_splits(TABLE, labels="visits").train.labels.dtype == np.int32
    assert table_splits(TABLE, labels="income").train.labels.dtype == np.float32


def test_splits_of_the_source_are_kept():
    parts = {"train": slice(0, 150), "test": slice(150, 200)}
    given = {split: {name: values[part] for name, values in TABLE.items()} for split, part in parts.items()}
    splits = table_splits(given)
    np.testing.assert_array_equal(shown(splits.test)[0][:, 0], np.float32(TABLE["height"][150:]))
    assert (splits.train.size, splits.validation.size) == (135, 15)


def test_the_digest_of_a_feed_has_masks_and_contexts_in_it():
    digests = {
        feed_digest(table_splits(table, columns=["height", "income"], missing=missing, context=context).train)
        for table, missing, context in [
            (TABLE, "refuse", ()),
            (TABLE, "mask", ()),
            (TABLE, "refuse", "smokes"),
            ({**TABLE, "smokes": 1 - TABLE["smokes"]}, "refuse", "smokes"),
        ]
    }
    assert len(digests) == 4


def test_a_file_and_what_it_holds_give_the_same_feeds(tmp_path):
    np.savez(tmp_path / "a.npz", **TABLE)
    reference = vae.reference_to(table_splits, source=str(tmp_path / "a.npz"), kinds=KINDS, context=["town"])
    found, want = vae.resolve(reference), table_splits(TABLE, kinds=KINDS, context=("town",))
    for split in SPLITS:
        assert feed_digest(getattr(found, split)) == feed_digest(getattr(want, split))


# What does not fit


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        (TABLE, {"columns": ["hieght"]}, "no column 'hieght': did you mean 'height'"),
        (TABLE, {"context": ["age"]}, "no column 'age': it has height, smokes"),
        (TABLE, {"kinds": {"heigth": "real"}}, "no column 'heigth'"),
        (TABLE, {"kinds": {"height": "uint8"}}, "the kind of the column 'height' is 'uint8'; wanted one of real, binary"),
        (TABLE, {"columns": ["height"], "context": ["height"]}, "'height' is named twice"),
        (TABLE, {"context": list(TABLE)}, "no column is left to model"),
        (TABLE, {"missing": "drop"}, "missing is 'drop'; wanted one of refuse, mask"),
        (TABLE, {"kinds": {"town": "real"}}, "'town' holds the text '.*' in row 1, wanted numbers"),
        (TABLE, {"kinds": {"height": "count"}}, r"'height' holds 171.25\d+ in row 1; wanted whole numbers from 0 on"),
        (TABLE, {"kinds": {"visits": "binary"}}, "'visits' holds . in row .*; wanted 0 or 1"),
        (changed("visits", 4, -1), {"kinds": KINDS}, "'visits' holds -1 in row 5; wanted whole numbers from 0 on"),
        (changed("visits", 4, 2**24 + 1), {}, "'visits' holds 16777217 in row 5; wanted whole numbers up to 16777216"),
        (changed("height", 4, np.inf), {}, "'height' holds inf in row 5; wanted finite numbers"),
        (changed("height", 4, 1e39), {}, r"'height' holds .*e\+38 in row 5; wanted finite numbers"),
        ({**TABLE, "time": 1e9 + TABLE["income"]}, {}, r"'time' varies by .* about 100000000\d.*: subtract a constant"),
        (changed("height", 9, np.nan), {}, "'height' has no value in row 10: say missing='mask'"),
        (changed("town", 9, ""), {}, "'town' has no value in row 10"),
        (changed("town", 9, ""), {"missing": "mask", "context": "town"}, "'town' has no value in row 10: fill it"),
        (changed("height", 6, "tall"), {}, "'height' holds the text 'tall' in row 7, but numbers elsewhere"),
        ({**TABLE, "no": np.full(ROWS, np.nan)}, {"missing": "mask"}, "'no' holds no value at all"),
        ({**TABLE, "id": [f"x{i}" for i in range(ROWS)]}, {}, "'id' holds 200 different texts in 200 rows: leave it out"),
        (TABLE, {"columns": []}, "no column is left to model"),
        (TABLE, {"context": ["smokes", "smokes"]}, "'smokes' is named twice"),
        (TABLE, {"categorical": "visits", "kinds": KINDS}, "'visits' is said to be categorical and 'count': say one of both"),
        ({**TABLE, "n": 2**53 + np.arange(ROWS)}, {}, "'n' holds 9007199254740992 in row 1; wanted whole numbers up to"),
        ({**TABLE, "n": [2**53, None] * 100}, {"missing": "mask"}, "'n' holds object values, wanted numbers or texts"),
        ({**TABLE, "n": [2**70 + i for i in range(ROWS)]}, {}, "'n' holds object values, wanted numbers or texts"),
        ({**TABLE, "c": TABLE["income"] * 1j}, {}, "'c' holds complex128 values, wanted numbers or texts"),
        ({**TABLE, "o": ["x", object()] * 100}, {}, "'o' holds object values, wanted numbers or texts"),
        ({**TABLE, "m": np.ma.masked_less(TABLE["income"], 3)}, {}, "'m' has no value in row .*: say missing='mask'"),
        ({**TABLE, "": np.arange(ROWS)}, {}, "a column has no name, as the index"),
        ({**TABLE, "day": np.full(ROWS, "2020-01-01", "M8[D]")}, {}, r"'day' holds datetime64\[D\] values, wanted numbers"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_column_and_row(table, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        table_splits(table, **arguments)
    assert str(caught.value)[-1] in ".?"


@pytest.mark.parametrize("arguments", [{"columns": [0]}, {"context": [0]}, {"labels": 0}, {"kinds": {0: "real"}}])
def test_a_column_is_named_by_a_text(arguments):
    with unchecked(), pytest.raises(TypeError, match="a column is named as 0; wanted a text"):
        table_splits(TABLE, **arguments)


def test_what_does_not_fit_a_split_is_refused_with_its_row_there():
    train = {"town": ["Ulm", "Bonn"] * 5, "age": np.arange(10.0)}
    with pytest.raises(ValueError, match="'town' holds 'Trier' in row 2 of the test split, which no training row has"):
        table_splits({"train": train, "test": {"town": ["Ulm", "Trier"], "age": [1.0, 2.0]}})
    with pytest.raises(ValueError, match="'age' has no value in row 2 of the test split"):
        table_splits({"train": train, "test": {"town": ["Ulm", "Ulm"], "age": [1.0, np.nan]}})
    with pytest.raises(ValueError, match="the test split and the train split differ in the columns age"):
        table_splits({"train": train, "test": {"town": ["Ulm", "Bonn"]}})
    with pytest.raises(ValueError, match="'age' holds texts in one split and numbers in another"):
        table_splits({"train": train, "test": {"town": ["Ulm"], "age": ["old"]}})


def test_a_category_may_be_rare_in_the_training_source_but_not_absent():
    """Wherever the cut puts the one row that has it."""
    for i in range(12):
        town = np.where(np.arange(40) == i, "Trier", "Ulm")
        train = {"town": town, "age": np.arange(40.0)}
        spec = table_splits({"train": train, "test": {"town": ["Ulm"], "age": [1.0]}}).train.spec
        assert spec.columns[0].categories == ("Trier", "Ulm")


def test_dates_and_the_type_of_a_column_move_no_row():
    def heights(**more):
        return np.asarray(table_splits({**TABLE, **more}, columns=["height"]).test.arrays["x"])[:, 0]

    days = np.datetime64("2020-01-01") + np.arange(ROWS)
    for unit in "DsmM":
        np.testing.assert_array_equal(heights(day=days.astype(f"M8[{'ns' if unit == 'm' else unit}]")), heights())
    numbers = np.arange(ROWS) / 4
    np.testing.assert_array_equal(heights(n=[str(number) for number in numbers]), heights(n=numbers))
    assert sorted(heights(n=numbers)) != sorted(heights())


def test_real_numbers_near_the_largest_are_real_numbers():
    splits = table_splits({"mass": TABLE["income"] * 1e37, "height": TABLE["height"]})
    assert np.all(np.isfinite(splits.train.spec.scale))
    wide = table_splits({"n": [2**53 + 1, 2**53 + 3] * 30, "height": TABLE["height"][:60]}, categorical="n")
    assert wide.train.spec.columns[0].categories == ("9007199254740993", "9007199254740995")


def test_a_named_kind_overrules_what_a_column_shows():
    table = {**TABLE, "id": [f"x{i}" for i in range(ROWS)], "grade": ["1", "2+"] * (ROWS // 2)}
    spec = table_splits(table, categorical=["id", "grade"]).train.spec
    assert len(spec.columns[-2].categories) == ROWS
    assert spec.columns[-1].categories == ("1", "2+")
    assert (
        table_splits({**TABLE, "grade": ["1", "2"] * (ROWS // 2)}, kinds={"grade": "real"}).train.spec.columns[-1].space
        == "real"
    )
