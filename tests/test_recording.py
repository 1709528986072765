"""`autometa record` by its command line: a collection, gone on with when called again, clear refusals."""

from pathlib import Path

import pytest
from tables import classification
from typer.testing import CliRunner

from autometa.cli import app
from autometa.records.collection import Collection

QUICK = str(Path(__file__).parent / "quick.toml")
OPTIONS = ["--configs", "3", "--shared", "2", "--workers", "1", "--space", QUICK]


@pytest.fixture
def tables(tmp_path):
    for name in ("one", "two"):
        classification(120).to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "index.csv").write_text("name,family,split,licence\none,a,train,CC0\ntwo,b,valid,CC0\n")
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(app, ["record", *map(str, arguments)])


def test_tables_become_a_collection_that_grows(tables):
    into = tables / "out"
    first = call(tables / "one.csv", "--into", into, *OPTIONS, "--index", tables / "index.csv")
    assert first.exit_code == 0, first.output
    assert "7 evaluations in" in first.stdout  # two shared ones, two of each on less, one of its own
    again = call(tables / "one.csv", tables / "two.csv", "--into", into, *OPTIONS, "--index", tables / "index.csv")
    assert "14 evaluations in" in again.stdout
    found = Collection.load(into)
    assert found.splits == {"train": ["one"], "valid": ["two"]}
    assert [d.family for d in found.card.datasets] == ["a", "b"]
    assert found.space["algorithm"].choices == ("linear", "nearest_neighbours", "lightgbm")


def test_predictions_are_kept_where_they_are_asked_for(tables):
    done = call(tables / "one.csv", "--into", tables / "out", *OPTIONS, "--predictions", tables / "kept")
    assert done.exit_code == 0, done.output
    assert len(list((tables / "kept" / "one").glob("*.npz"))) == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["absent.csv"], "must be a file"),
        (["one.csv", "--index", "index.csv", "two.csv", "three.csv"], "must be a file"),
        (["one.csv", "--configs", "0"], "can be shared"),
        (["one.csv", "--time-limit", "soon"], "written like"),
        (["one.csv", "--space", "absent"], "a space is"),
        (["other.csv", "--index", "index.csv"], "must have a row"),
    ],
)
def test_what_is_refused(tables, monkeypatch, arguments, says):
    monkeypatch.chdir(tables)
    (tables / "other.csv").write_bytes((tables / "one.csv").read_bytes())
    found = call(*arguments, "--into", "out")
    assert found.exit_code == 2, found.output
    assert says in found.stderr
    assert "Traceback" not in found.output
