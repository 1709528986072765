"""warm_start enqueues what past tasks recommend, and changes nothing else in the study."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from tables import classification

import autometa.integrations.warm_start as room
from autometa import MetaSampler, Space, Task, task_of, warm_start
from autometa.errors import InputError, SpaceError
from autometa.policies.portfolio import PortfolioPolicy
from autometa.search.suggestions import suggest

LINE = {"x": FloatDistribution(-1.0, 1.0), "steps": IntDistribution(10, 50, step=10)}


class Grid:
    """A policy that recommends fixed configs, as one that learned from sources may."""

    def propose(self, task, *, n, seed, candidates=None):
        assert task.history == ()
        return [{"x": i / 10, "steps": 10 + 9 * i} for i in range(n)]


@pytest.fixture
def grid(monkeypatch):
    monkeypatch.setattr(room, "policy_for", lambda sources, checkpoint: Grid())


@pytest.fixture
def past():
    study = optuna.create_study(study_name="past", sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(5):
        study.tell(study.ask(LINE), 1.0)
    return study


def test_the_portfolio_s_first_are_enqueued_and_nothing_else_is_changed():
    study = optuna.create_study()
    chosen = warm_start(study, "tabular", k=4)
    assert chosen == PortfolioPolicy().propose(Task("t", Space.load("tabular")), n=4, seed=0)
    assert [t.state for t in study.trials] == [TrialState.WAITING] * 4
    assert [t.system_attrs for t in study.trials] == [{"fixed_params": params} for params in chosen]
    assert not any(t.user_attrs for t in study.trials)
    assert not study.user_attrs
    study.optimize(lambda t: float(len(Space.load("tabular").suggest(t))), n_trials=4)
    assert [t.params for t in study.trials] == chosen


def test_they_are_what_suggest_says_of_the_same_table(tmp_path):
    path = tmp_path / "table.csv"
    classification(200).to_csv(path, index=False)
    study = optuna.create_study()
    chosen = warm_start(study, "tabular", data=path, k=3)
    assert chosen == [s["config"] for s in suggest(str(path), k=3)]


def test_a_second_call_enqueues_nothing_new():
    study = optuna.create_study()
    assert warm_start(study, "tabular", k=2) == warm_start(study, "tabular", k=2)
    assert len(study.trials) == 2
    study.optimize(lambda t: float(len(Space.load("tabular").suggest(t))), n_trials=1)
    warm_start(study, "tabular", k=3)
    assert len(study.trials) == 3


def test_a_part_of_the_tabular_space_will_do():
    few = Space.load("tabular").restrict({"algorithm": {"choices": ["linear", "lightgbm"]}})
    chosen = warm_start(optuna.create_study(), few, k=2)
    assert {params["algorithm"] for params in chosen} <= {"linear", "lightgbm"}
    assert all(few.has(params) for params in chosen)


@pytest.mark.usefixtures("grid")
def test_sources_say_what_to_try_on_the_study_s_own_steps(past):
    study = optuna.create_study(sampler=MetaSampler(LINE, seed=0))
    chosen = warm_start(study, LINE, sources=[past, task_of(past, name="other")], k=3)
    assert chosen == [{"x": 0.0, "steps": 10}, {"x": 0.1, "steps": 20}, {"x": 0.2, "steps": 30}]
    for params in chosen:
        assert study.ask(LINE).params == params


@pytest.mark.usefixtures("grid")
@pytest.mark.parametrize(
    "changed",
    [
        {"x": FloatDistribution(0.15, 1.0)},
        {"x": FloatDistribution(1e-3, 1.0, log=True)},
        {"x": CategoricalDistribution((0.0, 0.1, 0.2))},
        {"steps": FloatDistribution(0.0, 100.0)},
    ],
    ids=["range", "scale", "kind", "type"],
)
def test_what_does_not_fit_the_study_s_trials_is_refused_whole(past, changed):
    study = optuna.create_study()
    study.ask(LINE | changed)
    (name,) = changed
    with pytest.raises(SpaceError, match=f"must fit the trials that the study has; '{name}' would be"):
        warm_start(study, LINE, sources=[past], k=3)
    assert len(study.trials) == 1


def test_without_anything_to_learn_from_it_is_refused():
    study = optuna.create_study()
    with pytest.raises(InputError, match=r"pass sources=\[...\]"):
        warm_start(study, LINE)
    with pytest.raises(InputError, match="pass sources"):
        warm_start(study, LINE, sources=())
    with pytest.raises(InputError, match="k must be at least 1; got 0"):
        warm_start(study, "tabular", k=0)
    assert study.trials == []
