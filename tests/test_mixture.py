"""Beliefs that go on with losses that are only expected, and batches that stay diverse."""

import numpy as np
import pytest

from autometa.policies.acquisition import expected_improvement
from autometa.policies.gaussian import Belief, LossScale
from autometa.policies.kernel import Matern
from autometa.policies.learned import LearnedPolicy
from autometa.policies.mixture import Believer
from autometa.pool import key
from autometa.task import Task, Trial
from tests.searches import CONDITIONAL, PLANE, SMALL, bowl, searched

CONFIGS = 20
# A scale that is all but known: a new fit must not choose another one.
SURE = LossScale(shift=2.0, shift_sd=0.7, log_scale=0.5, log_scale_sd=1e-9)


def a_fit(seed, n=6):
    rng = np.random.default_rng(seed)
    belief = Belief(rng.random(CONFIGS), Matern(rng.random((CONFIGS, 2)), 0.6, 0.5), SURE, noise=0.01)
    places = rng.permutation(CONFIGS)[:n]
    return belief.fit(places, 2.0 + 1.5 * (belief.mean[places] + rng.normal(0, 0.4, n)))


@pytest.mark.parametrize("seed", range(5))
def test_believing_one_after_the_other_is_a_new_fit_with_all(seed):
    fit = a_fit(seed)
    believer, places, losses = Believer(fit), list(fit.places), list(fit.losses)
    for place in [i for i in range(CONFIGS) if i not in fit.places][:5]:
        loss = believer.expected(place) + 0.3 * (place % 3 - 1)
        believer.believe(place, loss)
        places.append(place)
        losses.append(loss)
        anew = fit.belief.fit(np.array(places), np.array(losses)).posterior
        wanted = expected_improvement(anew.mean, anew.sd, anew.best)
        assert believer.improvement() == pytest.approx(wanted, rel=1e-5, abs=1e-9)
        assert believer.expected(place) == pytest.approx(anew.shift + anew.scale * anew.mean[place])


def test_the_first_of_a_batch_is_what_is_proposed_alone():
    task = searched(PLANE, bowl(), 12, name="new")
    policy = LearnedPolicy()
    assert policy.propose(task, n=1, seed=3) == policy.propose(task, n=9, seed=3)[:1]


@pytest.mark.parametrize("space", [PLANE, CONDITIONAL], ids=lambda s: s.name)
def test_a_large_batch_is_spread(space):
    task = searched(space, lambda c: float(np.nansum(space.to_unit(c))), 20, name="new")
    found = LearnedPolicy().propose(task, n=64, seed=0)
    assert len({key(c) for c in found}) == 64
    units = np.nan_to_num(np.array([space.to_unit(c) for c in found]), nan=0.5)
    assert units.std(axis=0).max() > 0.1


def test_a_batch_is_like_what_is_proposed_one_by_one():
    task = searched(PLANE, bowl(), 15, name="new")
    policy = LearnedPolicy()
    together = policy.propose(task, n=6, seed=0)
    alone = task
    for _ in together:
        alone = alone.observe(Trial(policy.propose(alone, n=1, seed=0)[0]))
    losses = [np.mean([bowl()(c) for c in batch]) for batch in (together, [t.config for t in alone.pending])]
    everywhere = np.mean([bowl()(PLANE.sample(np.random.default_rng(s))) for s in range(50)])
    assert max(losses) < everywhere


def test_a_batch_larger_than_a_small_space_says_each_config_first():
    found = LearnedPolicy().propose(Task("new", SMALL), n=30, seed=0)
    assert len(found) == 30
    different = {key(c) for c in found}
    assert len({key(c) for c in found[: len(different)]}) == len(different)
