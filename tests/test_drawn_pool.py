"""Candidates for a space without a pool: valid, the same for the same seed, and about what is good."""

import numpy as np
import pytest

from autometa.metatrain.synthetic_spaces import synthetic_space
from autometa.policies.drawn_pool import draw_base, draw_pool
from autometa.pool import Pool
from autometa.space import Space, key, shipped_spaces
from autometa.task import Task, Trial
from tests.searches import CONDITIONAL, PLANE, SMALL, bowl, configs, searched, trial

SPACES = [PLANE, CONDITIONAL, *(Space.load(n) for n in shipped_spaces()), *(synthetic_space(s) for s in range(6))]


def drawn(task, known=(), *, count=100, seed=0, most=300):
    """A pool with three quarters of the candidates in its base."""
    base = draw_base(task.space, known, count=3 * count // 4, seed=[seed, 5])
    return draw_pool(task, base, neighbours=count // 4, most=most, seed=seed)


def keys(pool):
    return [key(c) for c in pool]


@pytest.mark.parametrize("space", SPACES, ids=lambda s: s.name)
def test_all_candidates_are_different_configs_of_the_space(space):
    rng = np.random.default_rng(0)
    task = searched(space, lambda _: rng.random(), 12)
    pool = drawn(task, configs(space, 30, seed=1), count=200)
    for config in pool:
        space.check(config)
    assert len(set(keys(pool))) == len(pool)
    assert 100 < len(pool) <= 212


def test_the_same_seed_and_history_draw_the_same_pool_and_others_do_not():
    task = searched(CONDITIONAL, lambda c: c["rate"], 8)
    one = keys(drawn(task, seed=1))
    assert keys(drawn(task, seed=1)) == one
    assert keys(drawn(task, seed=2)) != one


def test_what_past_tasks_know_is_there_the_most_promising_first():
    known = configs(PLANE, 300, seed=1)
    pool = set(keys(drawn(Task("new", PLANE), known)))
    assert {key(c) for c in known[:25]} <= pool
    assert not {key(c) for c in known[25:]} & pool


def test_trials_are_in_the_pool_whatever_became_of_them():
    one, two, three, four = configs(PLANE, 4)
    task = Task("new", PLANE, (trial(one, 1.0), trial(two, np.nan), Trial(three), Trial(four, "pruned", 2.0)))
    pool = drawn(task)
    assert all(pool.place(c) is not None for c in (one, two, three, four))


def test_neighbours_lie_about_the_best():
    task = searched(PLANE, bowl(), 60)
    best = sorted(task.history, key=lambda t: t.loss)[:5]
    middle = np.array([[t.config["x"], t.config["y"]] for t in best])

    def near(pool):
        places = np.array([[c["x"], c["y"]] for c in pool])
        return int((np.abs(places[:, None] - middle[None]).max(axis=2).min(axis=1) < 0.05).sum())

    assert near(drawn(task, count=400)) > near(drawn(Task("new", PLANE), count=400)) + 20


def test_a_small_space_is_drawn_whole_and_used_up():
    assert len(drawn(Task("new", SMALL))) == 6
    task = searched(SMALL, lambda c: c["a"], 60)
    assert len(task.history) == 6
    assert len(drawn(task)) == 6


def test_a_space_without_hyperparameters_has_one_config():
    empty = Space("empty", ())
    assert list(drawn(Task("new", empty, (trial({}, 1.0),)))) == [{}]
    assert list(drawn(Task("new", empty))) == [{}]


def test_trials_of_another_space_are_not_candidates():
    history = (trial({"x": 7.0, "y": 0.5}, 0.1), trial({"x": 0.5}, 0.2), trial({"algorithm": "odd", "y": 1.0}, 0.0))
    pool = drawn(Task("new", PLANE, history))
    assert all(PLANE.has(c) for c in pool)
    assert len(pool) == 75


def test_of_a_long_history_the_best_the_newest_and_those_under_way_are_there():
    task = searched(PLANE, bowl(), 200).observe(Trial({"x": 0.125, "y": 0.5}))
    pool = drawn(task, most=30)
    tried = [i for i, t in enumerate(task.history) if pool.place(t.config) is not None]
    assert len(tried) == 31
    best = set(np.argsort([bowl()(t.config) for t in task.history[:200]])[:10].tolist())
    assert best | set(range(190, 201)) <= set(tried)


def test_nothing_new_was_tried_before_or_is_in_the_base():
    task = searched(SMALL, lambda c: c["a"], 3)
    base = Pool(SMALL, configs(SMALL, 60)[:2])
    pool = draw_pool(task, base, neighbours=200, most=1, seed=0)
    assert pool.parts[0] is base
    assert len(set(keys(pool))) == len(pool)
    tried = {key(t.config) for t in task.history}
    assert len(tried & set(keys(pool.parts[1]))) <= 1
