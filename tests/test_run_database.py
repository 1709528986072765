"""The trials of a run in a database: the same run, its study apart from all others, and clear words when it fails."""

import sqlite3

import optuna
import pytest
from killed_runs import Killed, KilledAfter, quick_search

from autometa.errors import InputError, RunError
from autometa.search import database
from autometa.search.api import resume
from autometa.search.inline import InlineExecutor
from autometa.search.learning import lesson_of_run


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/trials.db"


def outcome(result):
    return result.leaderboard[["trial", "state", "loss", "folds", "weight", "config"]]


def test_a_run_in_a_database_is_the_run_in_a_folder(tmp_path, url):
    kept = quick_search(tmp_path / "kept", storage=url)
    assert outcome(kept).equals(outcome(quick_search(tmp_path / "plain")))
    assert not (kept.path / "journal.log").exists()
    assert not kept.path.joinpath("work").exists()


def test_runs_in_one_database_stay_apart(tmp_path, url):
    for name in ("one", "two"):
        quick_search(tmp_path / name, storage=url, trials=3)
    studies = optuna.get_all_study_summaries(url)
    assert [s.n_trials for s in studies] == [3, 3]
    assert all(s.study_name.startswith(("autometa-one-", "autometa-two-")) for s in studies)
    states = {t.state for s in studies for t in optuna.load_study(study_name=s.study_name, storage=url).trials}
    assert states <= {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.FAIL}


def test_a_killed_run_goes_on_from_its_database(tmp_path, url):
    whole = quick_search(tmp_path / "whole")
    with pytest.raises(Killed):
        quick_search(tmp_path / "cut", storage=url, executor=KilledAfter(9))
    assert outcome(resume(tmp_path / "cut")).equals(outcome(whole))


def test_later_searches_learn_from_a_database(tmp_path, url):
    kept, plain = quick_search(tmp_path / "kept", storage=url), quick_search(tmp_path / "plain")
    one, other = (lesson_of_run(r.path).task for r in (kept, plain))
    assert [(t.config, t.loss) for t in one.history] == [(t.config, t.loss) for t in other.history]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("trials.db", "URL of a database"),
        ("postgresql://me:secret@host/name", r"must not hold a password; postgresql://me:\*\*\*@host/name"),
        ("sqlite://", "in memory"),
        ("sqlite:////nowhere/at/all.db", "one that Optuna can use; .*unable to open"),
        ("nonsense://host/name", "one that Optuna can use"),
    ],
)
def test_databases_that_cannot_be_used_are_refused_before_anything_is_written(tmp_path, wrong, message):
    with pytest.raises(InputError, match=message) as refused:
        quick_search(tmp_path / "run", storage=wrong)
    assert "secret" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_database_that_vanishes_says_how_to_go_on(tmp_path, url):
    class Vanishing(InlineExecutor):
        def submit(self, job):
            super().submit(job)
            if (job.trial, job.fold) == (2, 0):
                with sqlite3.connect(tmp_path / "trials.db") as connection:
                    connection.execute("ALTER TABLE trials RENAME TO away")

    with pytest.raises(RunError, match=r"no longer answers: .*go on with autometa resume"):
        quick_search(tmp_path / "run", storage=url, executor=Vanishing())
    with sqlite3.connect(tmp_path / "trials.db") as connection:
        connection.execute("ALTER TABLE away RENAME TO trials")
    assert len(resume(tmp_path / "run").leaderboard) == 6


def test_a_damaged_database_is_told_by_resume(tmp_path, url):
    with pytest.raises(Killed):
        quick_search(tmp_path / "run", storage=url, executor=KilledAfter(5))
    (tmp_path / "trials.db").write_bytes(b"not a database" * 100)
    with pytest.raises(RunError, match="one that Optuna can use"):
        resume(tmp_path / "run")


def test_the_check_makes_the_tables(url):
    database.check_database(url)
    assert optuna.get_all_study_names(url) == []
