"""How far the learned policy trusts the past: it falls where the past misleads, and says by name what counts."""

import numpy as np
import pytest

from autometa.metatrain.synthetic_tasks import SyntheticFamily, prior_tasks
from autometa.policies.learned import LearnedPolicy
from autometa.policies.past_tasks import PastTask, PastTasks
from autometa.records.prior_tasks import PriorTasks
from autometa.task import Task, Trial
from tests.searches import CONDITIONAL, PLANE, bowl, configs, process, searched, trial

FAMILY = SyntheticFamily(1, CONDITIONAL, 0.95)
PRIOR = prior_tasks(FAMILY, tasks=8, configs=120, seed=0)
WORST = PRIOR.losses[np.isfinite(PRIOR.losses)].max()
MISLED = PriorTasks(PRIOR.pool, PRIOR.names, -np.minimum(PRIOR.losses, WORST))
NEW = FAMILY.losses([50], PRIOR.pool)[0]


def told(count, seed=0):
    """A new task of the family with random trials of the pool."""
    places = np.random.default_rng(seed).permutation(len(PRIOR.pool))[:count]
    return Task("new", CONDITIONAL, tuple(trial(PRIOR.pool[int(i)], float(NEW[i])) for i in places))


def cold_share(policy, task):
    return 1.0 - sum(policy.trust(task).values())


def test_a_past_that_misleads_is_left_and_one_that_does_not_is_kept():
    for seed in range(3):
        assert cold_share(LearnedPolicy(MISLED), told(25, seed)) >= 0.8
        assert cold_share(LearnedPolicy(PRIOR), told(25, seed)) <= 0.1


def test_trust_falls_as_trials_speak_against_the_past():
    policy = LearnedPolicy(MISLED)
    before = [sum(policy.trust(told(n)).values()) for n in (2, 12, 40)]
    assert before[0] > 0.9
    assert before[-1] < 0.2
    assert before == sorted(before, reverse=True)
    assert sum(LearnedPolicy(PRIOR).trust(told(25)).values()) > 0.8


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_trust_is_a_share_for_each_task_by_name(count):
    past = [searched(PLANE, bowl(0.2 * s), 20, seed=s, name=f"past {s}") for s in range(4)]
    recorded = PriorTasks(PRIOR.pool, PRIOR.names, PRIOR.losses)
    for policy, task in (
        (LearnedPolicy(past), searched(PLANE, bowl(), count)),
        (LearnedPolicy(past, process=process()), searched(PLANE, bowl(), count)),
        (LearnedPolicy(recorded), told(count)),
    ):
        found = policy.trust(task)
        assert set(found) == set(PRIOR.names if task.space is CONDITIONAL else [t.name for t in past])
        assert all(0.0 <= share <= 1.0 for share in found.values())
        assert sum(found.values()) <= 1.0 + 1e-9
        assert count >= 3 or sum(found.values()) == pytest.approx(1.0)


def test_past_tasks_of_one_name_count_together():
    past = [searched(PLANE, bowl(), 20, seed=s, name="same") for s in range(4)]
    for count in (0, 2):
        assert LearnedPolicy(past).trust(searched(PLANE, bowl(), count)) == {"same": pytest.approx(1.0)}


def test_the_task_that_is_alike_is_trusted_most():
    past = [searched(PLANE, bowl(x, y), 40, name=f"{x} {y}") for x in (0.1, 0.9) for y in (0.1, 0.9)]
    found = LearnedPolicy(past).trust(searched(PLANE, bowl(0.9, 0.1), 15, seed=8))
    assert max(found, key=found.get) == "0.9 0.1"
    assert found["0.9 0.1"] > 0.5


def test_no_past_has_no_trust():
    for count in (0, 5):
        task = searched(PLANE, bowl(), count)
        assert LearnedPolicy().trust(task) == {}
        assert LearnedPolicy(process=process()).trust(task) == {}


def test_trials_that_are_pending_or_failed_alone_change_no_trust():
    past = [searched(PLANE, bowl(0.2 * s), 20, seed=s, name=f"past {s}") for s in range(4)]
    one, two = configs(PLANE, 2)
    for history in ((Trial(one), Trial(two)), (Trial(one, "failed"),)):
        assert LearnedPolicy(past).trust(Task("new", PLANE, history)) == {f"past {s}": 0.25 for s in range(4)}


def test_recorded_tasks_and_others_are_both_named():
    past = PastTasks(PRIOR, (PastTask.of(searched(CONDITIONAL, FAMILY.task(60), 20, name="own")),))
    policy = LearnedPolicy()
    policy._experts.past = past
    for count in (0, 6):
        assert set(policy.trust(told(count))) == {*PRIOR.names, "own"}
