"""MetaSampler: what it tells a policy of a study, how it delivers a config, and that it remembers nothing itself."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial
from tables import classification

import autometa.integrations.optuna as room
from autometa import MetaSampler, Space, Task, task_of
from autometa.errors import InputError, SpaceError
from autometa.parameters import Categorical, Float, Int
from autometa.policies.random import RandomPolicy
from autometa.task import Trial

TREE = Space(
    "tree",
    (
        Categorical(name="model", choices=("linear", "net"), default="linear"),
        Float(name="l2", low=1e-6, high=1.0, log=True, default=1e-3, when=("model", ("linear",))),
        Int(name="width", low=4, high=64, default=16, when=("model", ("net",))),
        Float(name="rate", low=0.0, high=1.0, default=0.5, when=("model", ("net",))),
        Float(name="noise", low=0.0, high=1.0, default=0.5),
    ),
)
LINE = {"x": FloatDistribution(-1.0, 1.0)}


class Spy(RandomPolicy):
    """Random, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def propose(self, task, *, n, seed, candidates=None):
        self.asked.append((task, n, seed))
        return super().propose(task, n=n, seed=seed, candidates=candidates)

    def trust(self, task):
        return {"all": float(len(task.history))}


@pytest.fixture
def spy(monkeypatch):
    policy = Spy()
    monkeypatch.setattr(room, "policy_for", lambda sources, checkpoint: policy)
    return policy


def tree_objective(trial):
    config = TREE.suggest(trial)
    return config["noise"] + (config["l2"] if config["model"] == "linear" else abs(config["rate"] - 0.3))


def line(study, *values, name="x", distribution=LINE["x"], **fields):
    """Add trials of one parameter."""
    for value in values:
        study.add_trial(create_trial(params={name: value}, distributions={name: distribution}, **fields))


def history(study, **options):
    return task_of(study, **options).history


# Outcomes


def test_the_sign_follows_the_direction():
    for direction, sign in (("minimize", 1.0), ("maximize", -1.0)):
        study = optuna.create_study(direction=direction)
        line(study, 0.25, value=3.0)
        line(study, 0.5, state=TrialState.PRUNED, intermediate_values={1: 2.0, 2: 1.0})
        assert [t.loss for t in history(study)] == [3.0 * sign, 1.0 * sign]
        assert history(study)[1].curve == (2.0 * sign, 1.0 * sign)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_it_finds_the_optimum_in_both_directions(direction):
    sign = 1.0 if direction == "minimize" else -1.0
    study = optuna.create_study(direction=direction, sampler=MetaSampler(LINE, seed=1))
    study.optimize(lambda t: sign * (t.suggest_float("x", -1.0, 1.0) - 0.6) ** 2, n_trials=40)
    assert study.best_params["x"] == pytest.approx(0.6, abs=0.1)


def test_what_has_no_finite_loss_failed():
    study = optuna.create_study()
    line(study, 0.1, state=TrialState.FAIL)
    line(study, 0.2, value=math.inf)
    line(study, 0.3, state=TrialState.PRUNED)
    line(study, 0.4, state=TrialState.PRUNED, intermediate_values={1: 0.0, 2: math.nan})
    line(study, 0.5, value=0.0)
    assert [t.state for t in history(study)] == ["failed"] * 4 + ["complete"]
    assert all(math.isnan(t.loss) for t in history(study)[:4])


def test_pruned_trials_have_the_share_of_the_longest():
    study = optuna.create_study()
    line(study, 0.1, state=TrialState.PRUNED, intermediate_values={1: 5.0, 5: 2.0})
    line(study, 0.2, value=1.0, intermediate_values={10: 1.0, 20: 1.0})
    assert [(t.state, t.loss, t.budget) for t in history(study)] == [("pruned", 2.0, 0.25), ("complete", 1.0, 1.0)]
    from_zero = optuna.create_study()
    line(from_zero, 0.1, state=TrialState.PRUNED, intermediate_values={0: 5.0})
    line(from_zero, 0.2, value=1.0, intermediate_values={0: 5.0, 9: 1.0})
    assert history(from_zero)[0].budget == 0.1


def test_infeasible_trials_failed_whichever_way_constraints_were_stored():
    study = optuna.create_study()
    trials = [study.ask(LINE) for _ in range(2)]
    for trial, value in zip(trials, (1.0, 0.0), strict=True):
        trial.set_constraint("size", value)
        study.tell(trial, 0.0)
    line(study, 0.3, value=0.0, system_attrs={"constraints": (-1.0, 0.1)})
    line(study, 0.3, state=TrialState.PRUNED, intermediate_values={1: 0.0}, system_attrs={"constraints": (1.0,)})
    assert [t.state for t in history(study)] == ["failed", "complete", "failed", "failed"]


def test_several_objectives_are_weighed_anew_in_each_trial(spy):
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=MetaSampler(LINE, seed=0))
    for x, values in ((-1.0, (0.0, 0.0)), (0.0, (5.0, 50.0)), (1.0, (10.0, 100.0)), (0.5, (math.inf, 0.0))):
        study.add_trial(create_trial(params={"x": x}, distributions=LINE, values=values))
    for _ in range(6):
        study.tell(study.ask(LINE), (3.0, 30.0))
    firsts = [[t.loss for t in task.history[:3]] for task, _, _ in spy.asked]
    assert {losses[0] < losses[2] for losses in firsts} == {True, False}
    assert all(losses[1] < max(losses[0], losses[2]) for losses in firsts)
    assert all(task.history[3].state == "failed" for task, _, _ in spy.asked)


# What is under way


def test_running_and_enqueued_trials_are_pending_with_their_whole_config(spy):
    study = optuna.create_study(sampler=MetaSampler(TREE, seed=3))
    study.enqueue_trial({"model": "linear", "l2": 0.5, "noise": 0.0})
    study.enqueue_trial({"model": "linear"})
    study.ask()
    study.ask()
    asked = study.ask()
    asked.suggest_categorical("model", ("linear", "net"))  # the rest was proposed, not yet asked for
    study.ask().suggest_float("noise", 0.0, 1.0)
    task, _, _ = spy.asked[-1]
    assert [t.state for t in task.history] == ["running"] * 3
    assert task.history[0].config == {"model": "linear", "l2": 0.5, "noise": 0.0}
    first, n, seed = spy.asked[0]
    assert task.history[2].config == RandomPolicy().propose(first, n=n, seed=seed)[-1]
    study.enqueue_trial({"model": "net", "width": 8, "rate": 0.0, "noise": 0.0})
    assert history(study, space=TREE)[-1] == Trial({"model": "net", "width": 8, "rate": 0.0, "noise": 0.0})


def test_trials_that_wait_for_a_config_are_counted_in(spy):
    study = optuna.create_study(sampler=MetaSampler(TREE, seed=3))
    waiting = [study.ask() for _ in range(3)]
    waiting[2].suggest_float("noise", 0.0, 1.0)
    waiting[0].suggest_float("noise", 0.0, 1.0)
    waiting[1].suggest_float("noise", 0.0, 1.0)
    assert [n for _, n, _ in spy.asked] == [3, 1, 1]
    assert [len(task.pending) for task, _, _ in spy.asked] == [0, 1, 2]


def test_long_proposals_are_stored_whole():
    distributions = {f"a_long_name_of_a_parameter_{i}": FloatDistribution(0.0, 1.0) for i in range(100)}
    study = optuna.create_study(sampler=MetaSampler(distributions, seed=0))
    trial = study.ask()
    trial.suggest_float("a_long_name_of_a_parameter_0", 0.0, 1.0)
    assert all(len(v) <= 2045 for v in study.trials[0].system_attrs.values())
    (pending,) = history(study, space=distributions)
    assert {k: trial.suggest_float(k, 0.0, 1.0) for k in distributions} == pytest.approx(pending.config)


# Spaces


def test_a_whole_branch_is_proposed_at_once(spy):
    study = optuna.create_study(sampler=MetaSampler(TREE, seed=0))
    study.optimize(tree_objective, n_trials=20)
    assert len(spy.asked) == 20
    assert {t.params["model"] for t in study.trials} == {"linear", "net"}
    for i, (task, n, seed) in enumerate(spy.asked):
        assert task.space is TREE
        assert len(task.history) == i
        (config,) = RandomPolicy().propose(task, n=n, seed=seed)
        assert study.trials[i].params == config
    assert [t.config for t in history(study, space=TREE)] == [t.params for t in study.trials]


def test_an_enqueued_part_of_a_config_gets_the_rest_of_its_branch(spy):
    study = optuna.create_study(sampler=MetaSampler(TREE, seed=0))
    study.optimize(tree_objective, n_trials=6)
    for model in ("net", "linear"):
        study.enqueue_trial({"model": model, "noise": 0.25})
        study.optimize(tree_objective, n_trials=1)
        task, _, _ = spy.asked[-1]
        assert task.space["model"].choices == (model,)
        assert all(t.config["model"] == model for t in task.history)
        assert study.trials[-1].params["noise"] == 0.25
        assert TREE.has(study.trials[-1].params)


def test_a_shipped_space_goes_by_its_name_and_a_file_by_its_path(tmp_path):
    path = tmp_path / "few.toml"
    path.write_text('extends = "tabular"\n[parameters.algorithm]\nchoices = ["linear"]\n', encoding="utf-8")
    for source, space in (("tabular", Space.load("tabular")), (path, Space.load(path))):
        study = optuna.create_study(sampler=MetaSampler(source, seed=0))
        study.optimize(lambda t, space=space: len(space.suggest(t)), n_trials=3)
        assert all(space.has(t.params) for t in study.trials)


def test_steps_and_odd_choices_come_back_as_the_objective_wants_them():
    distributions = {
        "step": FloatDistribution(0.0, 1.0, step=0.25),
        "by32": IntDistribution(32, 128, step=32),
        "none": CategoricalDistribution((None, 1, True, "a")),
        "log": IntDistribution(1, 100, log=True),
    }
    study = optuna.create_study(sampler=MetaSampler(distributions, seed=0))
    study.optimize(lambda t: float(len(t.params)), n_trials=0)
    for _ in range(80):
        study.tell(study.ask(distributions), 0.0)
    found = {name: {t.params[name] for t in study.trials} for name in distributions}
    assert found["step"] <= {0.0, 0.25, 0.5, 0.75, 1.0}
    assert found["by32"] <= {32, 64, 96, 128}
    assert min(len(values) for values in found.values()) >= 2
    chosen = {repr(t.params["none"]) for t in study.trials}
    assert chosen <= {"None", "1", "True", "'a'"}
    assert len(history(study, space=distributions)) == 80
    assert {repr(t.config["none"]) for t in history(study)} == {"'None'" if v == "None" else v for v in chosen}


def test_a_step_owns_an_equal_part_of_the_range():
    wanted = optuna.create_study(sampler=MetaSampler({"x": FloatDistribution(0.0, 1.0, step=0.5)}, seed=0))
    trials = [wanted.ask() for _ in range(200)]
    values = [t.suggest_float("x", 0.0, 1.0, step=0.5) for t in trials]
    assert min(values.count(v) for v in (0.0, 0.5, 1.0)) >= 45


def test_without_a_space_it_is_learned_from_the_study(spy):
    study = optuna.create_study(sampler=MetaSampler(seed=0))
    study.optimize(tree_objective, n_trials=30)
    found = spy.asked[-1][0].space
    assert {p.name for p in found} == {p.name for p in TREE}
    assert found["noise"].when is None
    assert found["l2"].when == ("model", ("linear",))
    assert found["width"].when == found["rate"].when == ("model", ("net",))
    assert [p.when for p in task_of(study).space] == [p.when for p in found]
    task, n, seed = spy.asked[-1]
    assert study.trials[-1].params == RandomPolicy().propose(task, n=n, seed=seed)[0]


def test_nested_conditions_are_found_and_a_number_explains_nothing(spy):
    def objective(trial):
        loss = 0.0
        if trial.suggest_categorical("outer", ("a", "b")) == "a" and trial.suggest_categorical("inner", (1, 2)) == 2:
            loss = trial.suggest_float("deep", 0.0, 1.0)
        for i in range(trial.suggest_int("layers", 1, 3)):
            loss += trial.suggest_float(f"width{i}", 0.0, 1.0)
        return loss

    study = optuna.create_study(sampler=MetaSampler(seed=0))
    study.optimize(objective, n_trials=40)
    space = task_of(study).space
    assert space["inner"].when == ("outer", ("a",))
    assert space["deep"].when == ("inner", (2,))
    assert space["width2"].when is None
    assert len(task_of(study).history) == 40


def test_the_latest_range_is_the_one_that_counts(spy):
    study = optuna.create_study(sampler=MetaSampler(seed=0))
    line(study, 0.1, 0.9, value=0.0)
    line(study, 0.4, distribution=FloatDistribution(0.0, 0.5), value=0.0)
    study.ask().suggest_float("x", 0.0, 0.5)
    task, _, _ = spy.asked[-1]
    assert (task.space["x"].low, task.space["x"].high) == (0.0, 0.5)
    assert [t.config["x"] for t in task.history] == [0.1, 0.4]  # 0.9 was never measured at 0.5


def test_the_objective_s_range_overrules_the_declared_one():
    study = optuna.create_study(sampler=MetaSampler(LINE, seed=0))
    study.optimize(lambda t: t.suggest_float("x", 2.0, 3.0), n_trials=5)
    assert all(2.0 <= t.params["x"] <= 3.0 for t in study.trials)
    assert len({t.params["x"] for t in study.trials}) == 5
    assert history(study, space=LINE) == ()


@pytest.mark.parametrize("space", [None, TREE], ids=["learned", "declared"])
def test_fixed_parameters_and_brackets_of_a_pruner_are_no_hindrance(space):
    def objective(trial):
        loss = tree_objective(trial)
        for step in range(1, 10):
            trial.report(loss / step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return loss

    study = optuna.create_study(
        sampler=MetaSampler(space, seed=0), pruner=optuna.pruners.HyperbandPruner(max_resource=9)
    )
    study.optimize(objective, n_trials=12, n_jobs=2)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.sampler = optuna.samplers.PartialFixedSampler({"model": "net", "noise": 0.5}, study.sampler)
    study.optimize(objective, n_trials=6)
    assert all(TREE.has(t.params) for t in study.trials)
    assert all((t.params["model"], t.params["noise"]) == ("net", 0.5) for t in study.trials[12:])


# Nothing is remembered


def test_the_same_seed_proposes_the_same():
    def run(seed, storage=None):
        study = optuna.create_study(storage=storage, sampler=MetaSampler(seed=seed))
        study.optimize(tree_objective, n_trials=15)
        return [t.params for t in study.trials]

    assert run(0) == run(0, "sqlite://")
    assert run(0) != run(1)
    assert run(None) != run(None)


def test_reseeding_keeps_a_seed_that_was_given():
    given, drawn = MetaSampler(seed=4), MetaSampler()
    before = drawn._seed
    given.reseed_rng()
    drawn.reseed_rng()
    assert given._seed == 4
    assert drawn._seed != before
    assert MetaSampler(seed=np.int64(4))._seed == 4


def test_independent_values_depend_on_the_parameter_and_the_trial():
    study = optuna.create_study(sampler=MetaSampler(seed=0))
    trials = [study.ask() for _ in range(2)]
    values = [t.suggest_float(name, 0.0, 1.0) for name in ("x", "y") for t in trials]
    assert len(set(values)) == 4


TWIN = """
import sys
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from autometa import MetaSampler, Space

def objective(trial):
    a = trial.suggest_categorical("a", ("x", "y"))
    z = trial.suggest_float("z", 1e-3, 1.0, log=True)
    if a == "x":
        z += trial.suggest_int("n", 1, 9)
    trial.report(z, 1)
    if z > 8:
        raise optuna.TrialPruned
    if trial.number == 4:
        raise ValueError
    return z

path, trials = sys.argv[1], int(sys.argv[2])
study = optuna.create_study(
    storage=JournalStorage(JournalFileBackend(path)), study_name="s", load_if_exists=True, sampler=MetaSampler(seed=11)
)
study.optimize(objective, n_trials=trials, catch=(ValueError,))
"""


def journal(path):
    return optuna.load_study(storage=JournalStorage(JournalFileBackend(str(path))), study_name="s")


def run_twin(path, *parts):
    for trials in parts:
        subprocess.run([sys.executable, "-c", TWIN, str(path), str(trials)], check=True, capture_output=True)
    return [(t.state, t.params, t.values) for t in journal(path).trials]


def test_a_resumed_study_goes_on_as_its_undisturbed_twin(tmp_path):
    whole = run_twin(tmp_path / "whole.log", 20)
    resumed = run_twin(tmp_path / "resumed.log", 12, 8)
    assert len(whole) == 20
    assert resumed == whole


# Data and sources


def past_study(name="past", best=0.5, trials=10):
    study = optuna.create_study(study_name=name, sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda t: (t.suggest_float("x", -1.0, 1.0) - best) ** 2, n_trials=trials)
    return study


def test_data_gives_the_task_its_features(spy, tmp_path):
    frame = classification(200)
    study = optuna.create_study(sampler=MetaSampler(LINE, data=frame, seed=0))
    study.ask(LINE)
    features = spy.asked[-1][0].features
    assert (features["kind"], features["rows"]) == ("binary", 200.0)
    assert 0 <= features["landmark_stump"] <= 1
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert MetaSampler(data=tmp_path / "t.csv")._features.keys() == features.keys()


def test_sources_and_the_checkpoint_are_handed_to_the_policy(monkeypatch):
    given = []
    monkeypatch.setattr(room, "policy_for", lambda sources, checkpoint: given.append((sources, checkpoint)) or Spy())
    recorded = Task("recorded", TREE, (Trial(TREE.complete({}), "complete", 1.0),))
    sampler = MetaSampler(LINE, sources=[past_study(), recorded], checkpoint="some.safetensors")
    MetaSampler(LINE, sources=())
    (tasks, checkpoint), off = given
    assert [t.name for t in tasks] == ["past", "recorded"]
    assert len(tasks[0].history) == 10
    assert checkpoint == Path("some.safetensors")
    assert off == ((), None)
    study = optuna.create_study()
    line(study, 0.1, 0.2, value=1.0)
    assert sampler.report(study) == {"all": 2.0}


def test_a_policy_without_weights_reports_none(monkeypatch):
    monkeypatch.setattr(room, "policy_for", lambda sources, checkpoint: RandomPolicy())
    assert MetaSampler(LINE).report(optuna.create_study()) == {}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"seed": -1}, InputError, "whole number"),
        ({"space": "nowhere"}, SpaceError, "got nowhere"),
        ({"space": {"x": (0, 1)}}, SpaceError, "'x' is .0, 1."),
        ({"space": {"x": CategoricalDistribution((1, 1))}}, SpaceError, "must be different"),
        ({"sources": ["sqlite:///a.db"]}, InputError, r"sources.0. is 'sqlite"),
        ({"sources": "sqlite:///a.db"}, InputError, "must be a list"),
        ({"sources": {"a": Task("a", TREE)}}, InputError, r"got dict: .* list\(it.values"),
        ({"sources": [Task("empty", TREE)]}, InputError, "'empty' has 0 trials"),
        ({"data": "nowhere.csv"}, InputError, "nowhere.csv"),
    ],
)
def test_what_cannot_be_used_is_said(options, error, message):
    with pytest.raises(error, match=message):
        MetaSampler(**options)


def test_sources_are_told_apart_by_name():
    with pytest.raises(InputError, match="'past' is there twice"):
        MetaSampler(sources=[past_study(), past_study()])
    MetaSampler(sources=[past_study(), task_of(past_study(), name="other")])


def test_a_task_has_one_objective():
    study = optuna.create_study(directions=["minimize", "minimize"])
    with pytest.raises(InputError, match="has 2"):
        task_of(study)


def test_the_user_s_log_goes_on(caplog):
    optuna.logging.enable_propagation()
    try:
        with caplog.at_level("INFO", logger="optuna"):
            study = optuna.create_study(study_name="mine", sampler=MetaSampler(LINE, seed=0))
            study.optimize(lambda t: t.suggest_float("x", -1.0, 1.0), n_trials=2)
    finally:
        optuna.logging.disable_propagation()
    said = {r.message.split(" finished")[0] for r in caplog.records}
    assert said == {"A new study created in memory with name: mine", "Trial 0", "Trial 1"}
