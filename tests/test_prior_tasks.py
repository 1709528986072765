"""Prior tasks: losses on one scale, none from configs that one task alone has, none about the data it is tried on."""

import math
from pathlib import Path

import numpy as np
import pytest

from autometa.errors import InputError, ModelError
from autometa.parameters import Categorical, Float
from autometa.records.card import Card, Dataset
from autometa.records.collection import Collection, Evaluations
from autometa.records.groups import groups, twins
from autometa.records.prior_tasks import PriorTasks
from autometa.records.sources import Elsewhere, Folds
from autometa.space import Space

SPACE = Space("made", (Float(name="x", low=0.0, high=1.0, default=0.5),))
NAN = math.nan


def collection(losses, *, families=None, missing=(), names=None, space=SPACE, test=None, seconds=None):
    """Tasks by configs; NaN failed, a pair in ``missing`` was not evaluated."""
    losses = np.asarray(losses, float)
    tasks, configs = losses.shape
    names = names or [f"t{i}" for i in range(tasks)]
    families = families or names
    pairs = [(t, c) for t in range(tasks) for c in range(configs) if (t, c) not in set(missing)]
    task, config = (np.array(p, np.int32) for p in zip(*pairs, strict=True))
    one = np.ones(len(pairs))
    return Collection(
        Card("made", "", "made", "", tuple(Dataset(n, f) for n, f in zip(names, families, strict=True))),
        space,
        tuple({"x": float(v)} for v in np.linspace(0, 1, configs)),
        Evaluations(
            task,
            config,
            one,
            losses[task, config],
            one * NAN if test is None else np.asarray(test, float)[task, config],
            one * NAN if seconds is None else np.asarray(seconds, float)[task, config],
        ),
    )


def test_scalings_by_hand():
    prior = PriorTasks.of(collection([[1.0, 2.0, 3.0, 5.0, NAN, 5.0], [10.0, 30.0, 20.0, 50.0, 40.0, 20.0]]))
    assert prior.losses[0, 4] == np.inf
    assert prior.scaled("min_max").tolist() == [[0, 0.25, 0.5, 1, 1, 1], [0, 0.5, 0.25, 1, 0.75, 0.25]]
    assert prior.scaled("ranks").tolist() == [[0, 0.2, 0.4, 0.7, 1, 0.7], [0, 0.6, 0.3, 1, 0.8, 0.3]]
    assert prior.scaled("top_half").tolist()[0] == pytest.approx([0, 1 / 3, 2 / 3, 1, 1, 1])  # the median is 4


def test_a_config_that_one_task_alone_has_teaches_nothing():
    table = np.random.default_rng(0).random((3, 8))
    found = collection(table, missing=[(1, 7), (2, 7)])
    prior = PriorTasks.of(found)
    assert [c["x"] for c in prior.pool] == [c["x"] for c in found.configs[:7]]
    # One that two tasks have and a third has not takes the mean of the two.
    prior = PriorTasks.of(collection(table, missing=[(2, 7)]))
    scaled = prior.scaled("min_max")
    assert scaled[2, 7] == pytest.approx(scaled[:2, 7].mean())


def test_tasks_with_hardly_any_configs_teach_nothing():
    table = np.random.default_rng(0).random((3, 8))
    assert PriorTasks.of(collection(table, missing=[(1, c) for c in range(4, 8)])).names == ("t0", "t2")


def test_constant_tasks_are_all_alike():
    prior = PriorTasks.of(collection(np.ones((2, 6))))
    assert (prior.scaled("min_max") == 0).all()
    assert np.isfinite(prior.scaled("ranks")).all()


def test_another_pool_is_found_by_values():
    prior = PriorTasks.of(collection(np.random.default_rng(0).random((3, 8))))
    other = collection(np.zeros((2, 15)))
    there = prior.on(other.pool(np.arange(15)))
    assert there is prior.on(other.pool(np.arange(15)))
    assert np.isfinite(there.losses).sum() == 3 * 8
    assert (there.losses[:, ::2] == prior.losses).all()


def table_with_twins():
    rng = np.random.default_rng(1)
    table = rng.random((8, 40))
    table[5] = 3.0 * table[2] ** 2 + 1.0  # ranked alike
    return table


def test_families_and_near_duplicates_are_one_group():
    found = groups(
        collection(table_with_twins(), families=["a", "b", "c", "b", "e", "f", "g", "h"]), same=[("t6", "t7")]
    )
    assert found[1] == found[3]
    assert found[2] == found[5]
    assert found[6] == found[7]
    assert len(set(found)) == 5


def test_twins_with_gaps():
    table = table_with_twins()
    table[5, :15] = NAN
    assert (2, 5) in twins(table, table)
    table[5, :25] = NAN  # too few configs in common to say
    assert (2, 5) not in twins(table, table)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_no_group_is_on_both_sides_of_a_fold(n):
    families = ["a", "b", "c", "b", "e", "f", "g", "h"]
    folds = Folds.deal(collection(table_with_twins(), families=families), n)
    assert set(folds.fold) == set(range(min(n, 6)))
    for number, name in enumerate(folds.collection.names):
        known = folds.prior(number).names
        assert name not in known
        assert not {folds.collection.names[i] for i in np.flatnonzero(folds.group == folds.group[number])} & set(known)
        assert len(known) == int((folds.fold != folds.fold[number]).sum())


def test_one_task_has_no_sources():
    assert len(Folds.deal(collection(np.random.default_rng(0).random((1, 9))), 10).prior(0)) == 0


def test_sources_elsewhere_leave_out_family_and_twins():
    table = table_with_twins()
    target = collection(table[:3], families=["a", "b", "c"])
    other = collection(table[3:], names=["u", "v", "w", "y", "z"], families=["a", "v", "w", "y", "z"])
    around = Elsewhere.of(target, [other])
    assert around.prior(0).names == ("v", "w", "y", "z")  # u is of its family
    assert around.prior(1).names == ("u", "v", "w", "y", "z")
    assert around.prior(2).names == ("u", "v", "y", "z")  # w is ranked like it
    wrong = Space("other", (Categorical(name="y", choices=("a", "b"), default="a"),))
    with pytest.raises(InputError, match="on the space of the replayed tasks"):
        Elsewhere.of(target, [collection(table, space=wrong)])


def test_folds_are_two_at_least():
    with pytest.raises(InputError, match="two folds at least"):
        Folds.deal(collection(table_with_twins()), 1)


def test_a_folder_without_recorded_tasks_is_refused(tmp_path):
    with pytest.raises(ModelError, match="has neither"):
        Collection.load(tmp_path)
    with pytest.raises(ModelError, match="is no folder"):
        Collection.load(Path("nowhere"))
