"""Why a config is suggested: near prior tasks, shares and ranks there, and the user's own tasks among them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tables import classification, regression
from typer.testing import CliRunner

from autometa.cli import app
from autometa.records.lessons import Lesson
from autometa.records.personal import keep, personal_folder
from autometa.search.neighbours import Neighbour, nearest_tasks
from autometa.search.suggestions import lines_of, suggest
from autometa.space import Space
from autometa.tables.meta_features import NAMES
from autometa.task import Task, Trial

TABULAR = Space.load("tabular")
QUICK = str(Path(__file__).with_name("quick.toml"))


def configs(n, algorithm="lightgbm"):
    rng = np.random.default_rng(0)
    space = TABULAR.restrict({"algorithm": {"choices": [algorithm]}})
    return [space.sample(rng) for _ in range(n)]


def task(name, meta, losses, *, kind="binary"):
    trials = [Trial(c, "complete", x) for c, x in zip(configs(len(losses)), losses, strict=True)]
    features = {"kind": kind} | dict(zip(NAMES, meta * np.arange(len(NAMES)), strict=True))
    return Task(name, TABULAR, tuple(trials), features)


LOSSES = [0.5, 0.1, 0.3, 0.2, 0.4, 0.9]


def test_the_nearest_come_first_and_only_those_that_teach():
    near, far, few = task("near", 1.0, LOSSES), task("far", 3.0, LOSSES), task("few", 1.0, LOSSES[:4])
    number = task("number", 1.0, LOSSES, kind="regression")
    blank = replace(near, name="blank", features={"kind": "binary"})
    found = nearest_tasks(task("new", 1.2, []).features, [few, far, number, near, blank])
    assert [n.task.name for n in found] == ["near", "far"]
    # Two tasks 2 apart deviate by 1 from their mean.
    assert [n.distance for n in found] == pytest.approx([0.2, 1.8])
    assert len(nearest_tasks(near.features, [near, far], n=1)) == 1
    assert nearest_tasks(near.features, [few, number]) == []


def test_of_several_on_one_table_the_last_counts():
    old, new, other = task("old", 1.0, LOSSES), task("new", 1.0, LOSSES), task("other", 2.0, LOSSES)
    assert [n.task.name for n in nearest_tasks(old.features, [old, new, other])] == ["new", "other"]


def test_rank_and_share_are_those_of_the_losses():
    neighbour = Neighbour(task("one", 1.0, LOSSES), 0.5)
    found = [neighbour.precedent(c) for c in configs(6)]
    assert [p.rank for p in found] == [5, 1, 3, 2, 4, 6]
    assert [p.share for p in found] == pytest.approx([0.5, 1.0, 0.75, 0.875, 0.625, 0.0])
    assert [p.top for p in found] == [False, True, False, False, False, False]
    assert all(p.exact and p.of == 6 for p in found)


def test_what_failed_was_stopped_or_had_less_data_counts_as_that():
    done = task("one", 1.0, LOSSES)
    history = list(done.history)
    history[0] = replace(history[0], state="failed", loss=math.nan)
    history[1] = replace(history[1], state="pruned")
    history[2] = replace(history[2], budget=0.5)
    neighbour = Neighbour(replace(done, history=(*history, replace(history[3], loss=0.0))), 0.5)
    failed, stopped, _, best, *_ = (neighbour.precedent(c) for c in configs(6))
    assert (failed.rank, failed.share, failed.of) == (4, 0.0, 4)
    assert not stopped.exact
    assert (best.rank, best.share) == (1, 1.0)  # of two trials of a config the first counts


def test_the_nearest_config_speaks_for_one_that_was_not_tried():
    neighbour = Neighbour(task("one", 1.0, LOSSES), 0.5)
    config = configs(6)[1]
    moved = config | {"lightgbm_cat_smooth": config["lightgbm_cat_smooth"] * 1.01}
    found = neighbour.precedent(moved)
    assert (found.exact, found.rank) == (False, 1)
    assert neighbour.precedent(configs(1, "linear")[0]) is None


def test_equal_losses_are_all_the_best():
    neighbour = Neighbour(task("one", 1.0, [0.5] * 6), 0.5)
    assert {(p.rank, p.share) for p in map(neighbour.precedent, configs(6))} == {(1, 1.0)}


@pytest.fixture
def table(tmp_path):
    classification(150).to_csv(tmp_path / "table.csv", index=False)
    return str(tmp_path / "table.csv")


def test_suggestions_have_reasons_from_what_is_shipped(table):
    found = suggest(table, k=3)
    for item in found:
        assert list(item) == [
            "source", "config", "expected_seconds", "expected_share", "top_tenth", "precedents",
        ]  # fmt: skip
        assert 0 < item["expected_seconds"] < 100
        assert item["precedents"]
        assert 0 <= item["expected_share"] <= 1
        assert item["top_tenth"] <= len(item["precedents"])
        assert [p["distance"] for p in item["precedents"]] == sorted(p["distance"] for p in item["precedents"])
    assert suggest(table, k=1, policy="tpe", space=QUICK)[0]["precedents"]  # a config that nobody has tried


def test_own_tasks_speak_too_and_come_first_on_the_same_table(table):
    CliRunner().invoke(
        app, ["search", table, "--trials", "6", "--space", QUICK, "--workers", "1", "--out", f"{table}.run"]
    )
    (item,) = suggest(table, k=1)
    first = item["precedents"][0]
    assert first["task"].startswith("run-")
    assert (first["distance"], first["exact"]) == (0.0, True)
    assert any(line.strip().startswith(first["task"]) for line in lines_of(item))


def test_a_damaged_collection_of_ones_own_is_a_warning(table):
    keep([Lesson(task("run-1", 1.0, LOSSES))])
    (personal_folder() / "tabular-1" / "trials.parquet").unlink()
    result = CliRunner().invoke(app, ["suggest", table, "-k", "1", "--json"])
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: ")
    assert len(json.loads(result.stdout)) == 1


def test_people_read_the_reasons_below_each_config(tmp_path):
    regression(150).to_csv(tmp_path / "table.csv", index=False)
    result = CliRunner().invoke(app, ["suggest", str(tmp_path / "table.csv"), "-k", "2"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert sum("nearest tasks" in line for line in lines) == 2
    assert all(line.startswith((" 1. ", " 2. ", "      ")) for line in lines)


def test_without_reasons_nothing_is_claimed():
    nothing = {"config": {"x": 1}, "expected_seconds": None, "expected_share": None, "top_tenth": 0, "precedents": []}
    assert lines_of(nothing) == ["x = 1"]
