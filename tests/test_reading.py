"""Reading: every way a file is written gives the same table, and a large one a fair sample."""

import gzip
import io
import sys

import numpy as np
import pandas as pd
import pytest

from autometa.errors import InputError
from autometa.tables.dialects import sniff
from autometa.tables.reading import read_table

ROWS = 60
TEXT = "name,size,price\n" + "".join(f"Zoë {i},{i},{i / 4}\n" for i in range(ROWS))


def write(folder, content, name="t.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def check(raw):
    assert list(raw.frame.columns) == ["name", "size", "price"]
    assert raw.frame["name"].astype(str).tolist() == [f"Zoë {i}" for i in range(ROWS)]
    assert raw.frame["size"].tolist() == list(range(ROWS))
    assert raw.frame["price"].tolist() == [i / 4 for i in range(ROWS)]
    assert (raw.rows_total, raw.sampled) == (ROWS, False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings(tmp_path, encoding):
    check(read_table(write(tmp_path, TEXT.replace("Zoë", "Zoë"), encoding=encoding)))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(tmp_path, delimiter, newline):
    check(read_table(write(tmp_path, TEXT.replace(",", delimiter).replace("\n", newline))))


def test_decimal_comma(tmp_path):
    raw = read_table(write(tmp_path, TEXT.replace(",", ";").replace(".", ",")))
    check(raw)
    assert {f.code for f in raw.warnings} == {"delimiter", "decimal-comma"}


def test_a_semicolon_file_with_decimal_points_keeps_them(tmp_path):
    check(read_table(write(tmp_path, TEXT.replace(",", ";"))))


def test_gzip_and_parquet_and_tsv(tmp_path):
    check(read_table(write(tmp_path, gzip.compress(TEXT.encode()), "t.csv.gz")))
    check(read_table(write(tmp_path, TEXT.replace(",", "\t"), "t.tsv")))
    pd.read_csv(io.StringIO(TEXT)).to_parquet(tmp_path / "t.parquet")
    check(read_table(str(tmp_path / "t.parquet")))


@pytest.mark.parametrize("kind", ["text", "gzip", "parquet"])
def test_standard_input(tmp_path, monkeypatch, kind):
    data = TEXT.encode()
    if kind == "gzip":
        data = gzip.compress(data)
    if kind == "parquet":
        pd.read_csv(io.StringIO(TEXT)).to_parquet(tmp_path / "t.parquet")
        data = (tmp_path / "t.parquet").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    check(read_table("-"))


def test_a_data_frame_is_taken_as_it_is_and_not_changed():
    frame = pd.read_csv(io.StringIO(TEXT)).set_index(np.arange(ROWS) + 7)
    raw = read_table(frame)
    check(raw)
    assert frame.index[0] == 7
    assert raw.frame.index[0] == 0


def test_quoted_delimiters_quotes_and_newlines(tmp_path):
    rows = "".join(f'{i},"a, ""b""\nc; d"\n' for i in range(30))
    raw = read_table(write(tmp_path, 'n,"t\next"\n' + rows))
    assert list(raw.frame.columns) == ["n", "t\next"]
    assert raw.frame.iloc[:, 1].astype(str).tolist() == ['a, "b"\nc; d'] * 30


def test_words_for_missing_are_missing_among_numbers_and_kept_among_strings(tmp_path):
    raw = read_table(write(tmp_path, "a,b\n1,x\nNA,None\n-,\n3.5,y\n"))
    assert raw.frame["a"].tolist()[::3] == [1.0, 3.5]
    assert raw.frame["a"].isna().tolist() == [False, True, True, False]
    assert raw.frame["b"].astype(str).tolist() == ["x", "None", "", "y"]


def test_numbers_among_odd_words_for_missing_are_numbers(tmp_path):
    words = ["", " ", "  ", "NULL", "Nan", "n/A", " ?", "None"]
    rows = "".join(f"{i % 9},{words[i % 8] if i % 3 else i % 9},x\n" for i in range(90))
    frame = read_table(write(tmp_path, "a,b,c\n" + rows)).frame
    assert frame["b"].dtype == np.float64
    assert frame["b"].isna().mean() == 2 / 3


def test_blank_lines_and_missing_and_repeated_spaces_in_the_header(tmp_path):
    raw = read_table(write(tmp_path, "\n\r\n a ,,b\n1,2,3\n\n4,5,6\n"))
    assert list(raw.frame.columns) == ["a", "Unnamed: 1", "b"]
    assert raw.frame["a"].tolist() == [1, 4]


def test_row_names_without_a_name_in_the_header(tmp_path):
    raw = read_table(write(tmp_path, "a,b\n" + "".join(f'"r{i}",{i},{i}\n' for i in range(20))))
    assert list(raw.frame.columns) == ["Unnamed: 0", "a", "b"]


def test_delimiters_at_the_end_of_rows(tmp_path):
    frame = read_table(write(tmp_path, "a,b\n" + "1,2,\n3,4,\n" * 10)).frame
    assert list(frame.columns) == ["a", "b", "Unnamed: 2"]
    assert frame["a"].tolist() == [1, 3] * 10
    assert list(read_table(write(tmp_path, "a,b,\n" + "1,2,\n" * 10)).frame.columns) == ["a", "b", "Unnamed: 2"]


def test_spaces_after_delimiters(tmp_path):
    frame = read_table(write(tmp_path, "a, b, c\n" + "1, 2.5, ?\n2, ?, x\n" * 10)).frame
    assert list(frame.columns) == ["a", "b", "c"]
    assert frame["b"].dtype == np.float64


def test_dates_times_and_truth_values_have_dtypes_of_their_own(tmp_path):
    raw = read_table(write(tmp_path, "d,t,c,b\n2024-01-02,2024-01-02 03:04:05,12:30,true\n2024-01-03,,13:00,\n"))
    assert raw.frame["d"].dtype.kind == raw.frame["t"].dtype.kind == "M"
    assert raw.frame["c"].tolist() == ["12:30:00", "13:00:00"]
    assert raw.frame["b"].tolist() == [True, None]


def test_a_wrong_byte_far_into_the_file_turns_the_encoding(tmp_path):
    text = "a,b\n" + "1,plain\n" * 200_000
    raw = read_table(write(tmp_path, text.encode() + "2,Zoë\n".encode("cp1252") * 3))
    assert raw.frame["b"].astype(str).iloc[-1] == "Zoë"
    assert [f.code for f in raw.warnings] == ["encoding"]


def test_names_that_are_no_strings():
    frame = pd.DataFrame(np.ones((12, 3)), columns=[0, None, ("a", "b")])
    assert list(read_table(frame).frame.columns) == ["0", "Unnamed: 1", "a.b"]


def test_sniffing_a_head_that_ends_within_a_field():
    dialect = sniff(b'a;b\n1;"x, y, z"\n2;"x, y, z"\n3;"x, y', whole=False, name="t")
    assert (dialect.delimiter, dialect.names) == (";", ("a", "b"))


def counted(folder, rows):
    i = np.arange(rows)
    frame = pd.DataFrame({"i": i, "x": np.sin(i), "s": [f"level {k % 7}" for k in range(rows)]})
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_csv(folder / "t.csv.gz", index=False)
    frame.to_parquet(folder / "t.parquet", row_group_size=5000)
    return frame


def test_what_does_not_fit_is_sampled_evenly_and_by_the_seed(tmp_path):
    frame = counted(tmp_path, 40_000)
    for source in (tmp_path / "t.csv", tmp_path / "t.csv.gz", tmp_path / "t.parquet", frame):
        size = frame.memory_usage(deep=True).sum()
        raw = read_table(source, memory_bytes=int(size), seed=1)
        again = read_table(source, memory_bytes=int(size), seed=1)
        other = read_table(source, memory_bytes=int(size), seed=2)
        kept = raw.frame["i"].to_numpy()
        assert raw.sampled
        assert raw.rows_total == 40_000
        assert 5_000 < len(kept) < 20_000
        assert (np.diff(kept) > 0).all()
        # The mean of a uniform sample without replacement, within five standard deviations.
        assert abs(kept.mean() - 20_000) < 5 * 40_000 / np.sqrt(12 * len(kept))
        assert raw.frame.equals(again.frame)
        assert not raw.frame.equals(other.frame)
        assert (raw.frame["x"] == np.sin(kept)).all()
        assert [f.code for f in raw.warnings] == ["sampled"]


def test_sampling_from_standard_input(tmp_path, monkeypatch):
    frame = counted(tmp_path, 20_000)
    data = (tmp_path / "t.csv").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    raw = read_table("-", memory_bytes=int(frame.memory_usage(deep=True).sum()))
    assert raw.sampled
    assert raw.rows_total == 20_000


def test_a_sampled_column_that_changes_its_type_late_is_widened(tmp_path):
    rows = 1_300_000
    body = "".join(f"{i % 10},{i % 10},,x\n" for i in range(rows // 100)) * 100
    path = write(tmp_path, "a,b,c,d\n" + body + "1.5,word,7,x\n" * 5000)
    assert path.stat().st_size > 8 << 20
    raw = read_table(path, memory_bytes=40_000_000)
    assert raw.sampled
    assert raw.rows_total == rows + 5000
    assert raw.frame["a"].max() == 9
    assert (raw.frame["a"] == 1.5).any()
    assert (raw.frame["b"] == "word").any()
    assert (raw.frame["c"] == "7").any()


def test_what_fits_is_not_sampled(tmp_path):
    frame = counted(tmp_path, 3000)
    for source in (tmp_path / "t.csv", tmp_path / "t.parquet", frame):
        assert not read_table(source, memory_bytes=2**30).sampled


def test_what_fits_but_not_many_times_over_is_read_batch_by_batch(tmp_path):
    frame = counted(tmp_path, 20_000)
    for name in ("t.csv", "t.csv.gz", "t.parquet"):
        raw = read_table(tmp_path / name, memory_bytes=6 * int(frame.memory_usage(deep=True).sum()))
        assert not raw.sampled
        assert raw.warnings == ()
        assert raw.frame.astype({"s": "str"}).equals(frame.astype({"s": "str"}))


def test_a_byte_out_of_place_while_sampling(tmp_path):
    text = "a,b\n" + "1,plain\n" * 1_300_000
    path = write(tmp_path, text.encode() + "2,Zoë\n".encode("cp1252") * 3000)
    raw = read_table(path, memory_bytes=60_000_000)
    assert raw.sampled
    assert {"encoding", "sampled"} == {f.code for f in raw.warnings}
    assert (raw.frame["b"] == "Zoë").any()


def test_an_index_in_parquet_is_no_column(tmp_path):
    pd.DataFrame({"a": range(12)}, index=pd.Index(range(12), name="key")).to_parquet(tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").frame.columns) == ["a"]


def test_a_path_must_be_a_path():
    with pytest.raises(InputError, match="pandas DataFrame; got list"):
        read_table([1, 2])
