"""Odd tables: what is refused says rule, value and cure; what is handled is said by name."""

import gzip
import io
import sys

import numpy as np
import pandas as pd
import pytest

from autometa.errors import InputError, SchemaError
from autometa.tables.leaks import find_leaks
from autometa.tables.reading import read_table
from autometa.tables.schema import Schema
from autometa.tables.side_columns import check_side_columns, sample_weights
from autometa.tables.splits import make_folds
from autometa.tables.table import Table
from autometa.tables.target import TargetCodec, choose_target, infer_task

ROWS = 60
RNG = np.random.default_rng(0)


def good(**columns):
    frame = pd.DataFrame({"x": RNG.normal(size=ROWS), "kind": RNG.choice(["a", "b"], ROWS)})
    for name, values in columns.items():
        frame[name] = values
    if "y" not in columns:
        frame["y"] = np.arange(ROWS) % 2
    return frame


def save(folder, content, name="table.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def target_of(frame, target="y", task="auto"):
    name, _ = choose_target(frame, target)
    return TargetCodec.fit(frame[name], infer_task(frame[name], task))


def table_of(frame):
    """The table and every finding on the way to it."""
    codec, known, found = target_of(frame)
    frame = frame[known]
    schema, more = Schema.fit(frame, exclude={"y"})
    features, again = schema.encode(frame)
    table = Table(features, codec.encode(frame["y"]), codec.classes)
    return table, [*found, *more, *again, *find_leaks(table)]


def named(findings, code):
    (finding,) = [f for f in findings if f.code == code]
    return finding


# Refused: the file


def test_refused_a_file_that_is_not_there(tmp_path):
    save(tmp_path, "", "iris.csv")
    with pytest.raises(InputError, match=r"no file .*iris2\.csv': of the tables in that folder, the nearest are 'iris"):
        read_table(tmp_path / "iris2.csv")


def test_refused_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"the folder .* does not exist either"):
        read_table(tmp_path / "nowhere" / "t.csv")


def test_refused_a_folder(tmp_path):
    with pytest.raises(InputError, match="is a folder: name a file in it"):
        read_table(tmp_path)


def test_refused_an_empty_file(tmp_path):
    with pytest.raises(InputError, match=r"table\.csv is empty"):
        read_table(save(tmp_path, ""))


def test_refused_an_empty_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(InputError, match="standard input is empty"):
        read_table("-")


def test_refused_an_empty_file_that_is_compressed(tmp_path):
    with pytest.raises(InputError, match="is empty"):
        read_table(save(tmp_path, gzip.compress(b""), "t.csv.gz"))


def test_refused_blank_lines(tmp_path):
    with pytest.raises(InputError, match="only blank lines"):
        read_table(save(tmp_path, "\n\n  \n"))


@pytest.mark.parametrize("memory", [None, 2**30])
def test_refused_only_a_header(tmp_path, memory):
    with pytest.raises(InputError, match="holds only a header: add rows"):
        read_table(save(tmp_path, "a,b,c\n"), memory_bytes=memory)


def test_refused_binary_noise(tmp_path):
    with pytest.raises(InputError, match="holds binary data"):
        read_table(save(tmp_path, RNG.bytes(5000)))


def test_refused_a_workbook_named_csv(tmp_path):
    with pytest.raises(InputError, match="holds binary data"):
        read_table(save(tmp_path, b"PK\x03\x04" + bytes(30) + RNG.bytes(500)))


def test_refused_an_unknown_ending(tmp_path):
    with pytest.raises(InputError, match=r"ending in \.csv, .* got 'table\.xlsx': save it as CSV"):
        read_table(save(tmp_path, "a,b\n1,2\n", "table.xlsx"))


def test_refused_text_named_gzip(tmp_path):
    with pytest.raises(InputError, match=r"drop the ending \.gz"):
        read_table(save(tmp_path, "a,b\n1,2\n", "t.csv.gz"))


@pytest.mark.parametrize("memory", [None, 2**20])
def test_refused_gzip_that_was_cut_off(tmp_path, memory):
    data = gzip.compress(good().to_csv(index=False).encode())
    with pytest.raises(InputError, match="is damaged"):
        read_table(save(tmp_path, data[: len(data) // 2], "t.csv.gz"), memory_bytes=memory)


def test_refused_gzip_with_a_wrong_byte(tmp_path):
    data = bytearray(gzip.compress(good().to_csv(index=False).encode()))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(InputError, match=r"is damaged|binary data|as many fields"):
        read_table(save(tmp_path, bytes(data), "t.csv.gz"))


def test_refused_text_named_parquet(tmp_path):
    with pytest.raises(InputError, match="starts with the bytes PAR1"):
        read_table(save(tmp_path, "a,b\n1,2\n", "t.parquet"))


def test_refused_parquet_that_was_cut_off(tmp_path):
    good().to_parquet(tmp_path / "whole.parquet")
    data = (tmp_path / "whole.parquet").read_bytes()
    with pytest.raises(InputError, match=r"must be whole; .* cannot be read"):
        read_table(save(tmp_path, data[:-100], "t.parquet"))


def test_refused_names_that_repeat(tmp_path):
    with pytest.raises(InputError, match="repeats 'a': rename them"):
        read_table(save(tmp_path, "a,b,a\n1,2,3\n"))


def test_refused_names_that_repeat_in_a_data_frame():
    with pytest.raises(InputError, match="the data frame repeats '1'"):
        read_table(pd.DataFrame(np.ones((20, 2)), columns=[1, "1"]))


def test_refused_a_header_that_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"repeats '1\.5': is the header missing\?"):
        read_table(save(tmp_path, "1.5,1.5,0\n2.5,3.5,1\n"))


@pytest.mark.parametrize("row", ["1,2", "1,2,3,4"])
@pytest.mark.parametrize("memory", [None, 50_000])
def test_refused_rows_of_another_length(tmp_path, row, memory):
    text = "a,b,c\n" + "1,2,3\n" * 3000 + row + "\n" + "1,2,3\n" * 3000
    with pytest.raises(InputError, match=rf"header \(3\); .* has {len(row.split(','))} in the row '{row}"):
        read_table(save(tmp_path, text), memory_bytes=memory)


def test_refused_a_quote_that_is_never_closed(tmp_path):
    text = "a,b\n" + "1,2\n" * 20 + '1,"2\n' + "1,2\n" * 20
    with pytest.raises(InputError, match="every quote must be closed"):
        read_table(save(tmp_path, text))


def test_refused_a_quote_that_swallows_a_large_file(tmp_path):
    text = "a,b\n" + "1,2\n" * 20 + '1,"2\n' + "1,2\n" * 5_000_000
    with pytest.raises(InputError, match="quote"):
        read_table(save(tmp_path, text))


def test_refused_a_table_of_which_no_sample_fits(tmp_path):
    frame = pd.DataFrame(RNG.normal(size=(2000, 50)))
    with pytest.raises(InputError, match=r"at least 1000 rows must fit into a quarter of the memory.*grant more"):
        read_table(frame, memory_bytes=1_000_000)
    with pytest.raises(InputError, match="grant more memory, or drop columns"):
        read_table(save(tmp_path, frame.to_csv(index=False)), memory_bytes=1_000_000)


def test_refused_a_data_frame_without_rows():
    with pytest.raises(InputError, match=r"the data frame is \(0, 2\)"):
        read_table(pd.DataFrame(columns=["a", "b"]))


# Refused: the target


def test_refused_one_column(tmp_path):
    frame = read_table(save(tmp_path, "a\n" + "1\n" * 20)).frame
    with pytest.raises(InputError, match="single column 'a': check the delimiter"):
        choose_target(frame, None)


def test_refused_a_target_that_is_not_there():
    with pytest.raises(InputError, match="there is no 'Kidn': the nearest are 'kind'"):
        choose_target(good(), "Kidn")


def test_refused_too_few_rows():
    with pytest.raises(InputError, match="at least 10 rows must have a target; 'y' has 9"):
        target_of(good().head(9))


@pytest.mark.parametrize("missing", [None, np.nan, "", "NA", pd.NaT])
def test_refused_only_missing_targets(missing):
    with pytest.raises(InputError, match=r"'y' is missing in all of them|holds dates"):
        target_of(good(y=missing))


def test_refused_a_single_class():
    with pytest.raises(InputError, match="at least two different values; 'y' has one"):
        target_of(good(y="yes"))


def test_refused_a_constant_number():
    with pytest.raises(InputError, match="at least two different values; 'y' has one"):
        target_of(good(y=3.5), task="regression")


def test_refused_classification_of_a_measurement():
    with pytest.raises(InputError, match="60 distinct values in 60 rows: ask for regression"):
        target_of(good(y=RNG.normal(size=ROWS)), task="classification")


def test_refused_a_target_that_names_the_rows():
    with pytest.raises(InputError, match="a class must have several rows"):
        target_of(good(y=[f"row {i}" for i in range(ROWS)]))


def test_refused_regression_of_words():
    with pytest.raises(InputError, match=r"must hold numbers; 'y' holds .*'high', 'low'"):
        target_of(good(y=["high", "low"] * 30), task="regression")


def test_refused_a_target_of_dates():
    with pytest.raises(InputError, match="holds dates: turn them into numbers"):
        target_of(good(y=pd.date_range("2020-01-01", periods=ROWS)))


def test_refused_a_target_of_lists():
    with pytest.raises(InputError, match="holds lists, structures or bytes"):
        target_of(good(y=[[1, 2]] * ROWS))


# Refused: the inputs


def test_refused_inputs_that_only_name_the_rows():
    frame = pd.DataFrame({"id": np.arange(ROWS), "same": 1, "y": np.arange(ROWS) % 2})
    with pytest.raises(InputError, match="at least one column must tell the rows apart beyond naming them"):
        table_of(frame)


def test_refused_new_rows_without_a_needed_column():
    schema, _ = Schema.fit(good(), exclude={"y"})
    with pytest.raises(SchemaError, match=r"'kind' is missing \(for 'kind' the nearest are 'kinds'\)"):
        schema.encode(good().rename(columns={"kind": "kinds"}))


@pytest.mark.parametrize("part", ["weight", "group", "time"])
def test_refused_a_column_with_a_part_that_is_not_there(part):
    with pytest.raises(InputError, match=f"--{part}.* must name a column of the table; there is no 'knd'"):
        check_side_columns(good(), target="y", **{part: "knd"})


def test_refused_a_column_with_two_parts():
    with pytest.raises(InputError, match="--target and --group must name different columns; both name 'y'"):
        check_side_columns(good(), target="y", group="y")
    with pytest.raises(InputError, match="--weight and --time-column must name different columns"):
        check_side_columns(good(), target="y", weight="x", time="x")


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, "heavy"])
def test_refused_weights_that_are_none(bad):
    weights = pd.Series([1.0, bad, *[1.0] * 20], name="w", dtype=object)
    with pytest.raises(InputError, match=r"'w' has 1 others, such as .* in row 2: fill or drop them"):
        sample_weights(weights)


def test_refused_weights_that_are_all_zero():
    with pytest.raises(InputError, match="must not all be zero"):
        sample_weights(pd.Series(np.zeros(20), name="w"))


def test_refused_one_group():
    table, _ = table_of(good())
    with pytest.raises(InputError, match="at least two groups; 'g' has 1"):
        make_folds(table, k=3, groups=pd.Series(["a"] * ROWS, name="g"))


def test_refused_a_time_that_is_none():
    table, _ = table_of(good())
    with pytest.raises(InputError, match="must hold dates or numbers; 'when' holds soon, soon, soon"):
        make_folds(table, k=3, times=pd.Series(["soon", "soon", "soon", "later"] * 15, name="when"))


@pytest.mark.parametrize(
    "times", [[*range(ROWS - 1), None], [*map(str, pd.date_range("2020-01-01", periods=ROWS - 1)), "soon"]]
)
def test_refused_a_row_without_a_time(times):
    table, _ = table_of(good())
    with pytest.raises(InputError, match="'when' 1 of 60 are missing or unreadable"):
        make_folds(table, k=3, times=pd.Series(times, name="when"))


def test_refused_one_time():
    table, _ = table_of(good())
    with pytest.raises(InputError, match="at least two times"):
        make_folds(table, k=3, times=np.ones(ROWS))


def test_refused_an_embargo_that_leaves_nothing():
    table, _ = table_of(good())
    with pytest.raises(InputError, match="from 0 to 14 rows here, as the first block has 15; got 15"):
        make_folds(table, k=3, times=np.arange(ROWS), embargo=15)


# Handled: the file


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_handled_another_delimiter(tmp_path, delimiter):
    raw = read_table(save(tmp_path, good().to_csv(index=False, sep=delimiter)))
    assert raw.frame.shape == (ROWS, 3)
    assert "delimiter" in {f.code for f in raw.warnings}


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_handled_another_encoding(tmp_path, encoding):
    raw = read_table(save(tmp_path, good(kind=["Zoë", "Bob"] * 30).to_csv(index=False).encode(encoding)))
    assert set(raw.frame["kind"].astype(str)) == {"Zoë", "Bob"}
    assert encoding in named(raw.warnings, "encoding").message


def test_handled_a_byte_order_mark(tmp_path):
    raw = read_table(save(tmp_path, b"\xef\xbb\xbf" + good().to_csv(index=False).encode()))
    assert list(raw.frame.columns) == ["x", "kind", "y"]


def test_handled_quoted_newlines(tmp_path):
    raw = read_table(save(tmp_path, good(kind=["one\ntwo", 'say "x", y'] * 30).to_csv(index=False)))
    assert set(raw.frame["kind"].astype(str)) == {"one\ntwo", 'say "x", y'}


def test_handled_decimal_commas(tmp_path):
    frame = good()
    raw = read_table(save(tmp_path, frame.to_csv(index=False, sep=";", decimal=",")))
    assert np.allclose(raw.frame["x"], frame["x"])
    assert "decimal-comma" in {f.code for f in raw.warnings}


def test_handled_names_that_are_numbers(tmp_path):
    raw = read_table(save(tmp_path, "1.5,2.5\n" + "1,2\n" * 20))
    assert "add one" in named(raw.warnings, "numeric-header").message


def test_handled_a_table_larger_than_memory(tmp_path):
    frame = pd.DataFrame(RNG.normal(size=(20_000, 4)), columns=list("abcd"))
    raw = read_table(save(tmp_path, frame.to_csv(index=False)), memory_bytes=1_000_000)
    assert raw.sampled
    assert 5000 < len(raw.frame) < 9000
    assert "of the 20,000 rows" in named(raw.warnings, "sampled").message


# Handled: the columns


def test_handled_dates_in_several_formats():
    days = pd.date_range("2020-01-01", periods=ROWS)
    mixed = [*days[:40].strftime("%Y-%m-%d"), *days[40:].strftime("%d.%m.%Y")]
    table, findings = table_of(good(when=mixed))
    assert named(findings, "mixed-dates").columns == ("when",)
    column = table.features.numbers[:, table.features.number_names.index("when.days")]
    assert (np.diff(column) == 1).all()


def test_handled_dates_whose_days_and_months_could_be_swapped():
    days = pd.date_range("2020-01-01", periods=12).strftime("%m/%d/%Y").tolist() * 5
    _, findings = table_of(good(when=days))
    assert named(findings, "ambiguous-dates").columns == ("when",)


def test_handled_free_text():
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "one", "more", "dog"]
    _, findings = table_of(good(note=[" ".join(RNG.permutation(words)) for _ in range(ROWS)]))
    assert named(findings, "text").columns == ("note",)


def test_handled_ids_and_constants():
    _, findings = table_of(good(customer_id=np.arange(ROWS), same="a", empty=None))
    assert named(findings, "dropped-id").columns == ("customer_id",)
    assert named(findings, "dropped-constant").columns == ("same",)
    assert named(findings, "dropped-empty").columns == ("empty",)


def test_handled_infinite_values():
    table, findings = table_of(good(ratio=[1.0, np.inf, -np.inf, 2.0] * 15))
    assert named(findings, "infinite").columns == ("ratio",)
    assert not np.isinf(table.features.numbers).any()


@pytest.mark.parametrize("start", [2**60, 10**25])
def test_handled_huge_integers(tmp_path, start):
    frame = good(code=[start + i * start // 7 for i in range(ROWS)])
    _, findings = table_of(read_table(save(tmp_path, frame.to_csv(index=False))).frame)
    assert named(findings, "huge-integers").columns == ("code",)


def test_handled_mixed_types():
    _, findings = table_of(good(age=[*range(50), *["unknown"] * 10]))
    assert named(findings, "mixed-types").columns == ("age",)
    table, _ = table_of(good(thing=[1, "a", True, 2.5, "b", None] * 10))
    assert table.features.category_names == ("kind", "thing")


def test_handled_numbers_with_signs_of_money_and_thousands(tmp_path):
    frame = good(price=[f"${1000 + 13 * i:,.2f}" for i in range(ROWS)], share=[f"{i}%" for i in range(ROWS)])
    table, _ = table_of(read_table(save(tmp_path, frame.to_csv(index=False))).frame)
    assert table.features.number_names == ("x", "price", "share")
    assert table.features.numbers[1, 1:].tolist() == [1013.0, 1.0]


def test_handled_lists_and_structures_and_bytes(tmp_path):
    frame = good(path=[[1, 2], [3]] * 30, record=[{"a": 1}] * ROWS, raw=[b"x", b"y"] * 30)
    frame.to_parquet(tmp_path / "t.parquet")
    for one in (frame, read_table(tmp_path / "t.parquet").frame):
        _, findings = table_of(one)
        assert named(findings, "dropped-nested").columns == ("path", "record", "raw")


@pytest.mark.parametrize("leak", ["equal", "recoded", "finer"])
def test_handled_a_column_that_determines_the_target(leak):
    y = np.arange(ROWS) % 2
    values = {"equal": y, "recoded": np.array(["no", "yes"])[y], "finer": y * 10 + RNG.integers(0, 9, ROWS)}
    _, findings = table_of(good(outcome=values[leak], y=y))
    assert named(findings, "leak").columns == ("outcome",)


def test_handled_rows_that_are_copies():
    frame = good()
    _, findings = table_of(pd.concat([frame, frame.head(10)], ignore_index=True))
    assert "20 of 70 rows" in named(findings, "duplicate-rows").message


def test_handled_a_thousand_categories():
    frame = pd.DataFrame({"place": [f"place{i % 1200}" for i in range(3000)], "y": RNG.integers(0, 2, 3000)})
    table, findings = table_of(frame)
    assert table.features.cardinalities == (1200,)
    assert named(findings, "many-levels").columns == ("place",)


def test_handled_a_column_that_is_nearly_all_missing():
    rare = [None] * 990 + list(range(10))
    frame = pd.DataFrame({"rare": rare, "x": RNG.normal(size=1000), "y": RNG.integers(0, 2, 1000)})
    table, findings = table_of(frame)
    assert named(findings, "mostly-missing").columns == ("rare",)
    assert np.isnan(table.features.numbers[:, 0]).sum() == 990


# Handled: the rows


def test_handled_missing_targets():
    frame = good(y=[0, 1, None] * 20)
    table, findings = table_of(frame)
    assert len(table) == 40
    assert "20 of 60 rows are left out" in named(findings, "missing-target").message


def test_handled_a_class_with_fewer_rows_than_folds():
    table, _ = table_of(good(y=["a"] * 30 + ["b"] * 29 + ["rare"]))
    folds = make_folds(table, k=5)
    assert "'rare'" in named(folds.findings, "rare-class").message
    assert sum(2 in table.target[folds.pair(f)[1]] for f in range(5)) == 1


def test_handled_more_classes_at_the_test_than_at_the_fit():
    codec, _, _ = target_of(good(y=["a", "b"] * 30))
    found = codec.encode_known(pd.Series(["a", "c", "b"], name="y"))
    assert found.known.tolist() == [True, False, True]
    assert "'c'" in named(found.findings, "unseen-classes").message


def test_handled_extra_columns_and_unseen_categories_in_new_rows():
    schema, _ = Schema.fit(good(), exclude={"y"})
    features, findings = schema.encode(good(kind=["a", "new"] * 30, more=1))
    assert named(findings, "extra-columns").columns == ("more",)
    assert named(findings, "unseen-levels").columns == ("kind",)
    assert features.categories[:2, 0].tolist() == [0, -1]


def test_handled_words_where_numbers_are_expected_and_no_dates_where_dates_are():
    frame = good(when=pd.date_range("2020-01-01", periods=ROWS).strftime("%d.%m.%Y"))
    schema, _ = Schema.fit(frame, exclude={"y"})
    features, findings = schema.encode(frame.assign(x="word", when="never"))
    assert named(findings, "not-a-number").columns == ("x",)
    assert named(findings, "not-a-date").columns == ("when",)
    assert np.isnan(features.numbers).all()


def test_handled_fewer_groups_than_folds():
    table, _ = table_of(good())
    folds = make_folds(table, k=5, groups=np.arange(ROWS) % 3)
    assert folds.k == 3
    assert "3 folds instead of 5" in named(folds.findings, "few-groups").message


def test_handled_a_target_that_was_not_named():
    assert choose_target(good(), None)[1].code == "target-chosen"
