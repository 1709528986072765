"""Tasks are values: observing makes a new one."""

import math

import numpy as np

from autometa.parameters import Float
from autometa.space import Space
from autometa.task import Task, Trial

SPACE = Space("line", (Float(name="x", low=0, high=1, default=0.5),))


def trials(*losses):
    return [Trial({"x": i / 10}, "complete", loss) for i, loss in enumerate(losses)]


def test_observing_leaves_the_task_as_it_was():
    task = Task("t", SPACE)
    seen = task.observe(*trials(0.3, 0.2))
    assert task.history == ()
    assert [t.loss for t in seen.history] == [0.3, 0.2]


def test_a_task_read_at_once_equals_one_that_observed_its_rows():
    rows = trials(0.3, 0.2, 0.4)
    grown = Task("t", SPACE)
    for row in rows:
        grown = grown.observe(row)
    assert grown == Task("t", SPACE, tuple(rows))


def test_best_is_the_first_of_the_lowest_complete_losses():
    task = Task("t", SPACE).observe(
        *trials(math.nan, 0.2, 0.2),
        Trial({"x": 0.9}, "pruned", 0.1),
        Trial({"x": 1.0}),
    )
    assert task.best is task.history[1]
    assert [t.state for t in task.pending] == ["running"]
    assert len(task.done) == 4
    assert Task("t", SPACE).best is None


def test_split_keeps_every_trial_once_and_in_order():
    task = Task("t", SPACE, tuple(trials(*np.arange(10.0))))
    support, query = task.split(4, np.random.default_rng(0))
    assert len(support.history) == 4
    merged = sorted(support.history + query.history, key=lambda t: t.loss)
    assert tuple(merged) == task.history
    for part in (support, query):
        assert [t.loss for t in part.history] == sorted(t.loss for t in part.history)
