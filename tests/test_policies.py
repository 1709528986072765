"""What every policy promises: pure, repeatable, inside the space; and what each is for."""

import math

import numpy as np
import pytest

from autometa.policies.optuna_samplers import GPPolicy, TPEPolicy
from autometa.policies.portfolio import PortfolioPolicy, affordable, defaults, source_of
from autometa.policies.random import RandomPolicy
from autometa.space import Space, key
from autometa.task import Costs, Policy, Task, Trial

SPACE = Space.load("tabular")
POLICIES = [RandomPolicy(), TPEPolicy(startup=3), GPPolicy(), PortfolioPolicy()]


def a_task(trials=8, *, seed=0, features=None):
    rng = np.random.default_rng(seed)
    states = ["complete", "complete", "pruned", "failed", "running"]
    history = []
    for i in range(trials):
        state = states[i % len(states)]
        losses = (float(rng.random()),)
        history.append(Trial(SPACE.sample(rng), state, losses[0], losses if state != "running" else ()))
    return Task("t", SPACE, tuple(history), features or {"rows": 5000.0, "classes": 2.0})


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: type(p).__name__)
def test_proposals_are_configs_and_the_same_again(policy):
    task = a_task()
    assert isinstance(policy, Policy)
    first = policy.propose(task, n=3, seed=7)
    assert len(first) == 3
    for config in first:
        SPACE.check(config)
    assert type(policy)().propose(task, n=3, seed=7) == first or isinstance(policy, TPEPolicy)
    assert policy.propose(task, n=3, seed=7) == first


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: type(p).__name__)
def test_candidates_are_proposed_once_each_and_until_none_is_left(policy):
    rng = np.random.default_rng(1)
    pool = [SPACE.sample(rng) for _ in range(12)]
    task = Task("t", SPACE, (Trial(pool[0], "complete", 0.5),))
    proposed = policy.propose(task, n=20, seed=0, candidates=pool)
    assert sorted(map(key, proposed)) == sorted(map(key, pool[1:]))


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: type(p).__name__)
def test_no_global_generator_is_touched(policy):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    policy.propose(a_task(), n=1, seed=0)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_tpe_learns_which_branch_is_good():
    rng = np.random.default_rng(0)
    task = Task("t", SPACE)
    for _ in range(60):
        config = SPACE.sample(rng)
        loss = 0.0 if config["algorithm"] == "linear" else 1.0
        task = task.observe(Trial(config, "complete", loss + 0.01 * rng.random()))
    picks = [TPEPolicy().propose(task, n=1, seed=s)[0]["algorithm"] for s in range(20)]
    assert picks.count("linear") >= 8  # one in nine by chance


def test_the_portfolio_is_diverse_from_the_first_five_on():
    for rows, classes in ((300.0, 2.0), (8000.0, 2.0), (8000.0, 10.0), (8000.0, 0.0)):
        first = defaults(Task("t", SPACE, (), {"rows": rows, "classes": classes}))[:5]
        assert len({d.config["algorithm"] for d in first}) >= 4


def test_the_order_depends_on_the_table():
    orders = {
        tuple(d.name for d in defaults(Task("t", SPACE, (), {"rows": rows, "classes": 2.0})))
        for rows in (300.0, 8000.0)
    }
    assert len(orders) == 2
    assert len({frozenset(o) for o in orders}) == 1


def test_what_takes_too_much_of_the_time_waits():
    assert affordable([10.0, 30.0, 5.0, 20.0, 26.0], 100.0) == [0, 2, 3, 4, 1]  # 30 of 100, 26 of 65: over a quarter
    assert affordable([10.0, 30.0, 5.0], math.inf) == [0, 1, 2]
    dear = {"catboost": 60.0, "tabm": 50.0}
    costs = Costs(lambda config: dear.get(config["algorithm"], 1.0), limit=100.0)
    usual = [d.config for d in defaults(Task("t", SPACE))]
    limited = [d.config for d in defaults(Task("t", SPACE, costs=costs))]
    assert [c for c in limited if c["algorithm"] not in dear] == [c for c in usual if c["algorithm"] not in dear]
    algorithms = [c["algorithm"] for c in limited]
    last = [a for a in algorithms if a in dear]
    assert algorithms[-len(last) :] == last == sorted(last, key=dear.__getitem__)


def test_the_portfolio_fits_a_narrower_space():
    space = SPACE.restrict({"algorithm": {"choices": ["lightgbm", "linear"]}})
    found = defaults(Task("t", space, (), {}))
    assert len(found) >= 4
    for d in found:
        space.check(d.config)


def test_after_the_portfolio_comes_tpe():
    task = a_task(0)
    known = defaults(task)
    task = task.observe(*(Trial(d.config, "complete", i / 10) for i, d in enumerate(known)))
    (config,) = PortfolioPolicy().propose(task, n=1, seed=0)
    assert source_of(task, config) == "tpe"
    assert source_of(task, known[0].config).startswith("portfolio: ")
