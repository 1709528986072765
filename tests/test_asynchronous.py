"""Searches on a simulated cluster: who works when, what policies are told, and what counts as proposed before."""

import math

import numpy as np
import pytest

from autometa.parameters import Float
from autometa.policies.random import RandomPolicy
from autometa.pool import Pool
from autometa.records.asynchronous import rounded, simulate
from autometa.records.replay import Target, replay
from autometa.space import Space
from benchmarks.cluster_report import weighted_median
from benchmarks.clusters import COUNTS, KeptTPE, row
from tests.searches import CONDITIONAL, configs

LINE = Space("line", (Float(name="x", low=0.0, high=1.0, default=0.5),))


def recorded(seconds, losses=None, space=LINE, seed=0):
    n = len(seconds)
    pool = Pool(space, [{"x": (i + 0.5) / n} for i in range(n)] if space is LINE else configs(space, n, seed=seed))
    losses = np.arange(n, dtype=float)[::-1] if losses is None else np.array(losses, float)
    return Target("task", pool, losses, np.full(n, np.nan), np.array(seconds, float), {})


class InOrder:
    """Proposes the configs of a pool one after the other, and keeps what it was told."""

    def __init__(self, pool):
        self.pool, self.told = pool, []

    def propose(self, task, *, n, seed, candidates=None):
        self.told.append((n, len(task.done), len(task.pending)))
        self.task = task
        return [self.pool[i] for i in range(len(task.history), len(task.history) + n)]


def test_a_worker_that_is_done_takes_the_next_trial_at_once():
    target = recorded([3.0, 1.0, 1.0, 5.0, 2.0])
    policy = InOrder(target.pool)
    found = simulate(policy, target, workers=2, trials=5, seed=0)
    assert found.places.tolist() == [0, 1, 2, 3, 4]
    assert found.started.tolist() == [0.0, 0.0, 1.0, 2.0, 3.0]
    assert found.ended.tolist() == [3.0, 1.0, 2.0, 7.0, 5.0]
    assert policy.told == [(1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 2, 1), (1, 3, 1)]
    times, best = found.best(target.losses)
    assert times.tolist() == [1.0, 2.0, 3.0, 5.0, 7.0]
    assert best.tolist() == [3.0, 2.0, 2.0, 0.0, 0.0]


def test_proposals_ahead_are_asked_for_when_none_is_left():
    target = recorded(np.arange(1.0, 13.0))
    policy = InOrder(target.pool)
    simulate(policy, target, workers=6, trials=12, ahead=4, seed=0)
    assert [n for n, _, _ in policy.told] == [4, 4, 4]
    assert policy.told[1][1:] == (0, 4)
    assert policy.told[2][1:] == (3, 5)


def test_one_worker_is_a_replay():
    rng = np.random.default_rng(0)
    target = recorded(rng.random(40) + 0.1, rng.random(40))

    class OfThePool(RandomPolicy):
        def propose(self, task, *, n, seed, candidates=None):
            return super().propose(task, n=n, seed=seed, candidates=target.pool)

    found = simulate(OfThePool(), target, workers=1, trials=20, seed=3)
    assert found.places.tolist() == replay(RandomPolicy(), target, trials=20, seed=3).places.tolist()
    assert found.ended == pytest.approx(np.cumsum(target.seconds[found.places]))


def test_a_failed_evaluation_is_told_as_one_and_is_never_the_best():
    target = recorded([1.0, 1.0, 1.0], [math.nan, 2.0, 1.0])
    policy = InOrder(target.pool)
    found = simulate(policy, target, workers=1, trials=3, seed=0)
    assert [t.state for t in policy.task.history] == ["failed", "complete"]
    assert policy.task.history[1].seconds == 1.0
    assert found.best(target.losses)[1].tolist() == [math.inf, 2.0, 1.0]


def test_the_nearest_recorded_config_of_the_branch_answers():
    target = recorded(np.ones(30), np.arange(30.0), CONDITIONAL)
    asked = configs(CONDITIONAL, 50, seed=7)
    found = simulate(InOrder(asked), target, workers=3, trials=50, seed=1)
    branches = {p.when[0] for p in CONDITIONAL if p.when}
    for config, place in zip(asked, found.places, strict=True):
        assert all(config[b] == target.pool[int(place)][b] for b in branches if b in config)


def test_equal_choices_and_nearly_equal_numbers_count_as_proposed_before():
    assert rounded(LINE, {"x": 0.50001}) == rounded(LINE, {"x": 0.50021})
    assert rounded(LINE, {"x": 0.5}) != rounded(LINE, {"x": 0.502})
    target = recorded([1.0, 1.0])

    class Stubborn:
        def propose(self, task, *, n, seed, candidates=None):
            return [{"x": 0.3}] * n

    assert simulate(Stubborn(), target, workers=2, trials=3, seed=0).again.tolist() == [False, True, True]


def test_the_kept_study_hears_of_what_ended_and_only_of_that():
    rng = np.random.default_rng(0)
    target = recorded(rng.random(30) + 0.1, rng.random(30))
    policy = KeptTPE(0)
    found = simulate(policy, target, workers=4, trials=30, ahead=2, seed=0)
    states = [t.state.name for t in policy._study.trials]
    values = [t.value for t in policy._study.trials if t.state.name == "COMPLETE"]
    assert states.count("RUNNING") <= 5
    assert len(values) >= 25
    assert values == [target.losses[p] for p, s in zip(found.places, states, strict=True) if s == "COMPLETE"]


def test_a_row_says_when_the_goal_was_reached_and_what_was_found_by_when():
    count = max(COUNTS)
    target = recorded(np.full(count, 2.0))
    found = simulate(InOrder(target.pool), target, workers=2, trials=count, seed=0)
    cells = row(found, target, goal=float(target.regrets[9]), unit=4.0)
    assert (cells["time"], cells["trials"]) == (2.5, 10)
    assert cells["at_time_0.25"] == 1.0  # nothing has ended yet
    assert cells["at_time_1"] == target.regrets[3]
    assert cells[f"at_trial_{count}"] == 0.0
    assert row(found, target, goal=-1.0, unit=4.0)["time"] == math.inf


def test_a_weighted_median_bears_what_never_happened():
    values = np.array([math.inf, 1.0, 3.0])
    weights = np.array([[0.2, 0.5, 0.3], [0.6, 0.2, 0.2], [0.1, 0.2, 0.7]])
    assert weighted_median(values, weights).tolist() == [1.0, math.inf, 3.0]
