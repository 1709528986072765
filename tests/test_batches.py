"""A batch of proposals: what growing experts say equals what new ones say, and no config is in it twice."""

import numpy as np
import pytest

from autometa.policies.candidates import Observed
from autometa.policies.experts import CROWD, Parts
from autometa.policies.gaussian import Belief, LossScale, LowRank, Sum
from autometa.policies.growing import GrowingFit
from autometa.policies.kernel import Matern
from autometa.policies.learned import LearnedPolicy
from autometa.policies.source_copies import GrowingCopies, improvement_on_copies
from autometa.pool import Pool
from autometa.records.prior_tasks import PriorTasks
from autometa.space import Space, key
from autometa.task import Task, Trial
from tests.searches import CONDITIONAL, PLANE, SMALL, bowl, configs, process, searched

PAST = [searched(PLANE, bowl(0.25 + 0.05 * s, 0.7), 25, seed=s, name=f"past {s}") for s in range(5)]
POOL = Pool(PLANE, configs(PLANE, 60, seed=3))


def started(count, waiting=0, space=PLANE, loss=None):
    task = searched(space, loss or bowl(), count, name="new")
    return task.observe(*(Trial(c) for c in configs(space, waiting, seed=9)))


def test_a_fit_that_grows_is_a_new_fit_to_all_trials():
    rng = np.random.default_rng(0)
    points, factors = rng.random((50, 3)), rng.normal(size=(50, 4))
    covariance = Sum(LowRank(factors, np.full(50, 0.1)), Matern(points, 0.7, 0.5))
    belief = Belief(rng.normal(size=50), covariance, LossScale(1.0, 2.0, 0.3, 0.5), 0.01)
    places, losses = rng.permutation(50)[:12], rng.normal(2.0, 3.0, 12)
    kept = np.union1d(rng.permutation(50)[:30], places[7:])
    growing = GrowingFit(belief.fit(places[:7], losses[:7]), kept, 5)
    for n in range(7, 13):
        new, grown = belief.fit(places[:n], losses[:n]).posterior, growing.posterior
        np.testing.assert_allclose(grown.mean, new.mean[kept], atol=1e-8)
        np.testing.assert_allclose(grown.sd, new.sd[kept], atol=1e-6)
        assert (grown.best, grown.scale, grown.shift) == pytest.approx((new.best, new.scale, new.shift))
        if n < 12:
            growing.add(int(np.flatnonzero(kept == places[n])[0]), float(losses[n]))


def test_copies_that_grow_are_the_copies_of_all_trials():
    rng = np.random.default_rng(1)
    prior = PriorTasks(POOL, tuple("abcdef"), rng.random((6, 60)))
    scale, places, losses = LossScale.fit(prior.scaled("min_max"), prior.losses), np.arange(9), rng.random(9)
    kept = np.arange(3, 40)
    growing = GrowingCopies(prior, Observed(places[:5], losses[:5], frozenset()), scale, kept)
    for n in range(5, 10):
        new = improvement_on_copies(prior, Observed(places[:n], losses[:n], frozenset()), scale)
        np.testing.assert_allclose(growing.improvement, new[kept], rtol=1e-7)
        if n < 9:
            growing.add(int(places[n]) - 3, float(losses[n]))


@pytest.mark.parametrize("past", [PAST, []], ids=["past", "cold"])
@pytest.mark.parametrize("count", [0, 2, 12])
def test_the_first_of_a_batch_is_the_single_proposal(past, count):
    task = started(count, waiting=3)
    for candidates in (None, POOL):
        (one,) = LearnedPolicy(past).propose(task, n=1, seed=4, candidates=candidates)
        assert LearnedPolicy(past).propose(task, n=5, seed=4, candidates=candidates)[0] == one


@pytest.mark.parametrize("given", [{}, {"process": process()}], ids=["past", "past and process"])
def test_a_batch_is_what_single_proposals_are_one_after_another(given):
    policy = LearnedPolicy(PAST, **given, parts=Parts(cold=False))
    task = Task("new", PLANE, tuple(Trial(c, "complete", bowl()(c)) for c in POOL[:6]))
    batch = policy.propose(task, n=8, seed=0, candidates=POOL)
    for config in batch:
        assert policy.propose(task, n=1, seed=0, candidates=POOL) == [config]
        task = task.observe(Trial(config))


@pytest.mark.parametrize(
    ("space", "n"),
    [(PLANE, 1_000), (CONDITIONAL, 200), (Space.load("tabular"), 200)],
    ids=["plane", "branches", "tabular"],
)
@pytest.mark.parametrize("count", [0, 20])
def test_a_crowd_of_workers_gets_as_many_configs(space, n, count):
    loss = (lambda c: float(len(str(c)) % 7)) if space is not PLANE else bowl()
    past = [searched(space, loss, 25, seed=s, name=f"past {s}") for s in range(3)]
    task = started(count, waiting=CROWD, space=space, loss=loss)
    found = LearnedPolicy(past).propose(task, n=n, seed=0)
    for config in found:
        space.check(config)
    assert len({key(c) for c in found} | {key(t.config) for t in task.history}) == n + len(task.history)


def test_before_any_loss_a_crowd_gets_what_prior_tasks_call_good():
    found = LearnedPolicy(PAST).propose(Task("new", PLANE), n=300, seed=0)
    losses = np.array([np.mean([bowl(0.25 + 0.05 * s, 0.7)(c) for s in range(5)]) for c in found])
    blind = np.array([np.mean([bowl(0.25 + 0.05 * s, 0.7)(c) for s in range(5)]) for c in configs(PLANE, 300, seed=1)])
    assert losses[150:].mean() < 0.5 * blind.mean()


def test_a_small_space_is_used_up_before_anything_comes_again():
    found = LearnedPolicy().propose(Task("new", SMALL), n=9, seed=0)
    assert len(found) == 9
    assert len({key(c) for c in found[:6]}) == 6


@pytest.mark.parametrize("space", [PLANE, CONDITIONAL], ids=lambda s: s.name)
def test_a_large_batch_is_spread(space):
    task = searched(space, lambda c: float(np.nansum(space.to_unit(c))), 20, name="new")
    found = LearnedPolicy().propose(task, n=64, seed=0)
    units = np.nan_to_num(np.array([space.to_unit(c) for c in found]), nan=0.5)
    assert len({key(c) for c in found}) == 64
    assert units.std(axis=0).max() > 0.1


def test_a_batch_is_like_what_is_proposed_one_by_one():
    task, policy = searched(PLANE, bowl(), 15, name="new"), LearnedPolicy()
    together = policy.propose(task, n=6, seed=0)
    for _ in together:
        task = task.observe(Trial(policy.propose(task, n=1, seed=0)[0]))
    losses = [np.mean([bowl()(c) for c in batch]) for batch in (together, [t.config for t in task.pending])]
    assert max(losses) < 0.5 * np.mean([bowl()(c) for c in configs(PLANE, 50, seed=5)])
