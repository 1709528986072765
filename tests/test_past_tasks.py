"""Past tasks on any pool: other ranges, other choices, failures, gaps, and losses that are known."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from autometa.parameters import Categorical, Float, Int
from autometa.policies.past_tasks import PastTask, PastTasks
from autometa.policies.surrogates import NOISE, Surrogates
from autometa.pool import Pool, kernel_inputs
from autometa.records.prior_tasks import PriorTasks
from autometa.space import Space
from autometa.task import Task, Trial
from tests.searches import CONDITIONAL, PLANE, bowl, configs, searched, trial

NAN, INF = math.nan, math.inf
NARROW = Space("narrow", (Float(name="x", low=0.2, high=0.6, default=0.5), PLANE["y"]))
OTHER = Space("other", (Float(name="z", low=0.0, high=1.0, default=0.5),))


def choosing(*choices):
    return Space("choosing", (Categorical(name="kind", choices=choices, default=choices[0]), PLANE["x"]))


def pool_of(space, count=60, seed=9):
    return Pool(space, configs(space, count, seed))


def losses_of(loss, pool):
    return np.array([loss(c) for c in pool])


def on(task, pool):
    carried = PastTask.of(task).into(pool.space)
    return None if carried is None else carried.on(pool)


# One past task


def test_of_equal_configs_the_last_counts_and_only_whole_evaluations_do():
    one, two, three, four = configs(PLANE, 4)
    history = (
        trial(one, 3.0),
        Trial(two, "complete", 1.0, budget=0.3),
        Trial(three, "pruned", 1.0),
        trial(four, NAN),
        Trial(dict(reversed(one.items())), "complete", 2.0),
        Trial(two),
        Trial(three, "complete", NAN),
    )
    found = PastTask.of(Task("past", PLANE, history, {"rows": 3.0}))
    assert list(found.configs) == [one, four, three]
    assert found.losses.tolist() == [2.0, INF, INF]
    assert found.features == {"rows": 3.0}


def test_what_was_evaluated_is_as_it_was():
    task = searched(PLANE, bowl(), 30)
    pool = Pool(PLANE, [t.config for t in task.history[:10]] + configs(PLANE, 20, seed=5))
    found = on(task, pool)
    assert found[:10].tolist() == [t.loss for t in task.history[:10]]
    assert found[10:] == pytest.approx(losses_of(bowl(), pool)[10:], abs=0.1)


def test_elsewhere_a_surrogate_foretells():
    pool = pool_of(PLANE)
    assert spearmanr(on(searched(PLANE, bowl(), 60), pool), losses_of(bowl(), pool)).statistic > 0.95


def test_a_hyperparameter_of_another_range_is_the_same():
    pool = pool_of(NARROW)
    assert spearmanr(on(searched(PLANE, bowl(), 80), pool), losses_of(bowl(), pool)).statistic > 0.9
    wide = pool_of(PLANE)
    told = on(searched(NARROW, bowl(), 80), wide)
    within = np.array([0.2 <= c["x"] <= 0.6 for c in wide])
    assert spearmanr(told[within], losses_of(bowl(), wide)[within]).statistic > 0.9


def test_a_value_beyond_the_range_is_its_nearest_end():
    task = Task("past", PLANE, tuple(trial({"x": x, "y": 0.5}, x) for x in (0.0, 0.1, 0.25, 0.4, 0.9, 1.0)))
    clipped = [{"x": min(max(t.config["x"], 0.2), 0.6), "y": 0.5} for t in task.history]
    pool = pool_of(NARROW)
    points = [kernel_inputs(NARROW, p.units, flagged=[False] * 2) for p in (Pool(NARROW, clipped), pool)]
    wanted = Surrogates.fit(points[0], np.array([[t.loss for t in task.history]])).foretell(points[1])[0]
    assert on(task, pool) == pytest.approx(wanted)


def test_a_hyperparameter_that_one_side_lacks_is_not_looked_at():
    line = Space("line", (PLANE["x"],))
    task = searched(line, lambda c: (c["x"] - 0.3) ** 2, 30)
    pool = Pool(PLANE, [{"x": 0.5, "y": y} for y in (0.0, 0.4, 1.0)])
    found = on(task, pool)
    assert found == pytest.approx(np.full(3, found[0]))


def test_trials_with_a_choice_that_is_not_there_are_left_out():
    task = searched(choosing("a", "b", "c"), lambda c: {"a": 0.0, "b": 1.0, "c": -50.0}[c["kind"]] + c["x"], 60)
    found = on(task, Pool(choosing("a", "b"), [{"kind": k, "x": 0.5} for k in "ab"]))
    assert found == pytest.approx([0.5, 1.5], abs=0.2)
    assert on(task, pool_of(choosing("d", "e"))) is None


def test_a_name_that_is_a_number_here_and_a_choice_there_says_nothing_by_its_texts():
    texts = Space("texts", (Categorical(name="x", choices=("low", "high"), default="low"), PLANE["y"]))
    flags = Space("flags", (Categorical(name="x", choices=(True, False), default=True), PLANE["y"]))
    for space in (texts, flags):
        assert on(searched(space, lambda c: c["y"], 30), pool_of(PLANE)) is None


def test_failed_trials_are_as_bad_as_the_worst():
    task = searched(PLANE, lambda c: INF if c["x"] > 0.6 else c["y"], 80)
    pool = pool_of(PLANE)
    found, failed = on(task, pool), np.array([c["x"] > 0.7 for c in pool])
    assert np.isfinite(found).all()
    assert found[failed].min() > np.median(found[~failed])
    assert found[failed].mean() > 0.8


def test_one_enormous_loss_does_not_hide_the_others():
    task = searched(PLANE, bowl(), 60)
    wild = Task("past", PLANE, (trial({"x": 1.0, "y": 0.0}, 1e12), *task.history[1:]))
    pool = pool_of(PLANE)
    assert spearmanr(on(wild, pool), losses_of(bowl(), pool)).statistic > 0.9


@pytest.mark.parametrize(
    "task",
    [
        Task("empty", PLANE),
        searched(PLANE, bowl(), 4),
        searched(PLANE, lambda _: INF, 30),
        searched(OTHER, lambda c: c["z"], 30),
    ],
    ids=["no trials", "few trials", "failures alone", "another space"],
)
def test_a_task_with_nothing_to_say_says_nothing(task):
    assert on(task, pool_of(PLANE)) is None
    assert len(PastTasks.of([task]).on(pool_of(PLANE))) == 0


@pytest.mark.parametrize("loss", [0.1, 1e12 / 3])
def test_constant_losses_stay_constant(loss):
    assert on(searched(PLANE, lambda _: loss, 20), pool_of(PLANE)) == pytest.approx(np.full(60, loss))


def test_conditional_spaces_share_what_is_active():
    task = searched(CONDITIONAL, lambda c: 1.0 if c["algorithm"] == "net" else c["depth"] / 9 - 1, 60)
    pool = pool_of(CONDITIONAL)
    wanted = losses_of(lambda c: 1.0 if c["algorithm"] == "net" else c["depth"] / 9 - 1, pool)
    assert spearmanr(on(task, pool), wanted).statistic > 0.9
    alone = Space("alone", (Int(name="depth", low=1, high=9, default=2),))
    assert np.isfinite(on(task, pool_of(alone))).all()


def test_a_surrogate_is_a_gaussian_process_with_noise():
    rng = np.random.default_rng(0)
    known, wanted, losses = rng.random((20, 2)), rng.random((7, 2)), rng.random((3, 20))
    found = Surrogates.fit(known, losses).foretell(wanted)
    assert found.shape == (3, 7)
    assert Surrogates.fit(known, 1e6 * losses - 3.0).foretell(wanted) == pytest.approx(1e6 * found - 3.0)
    smooth = np.sin(known.sum(axis=1))[None]
    assert Surrogates.fit(known, smooth).foretell(known)[0] == pytest.approx(smooth[0], abs=3 * NOISE)


# Several


def recorded(gaps=(), pool=None, tasks=4):
    pool = pool or pool_of(PLANE, 50, seed=1)
    losses = np.array([losses_of(bowl(0.2 + 0.1 * s, 0.6), pool) for s in range(tasks)])
    for task, place in gaps:
        losses[task, place] = NAN
    return PriorTasks(pool, tuple(f"r{s}" for s in range(tasks)), losses, ({"rows": 1.0},) * tasks)


def test_recorded_tasks_on_their_own_pool_are_as_recorded():
    prior = recorded()
    assert PastTasks(prior).on(prior.pool) is prior


def test_recorded_losses_are_kept_where_they_are_and_foretold_elsewhere():
    gaps = [(0, 3), (1, 3), (2, 3), (3, 3), (2, 7), (2, 8)]
    prior = recorded(gaps)
    pool = Pool(PLANE, [*list(prior.pool)[:20], *configs(PLANE, 30, seed=7)])
    found = PastTasks(prior).on(pool)
    assert found.names == prior.names
    assert found.features == prior.features
    known = ~np.isnan(prior.losses[:, :20])
    assert (found.losses[:, :20][known] == prior.losses[:, :20][known]).all()
    wanted = np.array([losses_of(bowl(0.2 + 0.1 * s, 0.6), pool) for s in range(4)])
    assert np.isfinite(found.losses).all()
    assert found.losses == pytest.approx(wanted, abs=0.15)


def test_recorded_tasks_and_others_stand_together():
    prior, more = recorded(), searched(PLANE, bowl(), 30, name="own", features={"rows": 9.0})
    past = PastTasks(prior, (PastTask.of(more), PastTask.of(searched(OTHER, lambda c: c["z"], 30))))
    found = past.on(pool_of(PLANE))
    assert len(past) == 6
    assert found.names == (*prior.names, "own")
    assert found.losses.shape == (5, 60)
    assert found.features == ({"rows": 1.0},) * 4 + ({"rows": 9.0},)


def test_known_configs_are_of_the_space_and_the_best_of_each_task_first():
    first, second = (searched(PLANE, bowl(x), 20, seed=s) for x, s in ((0.1, 1), (0.9, 2)))
    failing = searched(PLANE, lambda _: INF, 20, seed=3)
    found = PastTasks.of([first, second, failing]).configs(NARROW)
    assert all(NARROW.has(c) for c in found)
    best = [NARROW.fit(min(t.history, key=lambda t: t.loss).config) for t in (first, second)]
    assert found[:2] == best
    assert len(found) <= 40
    assert not {c["y"] for c in found} & {t.config["y"] for t in failing.history}


def test_known_configs_of_recorded_tasks_are_by_their_mean_rank():
    prior = recorded()
    found = PastTasks(prior).configs(PLANE)
    order = np.argsort(prior.scaled("ranks").mean(axis=0), kind="stable")
    assert found == [prior.pool[int(i)] for i in order]


def test_no_past_is_no_task():
    assert len(PastTasks()) == 0
    assert PastTasks().configs(PLANE) == []
    assert PastTasks().on(pool_of(PLANE)).losses.shape == (0, 60)


@pytest.mark.parametrize("recording", [True, False])
def test_a_pool_of_parts_is_told_of_as_the_whole(recording):
    past = PastTasks(recorded([(0, 3)])) if recording else PastTasks.of([searched(PLANE, bowl(), 30)])
    one, other = pool_of(PLANE, 20, seed=1), pool_of(PLANE, 15, seed=2)
    for _ in range(2):  # also where parts are known already
        found = past.on(Pool.joined([one, other]))
        assert found.losses == pytest.approx(past.on(Pool(PLANE, [*one, *other])).losses)
    assert past.on(Pool.joined([other])).losses == pytest.approx(found.losses[:, 20:])
