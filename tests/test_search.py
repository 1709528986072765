"""A whole search on a small table: files, predictions, repeatability, resume."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tables import classification, regression

import autometa
from autometa.errors import InputError, RunError, SchemaError
from autometa.search.api import search
from autometa.search.inline import InlineExecutor
from autometa.search.outcome import COLUMNS
from autometa.search.work import FitOutcome
from tests.killed_runs import Killed, KilledAfter

METRIC_KEYS = {
    "executor", "metric", "direction", "validation_score", "trials", "failed_trials", "seconds",
    "policy", "warm_start",
}  # fmt: skip


@pytest.fixture(scope="module")
def quick():
    """A space of quick learners only."""
    return str(Path(__file__).parent / "quick.toml")


def run(frame, out, quick, **options):
    settings = {"trials": 5, "space": quick, "seed": 1, "workers": 1, "memory": "8G"}
    return search(frame, out=out, executor=InlineExecutor(), **settings | options)


def timeless(leaderboard):
    return leaderboard.drop(columns=["seconds", "elapsed"])


@pytest.fixture(scope="module")
def binary(tmp_path_factory, quick):
    folder = tmp_path_factory.mktemp("binary")
    frame = classification()
    frame.iloc[150:].to_csv(folder / "test.csv", index=False)
    return run(frame.iloc[:150], folder / "run", quick, test=str(folder / "test.csv"))


def test_the_run_folder_holds_what_is_promised(binary):
    names = {p.name for p in binary.path.iterdir()}
    assert {
        "run.json", "journal.log", "leaderboard.csv", "metrics.json", "model", "report.html",
    } <= names  # fmt: skip
    assert "work" not in names
    assert METRIC_KEYS | {"test_score"} <= set(binary.metrics)
    assert binary.metrics["metric"] == "auc"
    assert binary.metrics["direction"] == "maximize"
    assert binary.metrics["validation_score"] > 0.8
    assert binary.metrics["test_score"] > 0.8
    assert binary.metrics["trials"] == 5


def test_the_leaderboard_has_one_row_per_trial(binary):
    board = binary.leaderboard
    assert tuple(board.columns) == COLUMNS
    assert sorted(board.trial) == list(range(5))
    assert board.weight.sum() == pytest.approx(1.0, abs=1e-4)
    complete = board[board.state == "complete"]
    assert complete.loss.is_monotonic_increasing
    space = autometa.Space.load("tabular")
    for config in board.config:
        space.check(json.loads(config) | {"class_weights": json.loads(config)["class_weights"]})


def test_predictions_are_classes_in_their_own_form(binary):
    frame = classification(30, seed=5)
    proba = binary.predict_proba(frame)
    assert proba.shape == (30, 2)
    assert proba.sum(axis=1) == pytest.approx(np.ones(30), abs=1e-5)
    labels = binary.predict(frame)
    assert set(labels) <= {"class0", "class1"}
    assert (labels == frame.label).mean() > 0.7
    assert (autometa.load(binary.path).predict(frame) == labels).all()


def test_predicting_checks_the_columns(binary):
    frame = classification(10)
    with pytest.raises(SchemaError, match="'a'"):
        binary.predict(frame.drop(columns="a"))
    expected = binary.predict_proba(frame)
    assert (binary.predict_proba(frame.assign(extra=1)[["extra", *frame.columns[::-1]]]) == expected).all()


def test_regression_and_weights(tmp_path, quick):
    frame = regression().assign(w=np.linspace(0, 1, 200))
    result = run(frame, tmp_path / "run", quick, target="y", weight="w", metric="mae")
    predictions = result.predict(frame.drop(columns=["y", "w"]))
    assert np.abs(predictions - frame.y).mean() < 0.5
    assert result.metrics["direction"] == "minimize"
    with pytest.raises(InputError, match="number"):
        result.predict_proba(frame)


@pytest.mark.parametrize("split", ["group", "time_column"])
def test_group_and_time_splits(tmp_path, quick, split):
    frame = classification(classes=3).assign(part=np.arange(200) // 10)
    result = run(frame, tmp_path / "run", quick, **{split: "part"}, target="label")
    assert result.metrics["validation_score"] < 1.0
    assert result.predict(frame).shape == (200,)


def test_the_same_seed_makes_the_same_run(tmp_path, quick):
    first, second = (run(classification(), tmp_path / name, quick, trials=12, policy="tpe") for name in "ab")
    pd.testing.assert_frame_equal(timeless(first.leaderboard), timeless(second.leaderboard))
    frame = classification(40, seed=9)
    assert (first.predict_proba(frame) == second.predict_proba(frame)).all()


@pytest.mark.parametrize(("fits", "policy"), [(3, "tpe"), (11, "tpe"), (9, "learned")])
def test_a_run_goes_on_where_it_was_killed(tmp_path, quick, monkeypatch, fits, policy):
    # What the first run teaches would change what the second proposes.
    whole = run(classification(), tmp_path / "whole", quick, trials=6, policy=policy, learn=False)
    settings = {"trials": 6, "space": quick, "seed": 1, "workers": 1, "memory": "8G", "policy": policy}
    cut = tmp_path / "cut"
    with pytest.raises(Killed):
        search(classification(), out=cut, executor=KilledAfter(fits), **settings)
    journal = cut / "journal.log"
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 4, "torn')
    monkeypatch.setattr("autometa.search.starting._local_executor", lambda _: InlineExecutor())
    from autometa.search.api import resume

    again = resume(cut)
    pd.testing.assert_frame_equal(timeless(whole.leaderboard), timeless(again.leaderboard))
    # A completed run stays as it is.
    before = again.leaderboard
    pd.testing.assert_frame_equal(resume(cut).leaderboard, before)


class Counting(InlineExecutor):
    """Counts the trials on disk whenever a fit ends."""

    def __init__(self):
        super().__init__()
        self.counts = []

    def submit(self, job):
        super().submit(job)
        self.counts.append(len(list((Path(job.work) / "trials").glob("0*"))))


def test_only_the_better_trials_stay_on_disk_whenever_the_ensemble_is_made(tmp_path, quick, monkeypatch):
    monkeypatch.setattr("autometa.search.loop.KEPT", 3)
    settings = {"trials": 10, "space": quick, "seed": 1, "workers": 1, "memory": "8G"}
    found = []
    for name, pause in (("often", 0.0), ("once", 1e9)):
        monkeypatch.setattr("autometa.search.loop.PAUSE", pause)
        executor = Counting()
        found.append(search(classification(), out=tmp_path / name, executor=executor, **settings))
        assert max(executor.counts) == 4  # three and the one at work
    pd.testing.assert_frame_equal(*(timeless(f.leaderboard) for f in found))
    board = found[0].leaderboard
    assert set(board.trial[board.weight > 0]) <= set(board.trial)
    assert (board.weight > 0).sum() <= 3


def test_the_scores_over_time_outlive_a_kill(tmp_path, quick, monkeypatch):
    settings = {"trials": 6, "space": quick, "seed": 1, "workers": 1, "memory": "8G"}
    with pytest.raises(Killed):
        search(classification(), out=tmp_path / "run", executor=KilledAfter(12), **settings)
    before = json.loads((tmp_path / "run" / "metrics.json").read_text())["history"]
    monkeypatch.setattr("autometa.search.starting._local_executor", lambda _: InlineExecutor())
    from autometa.search.api import resume

    after = resume(tmp_path / "run").metrics["history"]
    assert before
    assert after[: len(before)] == before


class Failing(InlineExecutor):
    """Some fits fail; two at a time, so that a failure comes beside a result."""

    slots = 2

    def __init__(self, *fits):
        super().__init__()
        self._failing = fits

    def submit(self, job):
        if (job.trial, job.fold) in self._failing:
            self._outcomes.append(FitOutcome(job.trial, job.fold, None, "bad luck"))
        else:
            super().submit(job)


@pytest.mark.parametrize("fit", [(1, 0), (1, 1), (1, 2), (1, 6), (0, 9)], ids=str)
def test_a_fit_that_fails_beside_others_ends_nothing(tmp_path, quick, fit):
    settings = {"trials": 4, "space": quick, "seed": 1, "workers": 1, "memory": "8G"}
    result = search(classification(), out=tmp_path / "run", executor=Failing(fit), **settings)
    board = result.leaderboard.set_index("trial")
    first_repeat = fit[1] < 5
    assert (board.state[fit[0]] == "failed") == first_repeat
    assert result.metrics["failed_trials"] == first_repeat
    assert result.predict(classification(5)).shape == (5,)


def test_a_trial_with_some_of_its_files_is_not_taken_up(tmp_path, quick, monkeypatch):
    settings = {"trials": 6, "space": quick, "seed": 1, "workers": 1, "memory": "8G"}
    cut = tmp_path / "run"
    with pytest.raises(Killed):
        search(classification(), out=cut, executor=KilledAfter(17), **settings)
    for name in ("fold_0.json", "fold_0.npy", "fold_3.npy"):
        (cut / "work" / "trials" / "00001" / name).unlink()
    monkeypatch.setattr("autometa.search.starting._local_executor", lambda _: InlineExecutor())
    from autometa.search.api import resume

    board = resume(cut).leaderboard.set_index("trial")
    assert board.weight[1] == 0
    assert board.state[1] == "complete"


def test_a_space_file_is_found_from_anywhere(tmp_path, monkeypatch, quick):
    monkeypatch.chdir(Path(quick).parent)
    settings = {"trials": 3, "space": "quick.toml", "seed": 1, "workers": 1, "memory": "8G"}
    with pytest.raises(Killed):
        search(classification(), out=tmp_path / "run", executor=KilledAfter(7), **settings)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("autometa.search.starting._local_executor", lambda _: InlineExecutor())
    from autometa.search.api import resume

    assert resume("run").metrics["trials"] == 3


@pytest.fixture
def _sampled(monkeypatch):
    monkeypatch.setattr("autometa.search.plan.SEARCH_CELLS", 600)
    monkeypatch.setattr("autometa.search.plan.MIN_SEARCH_ROWS", 100)


@pytest.mark.usefixtures("_sampled")
def test_a_large_table_is_searched_on_a_sample_and_refitted_on_more(tmp_path, quick):
    settings = {"trials": 5, "space": quick, "seed": 1, "workers": 1, "memory": "8G"}
    first, second = (
        search(classification(1200), out=tmp_path / name, executor=InlineExecutor(), **settings) for name in "ab"
    )
    content = json.loads((first.path / "run.json").read_text())
    assert content["plan"]["search_rows"] < 200
    assert any(f["code"] == "searched-on-sample" for f in content["findings"])
    best = first.model.members[0]
    assert [Path(name).name for name in best.folds] == ["fold_5"]  # one fit on more rows, in place of five
    frame = classification(300, seed=4)
    assert (first.predict(frame) == frame.label).mean() > 0.8
    assert (first.predict_proba(frame) == second.predict_proba(frame)).all()


@pytest.mark.usefixtures("_sampled")
def test_rows_of_a_validated_group_are_never_refitted_on(tmp_path, quick):
    frame = classification(1200).assign(group=np.arange(1200) // 9)
    settings = {"trials": 5, "space": quick, "seed": 1, "workers": 1, "memory": "8G", "group": "group"}
    result = search(frame, out=tmp_path / "run", executor=InlineExecutor(), **settings)
    assert all(len(m.folds) == 5 for m in result.model.members)


class Interrupted(InlineExecutor):
    """The user presses Ctrl-C in the middle of a fit."""

    def submit(self, job):
        if job.trial == 2:
            raise KeyboardInterrupt
        super().submit(job)


def test_an_interrupt_tells_how_to_go_on(tmp_path, quick):
    settings = {"trials": 6, "space": quick, "seed": 1, "workers": 1, "memory": "8G"}
    with pytest.raises(KeyboardInterrupt, match=f"autometa resume {tmp_path / 'run'}"):
        search(classification(), out=tmp_path / "run", executor=Interrupted(), **settings)


def test_a_model_can_be_used_while_the_search_goes_on(tmp_path, quick):
    settings = {"trials": 6, "space": quick, "seed": 1, "workers": 1, "memory": "8G"}
    with pytest.raises(Killed):
        search(classification(), out=tmp_path / "run", executor=KilledAfter(12), **settings)
    assert autometa.load(tmp_path / "run").predict(classification(5)).shape == (5,)


def test_what_is_refused_leaves_nothing_behind(tmp_path, quick):
    (tmp_path / "mine").mkdir()
    for options in ({"target": "labell"}, {"metric": "rmse"}, {"policy": "oracle"}, {"space": "x"}):
        for out in ("new/deep/run", "mine"):
            with pytest.raises(ValueError, match=r"."):
                run(classification(), tmp_path / out, quick, **options)
        assert [p.name for p in tmp_path.iterdir()] == ["mine"]
        assert not any((tmp_path / "mine").iterdir())


def test_a_run_that_was_never_started_cannot_be_resumed(tmp_path):
    from autometa.search.api import resume

    with pytest.raises(RunError, match=r"run\.json"):
        resume(tmp_path)


def test_a_failing_learner_is_an_outcome(tmp_path, quick, monkeypatch):
    from autometa.search import work

    true_evaluate = work.evaluate

    def evaluate(config, *args, **kwargs):
        if config["algorithm"] == "linear":
            raise FloatingPointError("overflow in the solver")
        return true_evaluate(config, *args, **kwargs)

    monkeypatch.setattr(work, "evaluate", evaluate)
    result = run(classification(), tmp_path / "run", quick)
    failed = result.leaderboard.query("state == 'failed'")
    assert len(failed) >= 1
    assert failed.error.str.contains("overflow in the solver").all()
    assert result.metrics["failed_trials"] == len(failed)


class Stuck(InlineExecutor):
    """Workers that do not come back in time."""

    def submit(self, job):
        pass

    def wait(self, seconds):
        time.sleep(seconds)
        return []


def test_a_minute_too_short_for_any_trial_still_leaves_a_model(tmp_path):
    executor = Stuck()
    result = search(classification(), out=tmp_path / "run", time_limit=5, workers=1, memory="8G", executor=executor)
    assert list(result.leaderboard.query("weight > 0").source) == ["last resort"]
    assert (result.predict(classification(50, seed=3)) == classification(50, seed=3).label).mean() > 0.6


def test_when_everything_fails_it_says_why(tmp_path, quick, monkeypatch):
    from autometa.search import work

    def evaluate(*args, **kwargs):
        raise FloatingPointError("overflow in the solver")

    monkeypatch.setattr(work, "evaluate", evaluate)
    with pytest.raises(RunError, match="overflow in the solver"):
        run(classification(), tmp_path / "run", quick)
    assert len(pd.read_csv(tmp_path / "run" / "leaderboard.csv")) == 5


def test_a_planted_model_is_refused(binary, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(binary.path, copy)
    content = json.loads((copy / "model" / "model.json").read_text())
    content["members"][0]["folds"] = ["../../elsewhere"]
    (copy / "model" / "model.json").write_text(json.dumps(content))
    with pytest.raises(RuntimeError, match=r"inside the model"):
        autometa.load(copy)
