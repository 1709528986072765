"""What is recorded: the same shared configs whatever the table, all branches early, moves near the best."""

from collections import Counter

import numpy as np

from autometa.records.plan import PREPROCESSING, SHARES, breadth_first, moves, random_configs, shared_configs
from autometa.space import Space

SPACE = Space.load("tabular")
DEFAULTS = [SPACE.complete({"algorithm": a}) for a in ("lightgbm", "catboost", "linear")]


def test_shared_configs_are_whole_and_the_same_each_time():
    first, again = (shared_configs(SPACE, DEFAULTS, n=60, seed=3) for _ in range(2))
    assert first == again
    assert [p.config_id for p in first] == [f"shared-{i:03d}" for i in range(60)]
    assert [p.origin for p in first[:4]] == ["default"] * 3 + ["sobol"]
    for planned in first:
        SPACE.check(planned.config)
    assert len({str(p.config) for p in first}) == 60
    longer = shared_configs(SPACE, DEFAULTS, n=80, seed=3)
    assert longer[:60] == first  # a longer recording goes on where a shorter one stopped
    assert shared_configs(SPACE, DEFAULTS, n=60, seed=4)[3:] != first[3:]


def test_branches_take_turns_by_their_share():
    planned = shared_configs(SPACE, [], n=sum(SHARES.values()), seed=0)
    assert Counter(p.config["algorithm"] for p in planned) == SHARES
    assert {p.config["algorithm"] for p in planned[:20]} == set(SHARES)


def test_half_of_a_branch_has_default_preprocessing():
    planned = [p.config for p in shared_configs(SPACE, [], n=135, seed=0) if p.config["algorithm"] == "network"]

    def plain(config):
        default = SPACE.complete({"algorithm": config["algorithm"]})
        return all(config[name] == default[name] for name in PREPROCESSING if name in default)

    assert [plain(c) for c in planned[::2]] == [True] * 13
    assert sum(plain(c) for c in planned[1::2]) <= 1


def test_moves_stay_near_the_best_configs_and_in_their_branch():
    configs = [p.config for p in random_configs(SPACE, task="cars", n=30, seed=1)]
    planned = moves(SPACE, configs, task="cars", n=20, seed=1)
    assert planned == moves(SPACE, configs, task="cars", n=20, seed=1)
    for i, p in enumerate(planned):
        SPACE.check(p.config)
        start = configs[i % 5]
        assert p.config["algorithm"] == start["algorithm"]
        shared = [name for name in start if name in p.config]
        assert np.mean([p.config[name] == start[name] for name in shared]) > 0.4
    assert moves(SPACE, [], task="cars", n=5, seed=1) == []


def test_every_table_gets_its_first_configs_before_any_gets_its_next():
    shared = shared_configs(SPACE, DEFAULTS, n=6, seed=0)
    order = [(task, p.config_id[-1]) for task, p in breadth_first(shared, ["a", "b"], at_once=4)]
    assert order == [(t, str(i)) for part in (range(4), range(4, 6)) for t in "ab" for i in part]
