"""The learned policy: always a config of the space, the same for the same arguments, whatever the history holds."""

import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autometa.adaptation import InnerLoop
from autometa.metatrain.synthetic_spaces import synthetic_space
from autometa.metatrain.synthetic_tasks import SyntheticFamily, prior_tasks
from autometa.parameters import Float
from autometa.policies.experts import Parts
from autometa.policies.learned import LearnedPolicy
from autometa.policies.learned_process import LearnedProcess
from autometa.policies.process_network import HEAD
from autometa.pool import Pool
from autometa.space import Space, key
from autometa.task import Policy, Task, Trial
from tests.searches import CONDITIONAL, PLANE, SMALL, bowl, configs, process, search, searched, trial

ROOT = Path(__file__).parents[1]
NAN, INF = math.nan, math.inf
PAST = [searched(PLANE, bowl(0.25 + 0.05 * s, 0.7), 25, seed=s, name=f"past {s}") for s in range(5)]
ADAPTING = {"inner": InnerLoop(1, 0.05, adapts=HEAD)}


def policies(past=PAST):
    """Every part that can be there or not, by name."""
    yield "past", LearnedPolicy(past)
    yield "past and process", LearnedPolicy(past, process=process())
    yield "past and a process that adapts", LearnedPolicy(past, process=process(**ADAPTING))
    yield "process alone", LearnedPolicy(process=process())
    yield "nothing", LearnedPolicy()
    yield "one task", LearnedPolicy(past[:1])


every_policy = pytest.mark.parametrize("policy", [p for _, p in policies()], ids=[n for n, _ in policies()])


def failing(config):
    return INF if config["x"] > 0.8 else bowl()(config)


def test_it_is_a_policy():
    assert isinstance(LearnedPolicy(), Policy)


@every_policy
@pytest.mark.parametrize("candidates", [None, Pool(PLANE, configs(PLANE, 40, seed=77))], ids=["drawn", "pool"])
def test_a_search_proposes_new_configs_of_the_space(policy, candidates):
    task = search(policy, Task("new", PLANE), failing, 8, candidates=candidates)
    assert len({key(t.config) for t in task.history}) == 8
    if candidates is not None:
        assert all(candidates.place(t.config) is not None for t in task.history)


@every_policy
def test_the_same_arguments_give_the_same_proposal(policy):
    task = searched(PLANE, bowl(), 6, name="new")
    before = task.history
    one = policy.propose(task, n=2, seed=5)
    policy.propose(searched(PLANE, bowl(), 9, seed=3), n=1, seed=8)  # what was asked in between does not matter
    assert policy.propose(task, n=2, seed=5) == one
    assert task.history == before


@every_policy
def test_a_batch_is_of_different_configs(policy):
    for count in (0, 5):
        found = policy.propose(searched(PLANE, bowl(), count, name="new"), n=4, seed=0)
        assert len({key(c) for c in found}) == 4


@every_policy
def test_two_workers_get_different_configs(policy):
    task = searched(PLANE, bowl(), 5, name="new")
    for _ in range(3):
        (config,) = policy.propose(task, n=1, seed=0)
        assert key(config) not in {key(t.config) for t in task.history}
        task = task.observe(Trial(config))


@every_policy
def test_trials_that_say_little_are_taken_as_they_are(policy):
    one, two, three, four, five = configs(PLANE, 5, seed=4)
    history = (
        Trial(one, "failed"),
        Trial(two, "complete", 0.2, budget=0.1),
        Trial(three, "pruned", 0.9),
        Trial(four),
        Trial(five, "complete", NAN),
        Trial({"x": 7.0, "y": 0.5}, "complete", 0.0),
        Trial({"algorithm": "odd"}, "complete", 0.0),
    )
    for n in range(len(history) + 1):
        (config,) = policy.propose(Task("new", PLANE, history[:n]), n=1, seed=0)
        PLANE.check(config)
        assert key(config) not in {key(t.config) for t in history[:n]}


@every_policy
@pytest.mark.parametrize(
    "history", [[0.1] * 3, [0.0] * 6, [1e12 / 3] * 5, [0.2, 1e300, 0.3, 0.1], [1e300, -1e300, 0.0]]
)
def test_odd_losses_break_nothing(policy, history):
    trials = tuple(trial(c, loss) for c, loss in zip(configs(PLANE, len(history)), history, strict=True))
    (config,) = policy.propose(Task("new", PLANE, trials), n=1, seed=0)
    PLANE.check(config)


@every_policy
@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_the_unit_of_the_losses_does_not_stop_a_search(policy, unit):
    task = search(policy, Task("new", PLANE), lambda c: unit * bowl()(c), 12)
    assert task.best.loss < unit * 0.1


@every_policy
def test_features_may_be_anything(policy):
    for features in ({}, {"rows": NAN, "columns": INF}, {"rows": "many", "kind": "binary"}, {"columns": 1e300}):
        task = searched(PLANE, bowl(), 4, name="new", features=features)
        PLANE.check(policy.propose(task, n=1, seed=0)[0])


@pytest.mark.parametrize(
    "space", [CONDITIONAL, Space.load("tabular"), *(synthetic_space(s) for s in range(4))], ids=lambda s: s.name
)
def test_any_space_is_searched(space):
    family = SyntheticFamily.draw(1, space)
    past = [searched(space, family.task(s), 20, seed=s, name=f"past {s}") for s in range(4)]
    for policy in (LearnedPolicy(past), LearnedPolicy(past, process=process())):
        task = search(policy, Task("new", space), family.task(9), 6)
        assert len({key(t.config) for t in task.history}) == 6


@every_policy
def test_a_past_of_another_space_with_nothing_in_common_is_as_good_as_none(policy):
    task = search(policy, Task("new", CONDITIONAL), lambda c: c["rate"], 5)
    assert len({key(t.config) for t in task.history}) == 5


def test_a_small_space_is_tried_out_before_anything_is_proposed_again():
    for _, policy in policies():
        task = search(policy, Task("new", SMALL), lambda c: c["a"], 8)
        assert len({key(t.config) for t in task.history[:6]}) == 6


def test_a_space_without_hyperparameters_has_one_answer():
    assert LearnedPolicy().propose(Task("new", Space("empty", ())), n=2, seed=0) == [{}, {}]


@pytest.mark.parametrize("parts", [Parts(copies=False), Parts(cold=False), Parts(process=False), Parts(least_cold=1.0)])
def test_each_part_can_be_left_out(parts):
    task = search(LearnedPolicy(PAST, process=process(), parts=parts), Task("new", PLANE), bowl(), 10)
    assert task.best.loss < 0.2


@pytest.mark.parametrize(("name", "most"), [("past", 0.005), ("past and process", 0.005), ("nothing", 0.05)])
def test_a_search_gets_near_the_best(name, most):
    task = search(dict(policies())[name], Task("new", PLANE), bowl(), 20)
    assert task.best.loss < most


def test_the_first_proposal_is_what_is_best_on_the_past():
    past = [searched(PLANE, bowl(), 40, seed=s) for s in range(3)]
    (config,) = LearnedPolicy(past).propose(Task("new", PLANE), n=1, seed=0)
    assert bowl()(config) < 0.02


SCRIPT = """
import json
from tests.searches import *
from tests.test_learned_policy import policies
task = searched(PLANE, bowl(), 7, name="new")
print(json.dumps([p.propose(task, n=2, seed=5) for _, p in policies()]))
"""


def test_another_process_proposes_the_same():
    task = searched(PLANE, bowl(), 7, name="new")
    here = [p.propose(task, n=2, seed=5) for _, p in policies()]
    env = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    there = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=True)
    assert json.loads(there.stdout) == here


def test_a_long_history_is_reckoned_with_in_part():
    task = searched(PLANE, bowl(), 400, name="new")
    for policy in (LearnedPolicy(PAST), LearnedPolicy(PAST, process=process())):
        (config,) = policy.propose(task, n=1, seed=0)
        assert bowl()(config) < 0.01


def test_seeds_differ_where_there_is_nothing_to_go_by():
    found = [LearnedPolicy().propose(Task("new", PLANE), n=1, seed=s)[0] for s in range(5)]
    assert all(one != other for one, other in itertools.combinations(found, 2))


def test_recorded_tasks_teach_on_their_own_pool():
    family = SyntheticFamily(3, CONDITIONAL, 0.9)
    prior = prior_tasks(family, tasks=6, configs=80, seed=0)
    losses = family.losses([20], prior.pool)[0]
    task = search(
        LearnedPolicy(prior), Task("new", CONDITIONAL), lambda c: losses[prior.pool.place(c)], 10, candidates=prior.pool
    )
    finite = losses[np.isfinite(losses)]
    assert task.best.loss <= np.quantile(finite, 0.05)


@pytest.mark.parametrize("seed", range(3))
def test_no_place_is_asked_for_again_in_its_last_digits(seed):
    """Falling towards an edge, and rising just before it: a belief in the slope asked for the edge 25 times in 30."""
    space = Space("line", (Float(name="x", low=0.0, high=1.0, default=0.5),))
    policy = LearnedPolicy(process=LearnedProcess.shipped())
    found = search(policy, Task("new", space), lambda c: abs(c["x"] - 0.943), 30, seed=seed)
    tried = np.array([t.config["x"] for t in found.history])
    assert len(np.unique(np.round(1000 * tried))) == len(tried)
    assert found.best.loss < 0.002
