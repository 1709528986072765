"""Optuna studies as tasks: their space with its conditions, signs, budgets, and storages that are left as they are."""

import math
import sqlite3

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from autometa.errors import InputError
from autometa.parameters import Categorical, Float, Int
from autometa.records.reading import read_collections
from autometa.search.learning import learn
from autometa.search.studies import lessons_of_studies

optuna.logging.set_verbosity(optuna.logging.WARNING)


def objective(trial):
    """A learner with hyperparameters of its own, one of them two levels deep."""
    model = trial.suggest_categorical("model", ["svm", "forest"])
    noise = trial.suggest_float("noise", 0.0, 1.0)
    if model == "svm":
        strength = trial.suggest_float("strength", 1e-3, 10.0, log=True)
        if trial.suggest_categorical("kernel", ["rbf", "linear"]) == "rbf":
            strength *= trial.suggest_float("gamma", 0.1, 0.9, step=0.1)
        return strength + noise
    return trial.suggest_int("depth", 2, 9) + trial.suggest_int("trees", 100, 500, step=100) / 100 + noise


def study_in(url, name="one", *, trials=25, direction="minimize", of=objective):
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=url, study_name=name, direction=direction, sampler=sampler)
    study.optimize(of, n_trials=trials, catch=(ZeroDivisionError,))
    return study


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'studies.db'}"


def lessons(source):
    said = []
    return lessons_of_studies(str(source), say=said.append), said


def test_conditions_are_told_from_the_trials(url):
    study = study_in(url)
    (lesson,), said = lessons(url)
    space = lesson.task.space
    assert said == []
    assert {p.name: p.when for p in space} == {
        "model": None, "noise": None, "strength": ("model", ("svm",)), "kernel": ("model", ("svm",)),
        "depth": ("model", ("forest",)), "trees": ("model", ("forest",)), "gamma": ("kernel", ("rbf",)),
    }  # fmt: skip
    assert (space["strength"].low, space["strength"].high, space["strength"].log) == (1e-3, 10.0, True)
    assert isinstance(space["depth"], Int)
    assert space["trees"].choices == (100, 200, 300, 400, 500)
    assert len(lesson.task.history) == 25
    for given, found in zip(study.trials, lesson.task.history, strict=True):
        assert found.config == pytest.approx(given.params)
        assert found.loss == given.value
        assert found.seconds == given.duration.total_seconds()
        space.check(found.config)


def test_what_is_maximised_is_turned_round(url):
    study = study_in(url, direction="maximize")
    (lesson,), _ = lessons(url)
    assert lesson.task.best.loss == -study.best_value
    assert lesson.task.best.config == pytest.approx(study.best_params)


def test_pruned_and_failed_trials_are_what_they_are(tmp_path, url):
    def stepwise(trial):
        rate = trial.suggest_float("rate", 0.0, 1.0)
        for step in range(4):
            trial.report(rate + 1 / (step + 1), step)
            if trial.number == 2 and step == 1:
                raise optuna.TrialPruned
        if trial.number == 3:
            return 1 / 0
        return rate

    study = study_in(url, trials=5, of=stepwise)
    study.enqueue_trial({"rate": 0.5})  # waits for ever
    learn([url], tmp_path / "into", say=print)
    (collection,) = read_collections(tmp_path / "into")
    (task,) = collection.tasks.values()
    assert [t.state for t in task.history] == ["complete", "complete", "pruned", "failed", "complete"]
    pruned, failed = task.history[2], task.history[3]
    assert (pruned.budget, len(pruned.curve)) == (0.5, 2)
    assert pruned.loss == pytest.approx(study.trials[2].params["rate"] + 0.5)
    assert math.isnan(failed.loss)
    assert collection.evaluated.sum() == 4
    assert {t.budget for t in task.history} == {1.0, 0.5}


def test_ranges_that_change_are_joined(url):
    def wandering(trial):
        return trial.suggest_float("x", -trial.number, 1.0) + trial.suggest_int("n", 0, 4 + 2 * trial.number, step=2)

    study_in(url, trials=4, of=wandering)
    (lesson,), _ = lessons(url)
    x, n = lesson.task.space["x"], lesson.task.space["n"]
    assert isinstance(x, Float)
    assert (x.low, x.high) == (-3.0, 1.0)
    assert isinstance(n, Int)
    assert (n.low, n.high) == (0, 10)
    assert len(lesson.task.history) == 4


def test_a_hyperparameter_that_nothing_explains_is_left_out_and_said(url):
    def whimsical(trial):
        x = trial.suggest_float("x", 0.0, 1.0)
        return x + (trial.suggest_float("whim", 0.0, 1.0) if trial.number % 3 else 0.0)

    study_in(url, trials=6, of=whimsical)
    (lesson,), said = lessons(url)
    assert [p.name for p in lesson.task.space] == ["x"]
    assert len(said) == 1
    assert "'whim'" in said[0]


def test_learning_a_study_again_replaces_it(tmp_path, url):
    study = study_in(url, trials=4)
    for _ in range(2):
        learn([url, f"{url}#one"], tmp_path / "into", say=print)
        assert sum(len(c.names) for c in read_collections(tmp_path / "into")) == 1
    study.optimize(objective, n_trials=30)  # shows more of the space
    learn([url], tmp_path / "into", say=print)
    (collection,) = read_collections(tmp_path / "into")
    assert [len(t.history) for t in collection.tasks.values()] == [34]
    assert "one" not in (tmp_path / "into" / collection.card.name / "card.toml").read_text().split('"')


def test_all_studies_of_a_storage_or_the_one_that_is_named(url):
    for name in ("one", "two#b"):
        study_in(url, name, trials=3)
    assert len(lessons(url)[0]) == 2
    assert len(lessons(f"{url}#one")[0]) == 1
    assert lessons(f"{url}#two#b")[0][0].task.name != lessons(f"{url}#one")[0][0].task.name


def test_a_journal_file_is_a_storage_and_stays_as_it_is(tmp_path):
    path = tmp_path / "study.log"
    study_in(JournalStorage(JournalFileBackend(str(path))), "one", trials=3)
    before = path.read_bytes()
    assert len(lessons(path)[0]) == len(lessons(f"{path}#one")[0]) == 1
    path.write_bytes(before + b'{"torn')
    assert len(lessons(path)[0][0].task.history) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["study.log"]
    assert path.read_bytes() == before + b'{"torn'


def test_one_that_is_not_to_be_learned_from_is_left_out_among_others(url):
    study_in(url, "good", trials=3)
    several = optuna.create_study(storage=url, study_name="several", directions=["minimize", "maximize"])
    several.optimize(lambda t: (t.suggest_float("x", 0, 1), 1.0), n_trials=2)
    optuna.create_study(storage=url, study_name="empty")
    found, said = lessons(url)
    assert len(found) == 1
    assert len(said) == 2
    with pytest.raises(InputError, match=r"'several': a task has one objective, it has 2"):
        lessons(f"{url}#several")
    with pytest.raises(InputError, match=r"'empty': it has no complete trial"):
        lessons(f"{url}#empty")


def test_choices_of_several_kinds_are_kept_apart(tmp_path, url):
    study_in(url, trials=12, of=lambda t: float(t.suggest_categorical("c", ["1", 1, True, 2.5]) is True))
    (lesson,), _ = lessons(url)
    learn([url], tmp_path / "into", say=print)
    (collection,) = read_collections(tmp_path / "into")
    assert isinstance(collection.space["c"], Categorical)
    (task,) = collection.tasks.values()
    assert [repr(t.config) for t in task.history] == [repr(t.config) for t in lesson.task.history]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sqlite:///absent.db", "there is no file 'absent.db'"),
        ("sqlite:///absent.db#one", "there is no file"),
        ("absent.log", "'absent.log' is none"),
        ("nonsense://x", "is not:"),
        ("words.txt", "is not:"),
        ("other.db", "write sqlite:///other.db"),
        ("sqlite:///other.db", "is not:"),
        ("sqlite:///studies.db#two", "has no 'two'"),
        ("sqlite:///none.db", "must be a study"),
    ],
)
def test_what_is_no_storage_is_refused_and_nothing_is_written(tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    study_in("sqlite:///studies.db", trials=1)
    optuna.storages.RDBStorage("sqlite:///none.db")
    (tmp_path / "words.txt").write_text("not a\njournal\n")
    with sqlite3.connect("other.db") as other:
        other.execute("create table mine (x)")
    other.close()
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(InputError, match=message):
        learn([source], tmp_path / "into", say=print)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_choice_that_is_no_plain_value_is_said(url):
    study_in(url, trials=2, of=lambda t: float(t.suggest_categorical("c", [None]) is None))
    with pytest.raises(InputError, match="choices must be"):
        lessons(url)
    study_in(url, "two", trials=2, of=lambda t: t.suggest_float("x", 0, 1) if t.number else t.suggest_float("y", 0, 1))
    with pytest.raises(InputError, match="nothing tells in which trials"):
        lessons(f"{url}#two")


def test_a_password_is_not_shown():
    with pytest.raises(InputError) as refused:
        lessons("postgresql+nosuchdriver://me:hunter2@host/db")
    assert "hunter2" not in str(refused.value)


def test_stepped_numbers_are_the_choices_they_were_meant_to_be(url):
    study = optuna.create_study(storage=url, study_name="one")
    distribution = optuna.distributions.FloatDistribution(0.0, 0.9, step=0.3)
    for value in (0.3 + 0.3 + 0.3, 0.6):
        study.add_trial(
            create_trial(state=TrialState.COMPLETE, value=1.0, params={"x": value}, distributions={"x": distribution})
        )
    (lesson,), _ = lessons(url)
    assert len(lesson.task.history) == 2
