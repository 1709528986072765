"""A recording: whole rows, breadth first, the same after any kill, and bad tables and fits are named."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from tables import classification, regression

from autometa.errors import InputError, ModelError, RunError
from autometa.records.collection import Collection
from autometa.records.prepared import Source, prepare
from autometa.records.recorder import Recorder, Settings, key_of
from autometa.records.shard import Shard
from autometa.space import Space
from autometa.tables.splits import Folds
from autometa.tables.table import Table
from autometa.task import Task

SPACE = Space.load("tabular").restrict({"algorithm": {"choices": ["linear", "nearest_neighbours", "lightgbm"]}})
DEFAULTS = [SPACE.complete({"algorithm": "linear"})]
SETTINGS = Settings(configs=9, shared=5, budgeted=2, seconds=5.0, seed=1)
TIMES = {"fit_s", "predict_s", "cpu_s", "peak_mb"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    classification(150).to_csv(folder / "colours.csv", index=False)
    regression(150).to_csv(folder / "numbers.csv", index=False)
    return [Source("colours", folder / "colours.csv", "label"), Source("numbers", folder / "numbers.csv", "y")]


def record(sources, folder, *, settings=SETTINGS, say=lambda _: None):
    recorder = Recorder(sources, SPACE, DEFAULTS, folder, settings, say)
    try:
        recorder.record()
        recorder.write()
    finally:
        recorder.close()
    return recorder.rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("undisturbed")


@pytest.fixture(scope="module")
def undisturbed(sources, folder):
    return record(sources, folder)


def timeless(rows):
    plain = [{k: v for k, v in row.items() if k not in TIMES} for row in rows]
    return sorted(plain, key=key_of)


def test_everything_planned_is_recorded_once(undisturbed):
    assert Counter((r["task"], r["origin"], r["budget"] == 1.0) for r in undisturbed) == {
        (task, *kind): n
        for task in ("colours", "numbers")
        for kind, n in {
            ("default", True): 1, ("sobol", True): 4, ("random", True): 2, ("move", True): 2,
            ("default", False): 2, ("sobol", False): 2,
        }.items()
    }  # fmt: skip
    assert len({key_of(r) for r in undisturbed}) == len(undisturbed)
    for row in undisturbed:
        assert row["state"] == "complete", row["error"]
        assert len(row["fold_losses"]) == row["folds"] == (3 if row["budget"] == 1.0 else 1)
        assert row["loss"] == pytest.approx(np.mean(row["fold_losses"]))
        assert row["test_loss"] > 0
        SPACE.check(row["config"])
    shared = [r for r in undisturbed if r["config_id"] == "shared-003" and r["budget"] == 1.0]
    assert shared[0]["config"] == shared[1]["config"]


class Stopped(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("at", [1, 7, 12, 21])
def test_a_recording_that_was_killed_ends_as_an_undisturbed_one(sources, undisturbed, tmp_path, at):
    seen = []

    def say(line):
        seen.append(line)
        if len(seen) == at:
            raise Stopped

    with pytest.raises(Stopped):
        record(sources, tmp_path, say=say)
    rows = tmp_path / "recording" / "rows.jsonl"
    rows.write_bytes(rows.read_bytes() + b'{"task": "colours", "lo')
    before = [json.loads(line) for line in rows.read_bytes().splitlines()[:-1]]
    after = record(sources, tmp_path)
    assert after[: len(before)] == before
    assert timeless(after) == timeless(undisturbed)


def test_a_collection_is_gone_on_with_where_its_shard_is_not(sources, undisturbed, folder, tmp_path):
    for name in ("card.toml", "trials.parquet"):
        shutil.copy(folder / name, tmp_path / name)
    assert len(record(sources, tmp_path)) == len(undisturbed)
    grown = record(sources, tmp_path, settings=replace(SETTINGS, configs=11, shared=7))
    assert len(grown) == len(undisturbed) + 4
    assert Collection.load(tmp_path).names == ("colours", "numbers")
    assert not (tmp_path / "recording" / "rows.jsonl").read_bytes().count(b"shared-001")


def test_a_table_that_is_added_takes_nothing_away(sources, undisturbed, folder, tmp_path):
    for name in ("card.toml", "trials.parquet", "features.parquet"):
        shutil.copy(folder / name, tmp_path / name)
    regression(120).to_csv(tmp_path / "third.csv", index=False)
    record([Source("third", tmp_path / "third.csv", "y")], tmp_path)
    found = Collection.load(tmp_path)
    assert set(found.names) == {"colours", "numbers", "third"}
    assert set(found.meta_features) == {"colours", "numbers", "third"}
    assert len(found.evaluations) == len(undisturbed) * 3 // 2


def test_a_kill_between_trials_and_card_is_gone_on_with(sources, undisturbed, tmp_path):
    record(sources, tmp_path)
    _change(tmp_path, 'checksum = "', 'checksum = "0')
    with pytest.raises(ModelError, match="is not the file"):
        Collection.load(tmp_path)
    assert len(record(sources, tmp_path)) == len(undisturbed)
    assert len(Collection.load(tmp_path).evaluations) == len(undisturbed)


def test_where_no_table_can_be_used_nothing_is_recorded(tmp_path):
    (tmp_path / "one.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="at least one must be usable"):
        record([Source("one", tmp_path / "one.csv")], tmp_path / "out")


def test_configs_that_are_no_longer_the_same_are_refused(sources, folder, undisturbed, tmp_path):
    assert undisturbed
    for name in ("card.toml", "trials.parquet"):
        shutil.copy(folder / name, tmp_path / name)
    changed = [SPACE.complete({"algorithm": "linear", "linear_C": 7.0})]
    with pytest.raises(InputError, match="another first configs"):
        Recorder(sources, SPACE, changed, tmp_path, SETTINGS, lambda _: None)


def test_a_fit_that_a_busy_machine_held_up_is_done_again(sources, undisturbed, tmp_path):
    record(sources, tmp_path)
    path = tmp_path / "recording" / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[3] |= {"state": "timed_out", "cpu_s": 1.0, "fit_s": 5.0, "loss": 7.0}  # others used the processor
    rows[4] |= {"state": "timed_out", "cpu_s": 4.9, "fit_s": 5.0, "loss": 8.0}  # it was the fit itself
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    again = record(sources, tmp_path)
    assert len(path.read_text().splitlines()) == len(rows) + 1
    assert len(again) == len(undisturbed)
    assert [row["loss"] for row in again].count(7.0) == 0
    assert [row["loss"] for row in again].count(8.0) == 1


def test_two_writers_are_one_too_many(tmp_path):
    first = Shard(tmp_path / "rows.jsonl")
    with pytest.raises(RunError, match="another process is recording"):
        Shard(tmp_path / "rows.jsonl")
    first.append({"a": 1})
    first.close()
    again = Shard(tmp_path / "rows.jsonl")
    assert again.rows == [{"a": 1}]
    again.close()


def test_a_damaged_line_is_refused(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\nnonsense\n{"a": 2}\n')
    with pytest.raises(RunError, match="damaged"):
        Shard(tmp_path / "rows.jsonl")


def test_a_table_that_cannot_be_used_is_left_out_and_said(sources, tmp_path):
    (tmp_path / "one.csv").write_text("a,b\n1,2\n")
    said = []
    rows = record(
        [Source("one", tmp_path / "one.csv"), sources[0]],
        tmp_path / "out",
        settings=Settings(configs=2, shared=2, budgeted=0, seconds=5.0),
        say=said.append,
    )
    assert {r["task"] for r in rows} == {"colours"}
    assert said[0].startswith("one is left out: ")


@pytest.mark.parametrize("change", [{"shared": 0}, {"shared": 9, "configs": 8}, {"seconds": 0.0}, {"workers": 0}])
def test_bad_settings(change):
    with pytest.raises(InputError):
        Settings(**change)


def test_test_rows_are_never_trained_on(sources, tmp_path):
    frame = classification(9000).assign(number=np.arange(9000.0))
    frame.to_parquet(tmp_path / "large.parquet")
    card = prepare(Source("large", tmp_path / "large.parquet", "label"), tmp_path / "large", rows=3_000, seed=0)
    assert (card["rows"], card["recorded_rows"], card["test_rows"]) == (9000, 4500, 2700)
    table, test = Table.load(tmp_path / "large" / "table"), Table.load(tmp_path / "large" / "test")
    assert len(Folds.load(tmp_path / "large" / "folds").pair(0)[0]) == 3000
    place = table.features.number_names.index("number")
    assert not set(table.features.numbers[:, place]) & set(test.features.numbers[:, place])
    for part in (table, test):
        assert np.bincount(part.target).min() > 0.47 * len(part)


def test_the_collection_holds_what_was_recorded(undisturbed, folder):
    found = Collection.load(folder)
    assert found.space == Space.load("tabular")
    assert found.splits == {"": ["colours", "numbers"]}
    assert set(found.card.versions) >= {"lightgbm", "numpy"}
    task = found.tasks["numbers"]
    assert task.features["kind"] == "regression"
    assert task.features["rows"] == 105
    assert task.features["log_rows"] == pytest.approx(np.log(105))
    assert task.features["constant_loss"] > 0
    rows = [r for r in undisturbed if r["task"] == "numbers"]
    assert len(task.history) == len(rows)
    best = min((r for r in rows if r["budget"] == 1.0), key=lambda r: r["loss"])
    whole = [t for t in task.history if t.budget == 1.0]
    assert min(t.loss for t in whole) == pytest.approx(best["loss"])
    assert task == Task("numbers", found.space, features=task.features).observe(*task.history)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "card.toml").unlink(), "has neither"),
        (lambda f: (f / "card.toml").write_text("name = "), "not the card"),
        (lambda f: (f / "card.toml").write_text('format = 1\nchecksum = "x"\n'), "not the card"),
        (lambda f: (f / "trials.parquet").write_bytes(b"PAR1"), "is not the file"),
        (lambda f: _change(f, "format = 1", "format = 9"), "format"),
        (lambda f: _change(f, 'space_version = "tabular-1"', 'space_version = "tabular-9"'), "tabular-9"),
        (lambda f: _change(f, 'name = "numbers"', 'name = "others"'), "lacks"),
    ],
)
def test_a_damaged_collection_is_refused(undisturbed, folder, tmp_path, damage, says):
    assert undisturbed
    for name in ("card.toml", "trials.parquet"):
        shutil.copy(folder / name, tmp_path / name)
    damage(tmp_path)
    with pytest.raises(ModelError, match=says):
        Collection.load(tmp_path)


def _change(folder, old, new):
    card = folder / "card.toml"
    assert old in card.read_text()
    card.write_text(card.read_text().replace(old, new))


def test_a_recording_goes_on_only_with_what_it_was_begun_with(sources, folder, undisturbed):
    for change, name in (({"rows": 100}, "rows"), ({"seed": 2}, "seed"), ({"seconds": 6.0}, "time limit")):
        with pytest.raises(InputError, match=f"another {name}"):
            record(sources, folder, settings=replace(SETTINGS, **change))
    assert len(record(sources, folder)) == len(undisturbed)
