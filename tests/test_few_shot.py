"""Few-shot Bayesian optimisation on tasks that are made for it."""

import numpy as np
from test_prior_tasks import collection
from test_replay import related

from autometa.metatrain.few_shot import FIRST, few_shot_policy
from autometa.policies.greedy_portfolio import GreedyPortfolioPolicy
from autometa.records.prior_tasks import PriorTasks
from autometa.records.replay import replay, target_of


def test_the_portfolio_begins_the_kernel_goes_on_and_all_of_it_repeats():
    found = collection(related(6, 16))
    prior, target = PriorTasks.of(found, range(5)), target_of(found, 5)
    runs = [replay(few_shot_policy(prior, steps=3), target, trials=10, seed=0).places.tolist() for _ in range(2)]
    first = replay(GreedyPortfolioPolicy(prior), target, trials=FIRST, seed=0).places.tolist()
    assert runs[0] == runs[1]
    assert runs[0][:FIRST] == first
    assert len(set(runs[0])) == 10


def test_what_the_trials_say_decides_after_the_portfolio():
    found = collection(related(6, 16))
    prior, target = PriorTasks.of(found, range(5)), target_of(found, 5)
    policy = few_shot_policy(prior, steps=3)
    upside_down = target_of(collection(1.0 - related(6, 16)), 5)
    runs = [replay(policy, task, trials=10, seed=0).places.tolist() for task in (target, upside_down)]
    assert runs[0][:FIRST] == runs[1][:FIRST]
    assert runs[0] != runs[1]


def test_reptile_moves_the_kernel():
    found = collection(related(6, 16))
    prior = PriorTasks.of(found, range(6))
    weights = [
        few_shot_policy(prior, steps=s)._then._experts.process.network.place.weight.detach().numpy() for s in (1, 3)
    ]
    assert np.abs(weights[0] - weights[1]).max() > 0


def test_without_prior_tasks_it_starts_cold():
    found = collection(related(2, 16))
    places = replay(few_shot_policy(PriorTasks.of(found, [])), target_of(found, 0), trials=12, seed=0).places
    assert len(set(places.tolist())) == 12
